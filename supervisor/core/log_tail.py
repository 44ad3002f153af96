"""The end of the log: what is appended, what is durable, and who waits for it. Pure.

    L `last`      last LSN appended
    d `durable`   last LSN known durable
    ack           last LSN whose outcome may be shown: L in `everysec`, d in `always`

A batch is what one turn of the loop appends with one write. Its entries become part of the fold
only when they are written. The answers of executed queries travel in it too, without a record:
they are shown when all before them is.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from osupervisor.supervisor.core.call import Call, Waiter
from osupervisor.supervisor.core.ring import Ring
from osupervisor.wal.record import Kind

CONTROL_FACTOR: Final = 5
"""A control record is due when the log since the last one exceeds the larger of `control_bytes_min`
and five times its size: it costs at most a fifth of the log, and a restart reads at most that."""

UNSYNCED_FACTOR: Final = 4
"""Nothing more is delivered while so many times the ring's bound waits for a sync: a slow disk must
not fill the memory."""


@dataclass(slots=True, eq=False, init=False)
class Entry:
    """One entry of the batch. `record` is empty for an executed query."""

    kind: Kind
    record: bytes
    lsn: int
    epoch: int
    t_us: int
    call: Call | None
    outcome: bytes
    effects: bytes
    checkpoint: bool

    def __init__(
        self,
        kind: Kind,
        record: bytes,
        lsn: int,
        epoch: int,
        t_us: int,
        call: Call | None,
        outcome: bytes,
        effects: bytes,
        checkpoint: bool = False,
    ) -> None:
        self.kind = kind
        self.record = record
        self.lsn = lsn
        self.epoch = epoch
        self.t_us = t_us
        self.call = call
        self.outcome = outcome
        self.effects = effects
        self.checkpoint = checkpoint


class Parked(NamedTuple):
    """An answer that waits until the record `lsn` is durable. `outcome` None: it is read there."""

    lsn: int
    waiter: Waiter
    outcome: bytes | None
    op: str


class LogTail:
    """L, d, the batch, the ring of newest records, and the answers that wait for d."""

    __slots__ = (
        "always", "awaited", "batch", "control_bytes_min", "control_lsn", "control_size", "durable",
        "last", "next_lsn", "parked", "ring", "since_control",
    )  # fmt: skip

    def __init__(
        self,
        last: int,
        always: bool,
        ring_bytes_max: int,
        since_control: int,
        newest: list[bytes],
        control_bytes_min: int,
    ) -> None:
        self.last = last
        self.durable = last
        self.always = always
        self.ring = Ring(ring_bytes_max, last + 1 - len(newest))
        for record in newest:
            self.ring.append(record)
        self.ring.trim(last)
        self.batch: list[Entry] = []
        self.next_lsn = last + 1
        self.since_control = since_control
        self.control_bytes_min = control_bytes_min
        self.control_size = 0
        self.control_lsn = 0
        """The newest control record that this core wrote; 0: none yet."""
        self.awaited = last
        """The newest record that somebody, or something, waits for to be durable."""
        self.parked: deque[Parked] = deque()
        """Answers that wait for d: nearly in the order of their LSN, late copies behind."""

    @property
    def ack(self) -> int:
        return self.durable if self.always else self.last

    @property
    def sync_wanted(self) -> bool:
        """Whether somebody waits for d, or too much lies above it."""
        return self.awaited > self.durable or (
            self.last > self.durable and self.ring.size_bytes > self.ring.bytes_max
        )

    @property
    def is_full(self) -> bool:
        """Whether so much waits for a sync that no more may be added."""
        ring = self.ring
        return ring.size_bytes > UNSYNCED_FACTOR * ring.bytes_max and self.last > self.durable

    @property
    def control_due(self) -> bool:
        return self.since_control > max(self.control_bytes_min, CONTROL_FACTOR * self.control_size)

    def add(self, entry: Entry) -> None:
        """`entry.lsn` must be `next_lsn`, except for a query, which has none of its own."""
        self.batch.append(entry)
        if entry.record:
            self.next_lsn += 1

    def records(self) -> list[bytes]:
        return [entry.record for entry in self.batch if entry.record]

    def written(self, records: list[bytes]) -> None:
        """These records are in the log now."""
        ring = self.ring
        for record in records:
            ring.append(record)
            self.since_control += len(record)
        self.last += len(records)
        ring.trim(self.durable)

    def control_written(self, lsn: int, size: int) -> None:
        self.control_lsn = lsn
        self.since_control = 0
        self.control_size = size

    def control_skipped(self, size: int) -> None:
        """It would have been too large for a record: try again as much later as for one written."""
        self.since_control = 0
        self.control_size = size

    def park(self, parked: Parked) -> None:
        self.parked.append(parked)
        if parked.lsn > self.awaited:
            self.awaited = parked.lsn

    def synced(self, lsn: int) -> list[Parked]:
        """All up to `lsn` is durable. Returns what may be answered now, in order."""
        if lsn > self.durable:
            self.durable = lsn
            self.ring.trim(lsn)
        parked = self.parked
        free: list[Parked] = []
        while parked and parked[0].lsn <= self.durable:
            free.append(parked.popleft())
        return free
