"""Brains as the core sees them, and the lease. Values only.

A brain's role:

    role         entered by                                 left by
    ---------    ---------------------------------------    ----------------------------------
    loading      `ready`, when the ring lacks records       the next `ready`
    following    `ready`, `drained`, `fenced`               lagging, the lease
    lagging      too much waits to be sent to it            all of that was sent: `drained`
    leading      its lease record is written                a fence
    fencing      a fence                                    `fenced`

The lease:

    vacant --(lease record appended)--> granting --(written)--> held
       ^                                    |                     |
       +------------------------------------+---------------------+  death, fence
"""

import enum
from collections import deque
from dataclasses import dataclass, field

from osupervisor.bridge.port_messages import confirm_frame, record_frames
from osupervisor.supervisor.core.call import Call


class Role(enum.Enum):
    LOADING = "loading"
    FOLLOWING = "following"
    LAGGING = "lagging"
    LEADING = "leading"
    FENCING = "fencing"


@dataclass(slots=True, eq=False)
class Brain:
    """A brain that said `ready`."""

    id: int
    version: str
    abilities: frozenset[str]
    queries: frozenset[str]
    safe: bool
    """It runs none of the author's code: it follows, serves reads of the state, and never leads."""
    sent: int
    """Last LSN that it has, or that is on its way to it; of a leading one, the last confirmed."""
    role: Role = Role.LOADING
    out: list[bytes] = field(default_factory=list[bytes])
    """Frames for its port, in order; the shell takes them."""
    records: list[bytes] = field(default_factory=list[bytes])
    """Behind `out`: records that are not framed yet, so that it is woken for many at once."""
    records_bytes: int = 0
    reads: dict[int, Call] = field(default_factory=dict[int, Call])
    """Queries that it executes without a lease, by message id, in order."""
    reading_since_us: int = 0
    """Since when the first of `reads` has been the first."""
    fencing_since_us: int = 0

    @property
    def streaming(self) -> bool:
        """It gets each record as it is written."""
        return self.role is Role.FOLLOWING

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


Delivery = tuple[int, int]
"""What a holder was given: the lease's epoch, and n."""


class LeaseState(enum.Enum):
    VACANT = "vacant"
    GRANTING = "granting"
    HELD = "held"


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
    inflight_bytes: int = 0
    """Of their requests."""
    written_n: int = 0
    """The number of the newest commit that is in the log: one received may still be cut off."""
    confirmed_n: int = 0
    """The number up to which the holder was told that its work is logged."""
    unconfirmed_lsn: int = 0
    """What the holder is to be told with the next frame: all up to `written_n` is logged, and the
    log ends here. 0: nothing."""

    @property
    def primary(self) -> Brain | None:
        return self.holder if self.state is LeaseState.HELD else None

    def confirm(self) -> None:
        """Tell the holder up to where its work is logged, so that it forgets how to undo it."""
        if self.unconfirmed_lsn and self.holder is not None:
            self.holder.push(confirm_frame(self.written_n, self.unconfirmed_lsn))
            self.holder.sent = self.unconfirmed_lsn
            self.confirmed_n, self.unconfirmed_lsn = self.written_n, 0

    def drop(self) -> list[Call]:
        """Nobody holds it any more. Returns what was in flight, in order."""
        calls = list(self.inflight)
        self.state, self.holder = LeaseState.VACANT, None
        self.inflight.clear()
        self.inflight_bytes = self.unconfirmed_lsn = 0
        return calls
