"""Runs a brain in this process, for its author's own tests. No supervisor, no files, no clock.

    from osupervisor.brain.testing import run

    def test_hits_are_counted() -> None:
        counter = run(Counter)
        assert counter.call("add", "hits", n=3) == 3
        counter.advance(60)                        # log time moves, timers fire
        assert counter.events[-1].name == "counter.ticked"
        counter.crash()                            # as kill -9: from the log alone
        assert counter.state == {"hits": 3}
        counter.check()                            # a replay and a second execution agree

What executes, undoes and follows is what does so in the service. An op that fails raises the
error that a client would get (`OpFailed`, `InvalidArguments`, `OpNotFound`), with the traceback as
a note; the log keeps the failure as the service's does. Casts run right behind the call that asked
for them. A change that C code made to the state behind its back is found (UnrecordedChangeError).
"""

import random
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from osupervisor.brain import purity
from osupervisor.brain.api import Brain
from osupervisor.brain.context import unpack_effects
from osupervisor.brain.errors import path_text
from osupervisor.brain.executor import Executor
from osupervisor.brain.follower import Follower, parts_of
from osupervisor.brain.packing import decode, encode, new_decoder
from osupervisor.brain.program import compile_program
from osupervisor.brain.state import StateTree
from osupervisor.brain.witness import Witness, first_difference
from osupervisor.bridge.errors import ServiceError, from_map
from osupervisor.wal.record import Kind, Record
from osupervisor.wal.record import decode as decode_record
from osupervisor.wal.record import encode as encode_record

START_UNIX_S: Final = 1_700_000_000.0
CASTS_MAX: Final = 10_000
"""Casts that one call may set off, directly or not; more is taken for an endless loop."""
CLIENT: Final = "test"

B = TypeVar("B", bound=Brain)


@dataclass(frozen=True, slots=True)
class Event:
    """What `emit` published, and the LSN of its commit."""

    name: str
    payload: dict[str, Any]
    lsn: int


@dataclass(frozen=True, slots=True)
class Pending:
    """A cast or timer that has not run. `key` is (epoch, lsn, i); `due_us` is log time."""

    key: tuple[int, int, int]
    due_us: int
    op: str
    args: list[Any]
    kwargs: dict[str, Any]


