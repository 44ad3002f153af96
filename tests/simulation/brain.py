"""A simulated brain: it speaks the port's messages, byte for byte, and holds a toy state."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from osupervisor.bridge import packing
from osupervisor.supervisor.core.lease import Delivery
from osupervisor.wal import record as records
from osupervisor.wal.record import Kind
from tests.simulation import toy


class BrainBug(AssertionError):
    """The supervisor sent what a brain must die of."""


@dataclass(slots=True)
class Undo:
    n: int
    before: bytes


@dataclass(slots=True, eq=False)
class Brain:
    """`inbox` and `outbox` are the port's two directions; `buffer` is what was not flushed."""

    id: int
    lsn: int = 0
    epoch: int = 0
    state: toy.State = field(default_factory=toy.State)
    lease: int = 0
    n: int = 0
    """Of the last delivery under the lease."""
    undo: list[Undo] = field(default_factory=list[Undo])
    inbox: deque[bytes] = field(default_factory=deque[bytes])
    outbox: deque[bytes] = field(default_factory=deque[bytes])
    buffer: list[bytes] = field(default_factory=list[bytes])
    cell: int = 0
    key: bytes = b""
    """Of the call now executing, or executed last."""
    hung: bool = False
    slow: list[Any] | None = None
    """The request that it would execute in the end, when it hangs in one of these."""
    doomed: Delivery | None = None
    """What it is to be ended for, as it took too long."""
    dead: bool = False
    """It died of what it executes."""
    stopped: bool = False
    """By what it executes."""
    large: bool = False
    """It takes more memory than it may."""
    within_n: int = 0
    """The delivery that went alone to it, when it was not large."""
    babbled: bool = False
    """It has said what it must not."""
    nonsense: dict[int, bytes] = field(default_factory=dict[int, bytes])
    """n and key of the calls whose effects are none."""
    wants: list[list[Any]] = field(default_factory=list[list[Any]])
    """load, checkpoint, spawn: what the world has to do for it."""

    @property
    def able(self) -> bool:
        """Whether it can do anything more."""
        return not self.hung and not self.dead

    def say_ready(self) -> None:
        self.say([2, "ready", [{"lsn": self.lsn, "epoch": self.epoch}]])

    def say(self, message: list[Any]) -> None:
        self.outbox.append(packing.pack(message))

    def flush(self) -> None:
        self.outbox.extend(self.buffer)
        self.buffer.clear()

    def step(self) -> None:
        """Take one message from the port."""
        message: Any = packing.unpack(self.inbox.popleft())
        if message[0] == 0:
            self._request(message[1], message[2], message[3])
        else:
            self._note(message[1], message[2])

    def _request(self, n: int, method: str, params: list[Any]) -> None:
        if method in ("read", "read_state"):
            self._read(n, method, params[0])
            return
        if not self.lease or params[0] != self.lease:
            raise BrainBug(f"brain {self.id} has lease {self.lease}, got {method} of {params[0]}")
        if n != self.n + 1:
            raise BrainBug(f"brain {self.id} got delivery {n} behind {self.n}")
        self.n = n
        if method == "state":
            if self._survives("", params[1]):
                self.buffer.append(packing.pack([1, n, None, [self.lease, self.state.seen()]]))
            return
        _, key, request = params
        self.cell, self.key = n, packing.pack(key)
        self.slow = request if request[0] == toy.SLOW else None
        if self._survives(request[0], []):
            self._execute(n, request)
            self.cell = 0
            if request[0] == toy.LATE:
                self.buffer.pop()
                self.dead = True
            elif request[0] == toy.MISSPEAK:
                self.buffer[-1] = packing.pack([1, n + 1000, None, [self.lease, b"", b"", b""]])
                self.babbled = True

    def doom(self, delivery: Delivery) -> None:
        """It will be ended for this, which may get through until then, and so may others."""
        self.doomed = delivery
        if self.slow is not None and self.slow[1] == [False]:
            self.get_through()

    def get_through(self) -> None:
        """It executes what it hangs in, when that is slow and no more."""
        if self.slow is not None and self.hung:
            self._execute(self.cell, self.slow)
            self.cell, self.slow, self.hung = 0, None, False

    def _survives(self, op: str, path: list[str]) -> bool:
        self.dead = op in toy.KILLS or toy.POISONED_PATH in path
        self.hung = op in toy.HANGS
        self.stopped = op in toy.STOPS
        self.large = self.large or op == toy.GROW
        return self.able

    def _read(self, message_id: int, method: str, asked: Any) -> None:
        """As a follower: without a lease, and without the cell."""
        reads_state = method == "read_state"
        if not self._survives("" if reads_state else asked[0], asked if reads_state else []):
            return
        self.flush()
        self.say([1, message_id, None, [0, self.state.seen()]])

    def _execute(self, n: int, request: list[Any]) -> None:
        before = self.state.packed()
        done = toy.execute(self.state, packing.pack(request))
        if request[0] in toy.QUERIES:
            self.buffer.append(packing.pack([1, n, None, [self.lease, done.outcome]]))
            return
        if request[0] == toy.NONSENSE:
            self.nonsense[n] = self.key
        self.undo.append(Undo(n, before))
        answer = [self.lease, done.outcome, done.ops, done.effects]
        self.buffer.append(packing.pack([1, n, None, answer]))

    def _note(self, method: str, params: list[Any]) -> None:
        match method:
            case "record":
                self._records(params[0])
            case "confirm":
                n, self.lsn = params
                self.epoch = self.lease
                self.undo = [undo for undo in self.undo if undo.n > n]
            case "lease":
                epoch, lsn = params
                if lsn != self.lsn or self.undo:
                    raise BrainBug(f"brain {self.id} at {self.lsn} got a lease at {lsn}")
                self.lease = self.epoch = epoch
                self.n = 0
            case "fence":
                self.fence()
                self.say([2, "fenced", [self.lsn]])
            case "load" | "checkpoint" | "spawn":
                self._check_want(method, params)
                self.wants.append([method, *params])
            case _:
                raise BrainBug(f"message {method}")

    def _check_want(self, method: str, params: list[Any]) -> None:
        if method == "load" and self.lease:
            raise BrainBug(f"brain {self.id} has the lease and is to load")
        if method != "load" and self.undo:
            raise BrainBug(f"{method} with {len(self.undo)} unconfirmed")
        if method == "checkpoint" and params[0] != self.lsn:
            raise BrainBug(f"checkpoint of {params[0]}, brain {self.id} is at {self.lsn}")

    def _records(self, data: bytes) -> None:
        if self.lease:
            raise BrainBug(f"brain {self.id} has the lease and got records")
        at = 0
        while at < len(data):
            decoded = records.decode(data, at)
            assert decoded is not None
            record, at = decoded
            if record.lsn != self.lsn + 1:
                raise BrainBug(f"brain {self.id} at {self.lsn} got record {record.lsn}")
            self.apply(record)

    def apply(self, record: records.Record) -> None:
        if record.kind is Kind.COMMIT:
            parts: Any = packing.unpack(b"\x93" + record.commit)
            toy.apply(self.state, parts[1])
        self.lsn, self.epoch = record.lsn, record.epoch

    def fence(self) -> None:
        """Undo what was not confirmed, and follow."""
        if self.undo:
            self.state = toy.State.unpacked(self.undo[0].before)
            self.undo.clear()
        self.buffer.clear()
        self.nonsense.clear()
        self.lease = 0
        self.cell = 0
