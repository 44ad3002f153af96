"""The tape: how much of the log is kept behind the oldest checkpoint, and outcomes read from it.

What may go is looked at after each checkpoint, in the vault's thread: listing segments waits for
the disk. Outcomes that are too long to be held in memory are read on the loop, one record each.
"""

from collections.abc import Callable

from osupervisor.config.settings import Tape as TapeSettings
from osupervisor.supervisor.core import outcome as outcomes
from osupervisor.supervisor.core.fold import split_commit
from osupervisor.wal import retention
from osupervisor.wal.errors import WalError
from osupervisor.wal.finder import Finder
from osupervisor.wal.storage import DirectoryStorage


class Tape:
    """Removes segments that neither recovery nor the tape wants; reads what stands in the rest."""

    def __init__(self, storage: DirectoryStorage, settings: TapeSettings) -> None:
        self._storage = storage
        self._settings = settings
        self._finder = Finder(storage)

    def outcome_at(self, lsn: int, failed: Callable[[str], None]) -> bytes:
        """The outcome in the log's record `lsn`; an error for the client where it can't be read.

        `failed` is told why, unless the tape just doesn't reach back so far.
        """
        reason = "the tape no longer reaches back so far"
        try:
            record = self._finder.find(lsn)
            if record is not None:
                return split_commit(record.commit)[0]
        except (WalError, OSError) as error:
            reason = str(error)
            failed(reason)
        return outcomes.unreadable(lsn, reason)

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
