"""Succession: the next segment made ready beside the appends, so that a turn waits for no disk.

    the appending thread                         a thread that may wait
    -------------------------------------------  ----------------------------------------------
    Writer.succession(): L is the last record
    appends go on, into the old segment          run(): the old one synced, durable up to L;
                                                 the successor made under a name of its own:
                                                 room, header, synced
    Writer.succeed(): what was appended since
    is written into the successor, which then
    gets its name, L + 1; appends go on there
                                                 the next sync: its bytes, then the name;
                                                 only now anything in it counts as durable

It rests on two rules of recovery: a segment replaces what lies behind its first LSN in older files,
and what lies before it must be whole there. So the records that stand in both files count once, and
the old file was durable up to L before the successor could be seen. A process that dies at any
point leaves one of the two names with all that was appended; a power cut leaves L at least.
"""

import contextlib
from dataclasses import dataclass, field
from typing import Protocol

from osupervisor.wal.placement import prepare, remove_tmp
from osupervisor.wal.storage import LogFile, Storage


class Durability(Protocol):
    """A sync of the old segment."""

    @property
    def lsn(self) -> int: ...
    def run(self) -> None: ...


@dataclass(slots=True, eq=False)
class Succession:
    """One successor, from its begin to its name. `run` is for a thread, the rest for the appender.

    `end`: the offset behind record `lsn` in the old segment.
    """

    target: Durability
    storage: Storage
    boot_id: bytes
    allocated: int
    end: int
    file: LogFile | None = None
    tail: list[bytes] = field(default_factory=list[bytes])
    """What was appended since it began."""

    @property
    def lsn(self) -> int:
        """What `run` makes durable; the successor begins behind it."""
        return self.target.lsn

    def run(self) -> None:
        """Sync the old segment, make the successor. Blocks.

        Raises OSError when the sync fails: then nothing more may be acknowledged. A successor that
        can't be made is no failure: the segment fills up, and the rotation then says why.
        """
        self.target.run()
        with contextlib.suppress(OSError):
            self.file = prepare(self.storage, self.boot_id, self.allocated, self.lsn + 1, ())

    def discard(self) -> None:
        """It is not wanted any more: the successor goes, if there is one without its name."""
        if self.file is not None:
            self.file.close()
            self.file = None
            with contextlib.suppress(OSError):
                remove_tmp(self.storage, self.lsn + 1)


@dataclass(slots=True, eq=False)
class Naming:
    """A successor's name that is not durable yet, and the segment before it."""

    storage: Storage
    old: LogFile
    old_end: int
    is_durable: bool = False

    def finish(self) -> None:
        """Make it durable, in the thread that syncs; then give back what the old one had too much.

        Raises OSError: then nothing in the successor may be acknowledged.
        """
        self.storage.sync_dir()
        self.is_durable = True
        with contextlib.suppress(OSError):  # zeros left at the end do no harm
            self.old.truncate(self.old_end)
        self.old.close()
