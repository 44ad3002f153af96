"""Brains as the core sees them, and the lease. Values only.

vacant --(lease record appended)--> granting --(written)--> held --(fence)--> fencing --> vacant
   ^                                    |                     |                  |
   +------------------------------------+---------------------+------------------+  death
"""

import enum
from collections import deque
from dataclasses import dataclass, field

from osupervisor.bridge.port_messages import record_frames
from osupervisor.supervisor.core.call import Call


@dataclass(slots=True, eq=False)
class Brain:
    """A brain that said `ready`."""

    id: int
    version: str
    abilities: frozenset[str]
    queries: frozenset[str]
    sent: int
    """Last LSN that it has, or that is on its way to it."""
    streaming: bool = False
    """It gets each record as it is written; else it is loading, or too far behind."""
    loading: bool = False
    """It was told to load from files, and has not said `ready` since."""
    out: list[bytes] = field(default_factory=list[bytes])
    """Frames for its port, in order; the shell takes them."""
    records: list[bytes] = field(default_factory=list[bytes])
    """Behind `out`: records that are not framed yet, so that it is woken for many at once."""
    records_bytes: int = 0
    reads: dict[int, Call] = field(default_factory=dict[int, Call])
    """Queries that it executes as a follower, by message id."""

    def push(self, frame: bytes) -> None:
        """A frame for its port, behind all records before it."""
        if self.records:
            self.frame_records()
        self.out.append(frame)

    def stream(self, records: list[bytes], size: int) -> None:
        """The next records of the log, of `size` bytes in all."""
        self.records += records
        self.records_bytes += size
        self.sent += len(records)

    def frame_records(self) -> None:
        self.out += record_frames(self.records)
        self.records = []
        self.records_bytes = 0


class LeaseState(enum.Enum):
    VACANT = "vacant"
    GRANTING = "granting"
    HELD = "held"
    FENCING = "fencing"


@dataclass(slots=True)
class Lease:
    """Who executes, and what it was given."""

    state: LeaseState = LeaseState.VACANT
    holder: Brain | None = None
    epoch: int = 0
    n: int = 0
    """The last delivery's number."""
    inflight: deque[Call] = field(default_factory=deque[Call])
    """Delivered and not yet received back, in the order of n."""
    written_n: int = 0
    """The number of the newest commit that is in the log: one received may still be cut off."""
    fencing_since_us: int = 0
    confirmed_n: int = 0
    """The number up to which the holder was told that its work is logged."""
    confirm: tuple[int, int] | None = None
    """(n, lsn) to be confirmed with the next frame."""

    @property
    def primary(self) -> Brain | None:
        return self.holder if self.state is LeaseState.HELD else None

    def drop(self) -> list[Call]:
        """Nobody holds it any more. Returns what was in flight, in order."""
        calls = list(self.inflight)
        self.state, self.holder = LeaseState.VACANT, None
        self.inflight.clear()
        self.confirm = None
        return calls
