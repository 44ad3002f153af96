"""What the supervisor knows: a fold over the log. Pure.

    record    what it does to the fold
    --------  --------------------------------------------------------------------------------
    commit    strikes forget the key; a client's key enters `done`; a pending key leaves
              `pending`; each cast and timer among the effects enters it
    verdict   the same without effects
    death     one strike for the key
    lease     the epoch, and where it began
    control   nothing: it *is* the whole fold, and a reader may start there

Nothing here reads a clock: times are those of the records, so that every recovery comes out alike.
"""

from collections import deque
from typing import Any, Final

from osupervisor.bridge import packing
from osupervisor.supervisor.core import key as keys
from osupervisor.supervisor.core import pending as pendings
from osupervisor.supervisor.core.done import CLIENT_ENTRIES_MAX, DoneTable
from osupervisor.supervisor.core.key import Key, PendingKey
from osupervisor.supervisor.core.pending import NO_EFFECTS, Pending
from osupervisor.wal.checksum import crc32
from osupervisor.wal.record import Kind, Record

LEASES_KEPT: Final = 1000
"""How many leases are remembered, to tell a brain of another history by its (LSN, epoch)."""

STRIKES_KEPT: Final = 10_000
"""Keys with strikes; the oldest go first. A key leaves with its outcome, so few stand here."""

REQUEST_TAIL: Final = 18
"""The last bytes of a request are its time and seed; a retry's parameters are told without them."""

CONTROL_VERSION: Final = 1

_NOTHING: Final[list[tuple[PendingKey, Pending]]] = []
"""Asked for by a commit without effects. Never changed."""


class Fold:
    """The control state after the record `lsn`."""

    __slots__ = ("done", "epoch", "leases", "lsn", "pending", "pending_bytes", "strikes", "t_us")

    def __init__(
        self,
        window_us: int,
        keys_max: int,
        clients_max: int,
        entries_max: int = CLIENT_ENTRIES_MAX,
    ) -> None:
        self.lsn = 0
        self.epoch = 0
        self.t_us = 0
        self.leases: deque[tuple[int, int]] = deque(maxlen=LEASES_KEPT)
        self.done = DoneTable(window_us, keys_max, clients_max, entries_max)
        self.pending: dict[PendingKey, Pending] = {}
        self.pending_bytes = 0
        """Of the calls in it."""
        self.strikes: dict[Key, int] = {}

    def apply(self, record: Record) -> None:
        """One record more. Raises AssertionError where it is not the next one."""
        assert record.lsn == self.lsn + 1, f"lsn {record.lsn} after {self.lsn}"
        match record.kind:
            case Kind.COMMIT:
                key, seen = keys.decode(record.key)
                outcome, effects = split_commit(record.commit)
                crc = params_crc(record.request)
                self.commit(record.lsn, record.epoch, record.t_us, key, seen, crc, outcome, effects)
            case Kind.VERDICT:
                key, seen = keys.decode(record.key)
                outcome, _ = split_commit(record.commit)
                crc = params_crc(record.request)
                self.verdict(record.lsn, record.t_us, key, seen, crc, outcome)
            case Kind.DEATH:
                self.death(record.lsn, record.t_us, keys.decode(record.key)[0])
            case Kind.LEASE:
                self.lease(record.lsn, record.epoch, record.t_us)
            case Kind.CONTROL:
                self.count(record.lsn, record.t_us)

    def commit(
        self,
        lsn: int,
        epoch: int,
        t_us: int,
        key: Key,
        seen: int,
        crc: int,
        outcome: bytes,
        effects: bytes,
    ) -> list[tuple[PendingKey, Pending]]:
        """A request was executed. Returns the casts and timers that it asked for."""
        if not self.strikes and keys.is_client_key(key):
            # As `verdict`, without the cost of calling it: nearly every commit is one of these.
            self.lsn, self.t_us = lsn, t_us
            self.done.put_client(key, seen, lsn, t_us, crc, outcome)
        else:
            self.verdict(lsn, t_us, key, seen, crc, outcome)
        if effects == NO_EFFECTS:
            return _NOTHING
        asked = pendings.parse_effects(effects, epoch, lsn, t_us)
        self.pending.update(asked)
        self.pending_bytes += sum(len(pending.call) for _, pending in asked)
        return asked

    def verdict(self, lsn: int, t_us: int, key: Key, seen: int, crc: int, outcome: bytes) -> None:
        """A request has its final outcome."""
        self.lsn = lsn
        self.t_us = t_us
        if self.strikes:
            self.strikes.pop(key, None)
        if keys.is_pending_key(key):
            done = self.pending.pop(key, None)
            if done is not None:
                self.pending_bytes -= len(done.call)
        elif type(key) is str or keys.is_client_key(key):
            self.done.put(key, seen, lsn, t_us, crc, outcome)

    def death(self, lsn: int, t_us: int, key: Key) -> int:
        """A brain died while executing `key`. Returns its strikes so far."""
        self.count(lsn, t_us)
        strikes = self.strikes.pop(key, 0) + 1
        self.strikes[key] = strikes
        if len(self.strikes) > STRIKES_KEPT:
            del self.strikes[next(iter(self.strikes))]
        return strikes

    def lease(self, lsn: int, epoch: int, t_us: int) -> None:
        assert epoch == self.epoch + 1, f"epoch {epoch} after {self.epoch}"
        self.count(lsn, t_us)
        self.epoch = epoch
        self.leases.append((epoch, lsn))

    def count(self, lsn: int, t_us: int) -> None:
        self.lsn = lsn
        self.t_us = t_us

    def epoch_at(self, lsn: int) -> int | None:
        """The epoch that the record `lsn` stands in; 0 at LSN 0. None: too long ago to tell."""
        if lsn == 0:
            return 0
        for epoch, first in reversed(self.leases):
            if first <= lsn:
                return epoch
        return None if len(self.leases) == LEASES_KEPT else 0

    def dump(self) -> bytes:
        """The whole fold, as a control record holds it."""
        return packing.pack(
            [
                CONTROL_VERSION,
                self.lsn,
                self.epoch,
                self.t_us,
                list(self.leases),
                self.done.dump(),
                pendings.dump(self.pending),
                [[keys.encode(key, 0), count] for key, count in self.strikes.items()],
            ]
        )

    def restore(self, dumped: bytes) -> None:
        """Become the fold that was dumped. Raises ValueError on a version it does not know."""
        value: Any = packing.unpack(dumped)
        if value[0] != CONTROL_VERSION:
            raise ValueError(
                f"control record: version {value[0]} found, {CONTROL_VERSION} wanted;"
                " start the osupervisor that wrote it"
            )
        _, self.lsn, self.epoch, self.t_us, leases, done, pending, strikes = value
        self.leases = deque(((epoch, first) for epoch, first in leases), LEASES_KEPT)
        self.done.restore(done)
        self.pending = pendings.restore(pending)
        self.pending_bytes = sum(len(each.call) for each in self.pending.values())
        self.strikes = {keys.decode(key)[0]: count for key, count in strikes}


def split_commit(commit: bytes) -> tuple[bytes, bytes]:
    """Outcome and effects of a commit's three bins."""
    unpacker = packing.new_unpacker(len(commit) + 1)
    unpacker.feed(commit)
    outcome = unpacker.unpack()
    unpacker.skip()
    effects = unpacker.unpack()
    assert isinstance(outcome, bytes) and isinstance(effects, bytes)
    return outcome, effects


def params_crc(request: bytes) -> int:
    """Checksum of op, args and kwargs, the same at first arrival, at a retry and in the log."""
    return crc32(memoryview(request)[1:-REQUEST_TAIL])
