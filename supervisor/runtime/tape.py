"""The tape: how much of the log is kept behind the oldest checkpoint, for replay.

Looked at after each checkpoint, in the vault's thread: listing segments waits for the disk.
"""

from osupervisor.config.settings import Tape as TapeSettings
from osupervisor.wal import retention
from osupervisor.wal.storage import DirectoryStorage


class Tape:
    """Removes segments that neither recovery nor the tape wants."""

    def __init__(self, storage: DirectoryStorage, settings: TapeSettings) -> None:
        self._storage = storage
        self._settings = settings

    def trim(self, oldest_checkpoint_lsn: int, newest_control_lsn: int, now_us: int) -> list[str]:
        """Remove what may go; the names. Raises OSError."""
        names = retention.removable(
            retention.extents(self._storage),
            oldest_checkpoint_lsn,
            newest_control_lsn,
            now_us,
            self._settings.keep_s,
            self._settings.bytes_max,
        )
        retention.remove(self._storage, names)
        return names
