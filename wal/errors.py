"""What can go wrong with the log, and what an operator needs to know of it.

An error says where (file, offset in bytes, LSN), what was found, and what to do next. Those that
stop a start carry the command that mends it in `hint`.
"""

REPAIR_HINT = "osupervisor wal repair"


class WalError(Exception):
    """Base of everything that this folder raises on purpose."""


class CorruptRecordError(WalError):
    """Bytes that are not the record which should stand there.

    `offset` counts from the start of what was decoded: a buffer, or a segment file. `lsn` is
    the number of the record that was wanted, or None where that isn't known.
    """

    def __init__(self, offset: int, reason: str, lsn: int | None = None) -> None:
        super().__init__(f"record at offset {offset}: {reason}")
        self.offset = offset
        self.reason = reason
        self.lsn = lsn


class CorruptSegmentError(WalError):
    """A segment's header that can't be trusted."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


class DamageError(WalError):
    """The log has lost bytes that it had made durable: a start is refused.

    `lsn` is the first record that can't be read, `offset` where it should stand in `file`.
    """

    def __init__(
        self, file: str, offset: int, lsn: int, reason: str, hint: str = REPAIR_HINT
    ) -> None:
        super().__init__(
            f"{file} is damaged at offset {offset} (record {lsn}): {reason}; "
            f"restore the file from a backup, or run: {hint}"
        )
        self.file = file
        self.offset = offset
        self.lsn = lsn
        self.reason = reason
        self.hint = hint


class AppendFailed(WalError):
    """An append stopped before its end. The writer takes no further append; reopen heals.

    `whole` records of the batch are in the file and count as committed; the rest is cut off and
    never happened. The cause is the OSError.
    """

    def __init__(self, whole: int, reason: str) -> None:
        super().__init__(f"append stopped after {whole} whole records: {reason}")
        self.whole = whole
        self.reason = reason


class SealFailed(AppendFailed):
    """The full segment could not be made durable, so the batch was not begun (`whole` is 0).

    This is a failed fsync: nothing may be acknowledged from here on until a reopen succeeds.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(0, reason)


class TruncateFailed(WalError):
    """Half a record could not be cut off: its bytes may come back. End the process."""


class ReopenFailed(WalError):
    """The new segment could not be put in place; the log is as it was. Try again later."""


class LockedError(WalError):
    """Another process owns the data directory. `pid` is None when it could not be read."""

    def __init__(self, path: str, pid: int | None) -> None:
        holder = "an unknown process" if pid is None else f"process {pid}"
        super().__init__(
            f"{path} is locked by {holder}: a data directory has one supervisor; "
            f"stop that one (osupervisor stop), or start with another --data"
        )
        self.path = path
        self.pid = pid