class Harness(Generic[B]):
    """One brain with its log in memory; see the module. `seed` decides all of `self.random`."""

    def __init__(self, brain: type[B], *, unix_s: float = START_UNIX_S, seed: int = 0) -> None:
        """Raises LoadError when the class can't be a brain."""
        purity.install()
        self._program = compile_program(brain)
        self._seeds = random.Random(seed)
        self._t_us = round(unix_s * 1e6)
        self._number = 0
        self._epoch = 0
        self.log: list[bytes] = []
        """The records, as the service writes them."""
        self.events: list[Event] = []
        self.pending: dict[tuple[int, int, int], Pending] = {}
        self.failures: list[ServiceError] = []
        """What casts and timers failed with; nobody else gets these."""
        self._start()

    @property
    def state(self) -> dict[Any, Any]:
        """A copy of the state, in plain dicts and lists."""
        return self._tree.plain()[0]

    @property
    def hot(self) -> dict[str, int | float]:
        """A copy of the hot counters."""
        return cast(dict[str, int | float], self._tree.plain()[1])

    @property
    def now(self) -> float:
        """Log time in unix seconds; only `advance` moves it."""
        return self._t_us / 1e6

    def call(self, op: str, /, *args: Any, **kwargs: Any) -> Any:
        """Execute an op or a query as a client's call does; its result as a client gets it.

        Raises ServiceError: OpFailed, InvalidArguments, OpNotFound.
        """
        self._number += 1
        try:
            return self._execute([CLIENT, self._number, 0], op, list(args), kwargs)
        finally:
            self._run_casts()

    def advance(self, seconds: float) -> None:
        """Let log time pass; timers that come due run in order, each at its own time."""
        end_us = self._t_us + round(seconds * 1e6)
        while (due := self._next_due(end_us)) is not None:
            self._t_us = max(self._t_us, due.due_us)
            self._run(due)
            self._run_casts()
        self._t_us = max(self._t_us, end_us)

    def crash(self) -> None:
        """Lose the process, and go on from the log alone, under a new lease."""
        self._start()

    def check(self) -> None:
        """Follow the log from its beginning, and execute each of its requests again.

        Raises AssertionError that names the first request after which state, result, changes or
        effects differ: the op is not a function of state and request alone.
        """
        assert_equal(self._followed().tree, self._tree, "a follower of the log")
        self._check_executions()

    def _start(self) -> None:
        """A new process: its state is what the log says."""
        follower = self._followed()
        self._tree = follower.tree
        self._executor = Executor(self._program, self._tree)
        self._witness = Witness(self._tree)
        self._epoch += 1
        self._append(Kind.LEASE, b"", b"", b"")

    def _followed(self) -> Follower:
        follower = Follower(StateTree())
        for record in self.log:
            follower.apply(record)
        return follower

    def _execute(self, key: Any, op: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        request = [op, args, kwargs, self._t_us, self._seeds.getrandbits(64)]
        packed = encode(request)
        outcome, ops, effects, _undo = self._executor.execute(key, decode(packed))
        if ops is not None:
            self._witness.check(ops, whole=False)
            commit = encode(outcome) + encode(ops) + encode(effects)
            self._append(Kind.COMMIT, encode(key), packed, commit)
            self._carry_out(effects)
        return _result(outcome)

    def _append(self, kind: Kind, key: bytes, request: bytes, commit: bytes) -> None:
        lsn = len(self.log) + 1
        self.log.append(encode_record(lsn, self._epoch, kind, self._t_us, 0, key, request, commit))

    def _carry_out(self, effects: bytes) -> None:
        lsn = len(self.log)
        for index, (kind, *details) in enumerate(unpack_effects(effects)):
            if kind == "emit":
                self.events.append(Event(details[0], details[1], lsn))
                continue
            delay_us = details.pop(0) if kind == "after" else 0
            key = (self._epoch, lsn, index)
            self.pending[key] = Pending(key, self._t_us + delay_us, *details)

    def _run_casts(self) -> None:
        for _ in range(CASTS_MAX):
            due = self._next_due(self._t_us)
            if due is None:
                return
            self._run(due)
        raise AssertionError(f"over {CASTS_MAX} casts behind one call: do they ever end?")

    def _next_due(self, end_us: int) -> Pending | None:
        due = [pending for pending in self.pending.values() if pending.due_us <= end_us]
        return min(due, key=lambda pending: (pending.due_us, pending.key), default=None)

    def _run(self, due: Pending) -> None:
        del self.pending[due.key]
        try:
            self._execute(list(due.key), due.op, due.args, due.kwargs)
        except ServiceError as error:
            self.failures.append(error)

    def _check_executions(self) -> None:
        follower = Follower(StateTree())
        executor = Executor(self._program, follower.tree)
        for packed in self.log:
            found = decode_record(packed, 0)
            assert found is not None, "the log holds whole records"
            if found[0].kind is Kind.COMMIT:
                _check_execution(executor, found[0])
            follower.apply(packed)


def run(brain: type[B], *, unix_s: float = START_UNIX_S, seed: int = 0) -> Harness[B]:
    """A brain of this class with an empty log. Raises LoadError when the class can't be one."""
    return Harness(brain, unix_s=unix_s, seed=seed)


def assert_equal(found: StateTree, wanted: StateTree, what: str) -> None:
    """Raises AssertionError unless both hold the same, byte by byte: order is state."""
    for name, ours, theirs in zip(("state", "hot"), found.plain(), wanted.plain(), strict=True):
        path = first_difference(ours, theirs, (name,))
        if path is not None:
            raise AssertionError(
                f"{what} differs at {path_text(path)}: it has {ours!r:.1000}, not {theirs!r:.1000}"
            )


def _check_execution(executor: Executor, record: Record) -> None:
    """Execute the record's request on the state before it, compare, and undo."""
    request: list[Any] = decode(record.request)
    outcome, ops, effects, undo = executor.execute(decode(record.key), request)
    if undo is not None:
        executor.tree.rollback(undo)
    again = (outcome, ops, effects)
    for name, first, second in zip(
        ("result", "changes", "effects"), parts_of(record.commit), again, strict=True
    ):
        if first != second and not (name == "result" and _both_failed(first, outcome)):
            raise AssertionError(
                f"{request[0]} at LSN {record.lsn} has other {name} when it is executed again: "
                f"{_shown(name, second)}, not {_shown(name, first)}; "
                "does it use the time, random numbers, files or sets without self?"
            )


def _both_failed(first: bytes, second: bytes) -> bool:
    """Two failures are the same when their type is: messages may hold addresses."""
    failures = [_members(outcome)[0] for outcome in (first, second)]
    kinds = [failure and (failure["code"], failure["data"].get("type")) for failure in failures]
    return kinds[0] is not None and kinds[0] == kinds[1]


def _shown(name: str, part: bytes | None) -> str:
    value = _members(part or b"") if name == "result" else decode(part or b"\xc0")
    return f"{value!r:.500}"


def _members(outcome: bytes) -> tuple[dict[str, Any] | None, Any]:
    """The error map or None, and the result."""
    decoder = new_decoder(len(outcome) + 1)
    decoder.feed(outcome)
    return decoder.unpack(), decoder.unpack()


def _result(outcome: bytes) -> Any:
    failure, result = _members(outcome)
    if failure is None:
        return result
    error = from_map(failure)
    text = str(error.data.get("traceback") or "")
    if text:
        error.add_note(text)
    raise error
