"""The core on a bench: a log in a list, brains as lists of messages, one call for each event."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from osupervisor.bridge import frames, packing
from osupervisor.bridge.port_messages import PORT_FRAME_BYTES_MAX
from osupervisor.supervisor.core import key as keys
from osupervisor.supervisor.core.call import Call, Waiter
from osupervisor.supervisor.core.context import Context, Limits
from osupervisor.supervisor.core.core import Core
from osupervisor.supervisor.core.fold import Fold
from osupervisor.supervisor.core.key import Key
from osupervisor.supervisor.core.outbox import Action
from osupervisor.supervisor.core.response import Response
from osupervisor.wal import record as records
from osupervisor.wal.record import Kind, Record

BEGIN_US = 1_700_000_000_000_000
NO_EFFECTS = b"\x90"
QUERIES = frozenset({"read"})
DONE = b"\xc0\xc0"


@dataclass(frozen=True, slots=True)
class Memory:
    """The bounds of the idempotency table."""

    window_us: int = 600_000_000
    keys_max: int = 50_000
    clients_max: int = 20_000
    entries_max: int = 50_000

    def fold(self) -> Fold:
        return Fold(self.window_us, self.keys_max, self.clients_max, self.entries_max)


class Asker:
    """One connection: what it was answered, by message id."""

    def __init__(self) -> None:
        self.answers: dict[int, bytes] = {}

    def answer(self, message_id: int, outcome: bytes) -> bool:
        raise AssertionError("the rig hands out answers")

    def flush(self) -> None:
        raise AssertionError("the rig hands out answers")

    def when_read(self, answer: Callable[[], None]) -> None:
        raise AssertionError("the rig hands out answers")


class Rig:
    """Events go in by methods; `answers`, `said` and `actions` hold what came out."""

    def __init__(
        self,
        *,
        always: bool = False,
        limits: Limits | None = None,
        memory: Memory | None = None,
        ring_bytes_max: int = 1 << 20,
        log: list[bytes] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.memory = memory or Memory()
        self.log: list[bytes] = [] if log is None else log
        fold = self.memory.fold()
        for record in self.records():
            fold.apply(record)
        self.core = Core(
            fold,
            always=always,
            boot=7,
            seed=1,
            limits=self.limits,
            ring_bytes_max=ring_bytes_max,
            since_control=0,
            newest=[],
        )
        self.asker = Asker()
        self.said: dict[int, list[Any]] = {}
        """Messages to each brain, decoded."""
        self.actions: list[Action] = []
        self.asked = 0
        self.full = False
        """The disk takes nothing."""
        self.core.at(BEGIN_US)

    @property
    def context(self) -> Context:
        return self.core.context

    @property
    def now_us(self) -> int:
        return self.context.now_us

    def records(self) -> Iterator[Record]:
        for data in self.log:
            found = records.decode(data, 0)
            assert found is not None
            yield found[0]

    def kinds(self) -> list[Kind]:
        return [record.kind for record in self.records()]

    # --- events

    def wait(self, seconds: float) -> None:
        self.core.at(self.now_us + int(seconds * 1e6))

    def tick(self, executing: int = 0) -> None:
        self.core.tick(executing)
        self.turn()

    def call(
        self,
        op: str = "add",
        *args: object,
        key: Key | None = None,
        seen: int = 0,
        durable: bool = False,
        timeout_s: float = 0,
        path: list[str] | None = None,
    ) -> int:
        """A call arrives. `path`: a read of the state. Its message id."""
        self.asked += 1
        params = packing.pack(op) + packing.pack(args) + b"\x80"
        if path is not None:
            params = packing.pack(path)
        self.core.call(
            Call(
                key=key or "",
                key_bytes=b"" if key is None else keys.encode(key, seen),
                seen=seen,
                op=op,
                params=params,
                crc=zlib.crc32(params),
                waiters=[Waiter(self.asker, self.asked, durable)],
                admitted_us=self.now_us,
                timeout_us=int(timeout_s * 1e6),
                query=op in QUERIES or path is not None,
                method="call" if path is None else "state",
            )
        )
        return self.asked

    def ready(
        self, brain: int, lsn: int | None = None, epoch: int | None = None, *, safe: bool = False
    ) -> None:
        """A brain says that it is at `lsn`, by default the log's end."""
        at = len(self.log) if lsn is None else lsn
        of = self.context.fold.epoch_at(at) if epoch is None else epoch
        assert of is not None
        self.core.ready(
            brain, at, of, version="v", abilities=frozenset(), queries=QUERIES, safe=safe
        )
        self.turn()

    def respond(
        self,
        n: int,
        outcome: bytes = DONE,
        *,
        effects: bytes = NO_EFFECTS,
        brain: int | None = None,
        epoch: int | None = None,
        query: bool = False,
    ) -> None:
        """The primary, or `brain`, answers delivery n; the turn is not taken yet."""
        lease = self.context.lease
        if brain is None:
            assert lease.holder is not None
            brain = lease.holder.id
        commit = b"".join(packing.pack(part) for part in (outcome, b"\x90", effects))
        told = None if query else effects
        of = lease.epoch if epoch is None else epoch
        self.core.responses(brain, [Response(n, of, outcome, told, commit)])

    def turn(self, whole: int | None = None) -> None:
        """Decide, append, carry out. `whole`: the next append breaks off behind so many records."""
        while offered := self.core.turn():
            if self.full or whole is not None:
                kept = 0 if whole is None else whole
                self.log += offered[:kept]
                self.core.cut_short(kept, "no space")
                break
            self.log += offered
            self.core.written()
        self.carry_out()

    def carry_out(self) -> None:
        out = self.core.out
        self.actions += out.actions
        out.actions.clear()
        for brain in self.core.brains.values():
            if brain.records:
                brain.frame_records()
            bodies, _ = frames.split(b"".join(brain.out), PORT_FRAME_BYTES_MAX)
            brain.out.clear()
            self.said.setdefault(brain.id, []).extend(map(packing.unpack, bodies))
        for waiter, outcome in out.answers:
            assert waiter.asker is self.asker
            assert waiter.message_id not in self.asker.answers, "two answers to one call"
            self.asker.answers[waiter.message_id] = outcome
        out.answers.clear()

    def break_disk(self) -> None:
        """A sync fails: the log takes no records."""
        self.core.sync_failed("EIO")
        self.turn()

    def heal(self) -> None:
        self.core.healed()
        self.turn()

    def restart(self) -> "Rig":
        """The supervisor that comes after this one, with this one's log and nothing else."""
        return Rig(
            always=self.context.log.always,
            limits=self.limits,
            memory=self.memory,
            log=list(self.log),
        )

    # --- what came out

    def take(self, brain: int) -> list[Any]:
        """What the brain was told since the last time."""
        return self.said.pop(brain, [])

    def methods(self, brain: int) -> list[str]:
        """The names of what the brain was told since the last time."""
        return [each[2] if each[0] == 0 else each[1] for each in self.take(brain)]

    def answered(self, message_id: int) -> bool:
        return message_id in self.asker.answers

    def error(self, message_id: int) -> dict[str, Any]:
        """The error that a call was answered with; empty for a result."""
        found: Any = packing.unpack(b"\x92" + self.asker.answers[message_id])
        return found[0] or {}

    def code(self, message_id: int) -> str:
        """The code of the answer's error; empty for a result, `-` without an answer."""
        if not self.answered(message_id):
            return "-"
        return str(self.error(message_id).get("code", ""))

    def acted(self, kind: type[Action]) -> list[Any]:
        return [action for action in self.actions if isinstance(action, kind)]


def small(**bounds: int) -> Limits:
    """Limits with some of their bounds changed."""
    return replace(Limits(), **bounds)


def effects(*asked: list[object]) -> bytes:
    return packing.pack(list(asked))


def cast(op: str = "add", *args: object) -> list[object]:
    return ["cast", op, list(args), {}]


def after(seconds: float, op: str = "add", *args: object) -> list[object]:
    return ["after", int(seconds * 1e6), op, list(args), {}]


def client(age_s: float = 0.0, name: bytes = b"12345678") -> bytes:
    """A library client's name, made `age_s` before the rig's time begins."""
    return (BEGIN_US - int(age_s * 1e6)).to_bytes(8, "big") + name
