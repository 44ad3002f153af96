"""What can go wrong in the vault: one base class, leaves that carry what an operator needs."""


class VaultStoreError(Exception):
    """Base of every error that this folder raises by itself."""


class CorruptCheckpointError(VaultStoreError):
    """A file of a checkpoint is not what was written: cut short, flipped, or of another checkpoint.

    `offset`: byte in that file from which on it can't be trusted.
    """

    def __init__(self, path: str, offset: int, reason: str) -> None:
        super().__init__(
            f"{path}: damaged at byte {offset}: {reason}; "
            "the checkpoint before it can be used: delete this one's folder"
        )
        self.path = path
        self.offset = offset
        self.reason = reason


class UnstorableStateError(VaultStoreError):
    """The state holds what MessagePack has no form for; the brain should have refused it."""


class CheckpointExistsError(VaultStoreError):
    """A checkpoint of this LSN is there already; a whole checkpoint is never written over."""

    def __init__(self, path: str, lsn: int) -> None:
        super().__init__(f"{path}: there is a checkpoint of LSN {lsn} already")
        self.path = path
        self.lsn = lsn


class NoCheckpointError(VaultStoreError):
    """No whole checkpoint of this LSN is in the store."""

    def __init__(self, path: str, lsn: int) -> None:
        super().__init__(
            f"{path}: no checkpoint of LSN {lsn}; `osupervisor checkpoints ls` shows what there is"
        )
        self.path = path
        self.lsn = lsn


class HotSegmentError(VaultStoreError):
    """A descriptor is not a sealed hot segment of the right size, so mapping it could kill us."""


class CounterTableError(VaultStoreError):
    """A counter's name or value does not fit the table, or the table is full."""


class RobustMutexError(VaultStoreError):
    """This system's C library gives no robust mutex in the form that the death watch needs."""
