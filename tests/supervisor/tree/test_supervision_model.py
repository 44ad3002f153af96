"""The core against the naive supervisor: the same script, the same deeds, answers, states."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from osupervisor.supervisor.tree.actions import (
    Action,
    AllReady,
    AskDelete,
    AskRestart,
    AskStart,
    AskTerminate,
    Ended,
    KillChild,
    Reply,
    Request,
    StartChild,
    StopChild,
)
from osupervisor.supervisor.tree.backoff import NO_BACKOFF
from osupervisor.supervisor.tree.cause import KILLED, NORMAL, SHUTDOWN, Cause, CauseKind
from osupervisor.supervisor.tree.child import Handle, Init
from osupervisor.supervisor.tree.child_spec import ChildSpec, Flags
from osupervisor.supervisor.tree.child_table import Phase, Started
from osupervisor.supervisor.tree.errors import TreeError
from osupervisor.supervisor.tree.supervision import Supervision
from tests.supervisor.tree.naive_supervisor import NaiveChild, NaiveSupervisor, Start, State

CRASH = Cause(CauseKind.ERROR, "it crashed")
IDS = ("a", "b", "c", "d", "e")
STATES: dict[Phase, State] = {
    Phase.STOPPED: "undefined",
    Phase.RUNNING: "running",
    Phase.RESTARTING: "restarting",
}


class Fates:
    """What the next start of each child comes to: the same for the core and the model."""

    def __init__(self, fates: dict[str, list[Start]]) -> None:
        self._left = {child_id: list(list_) for child_id, list_ in fates.items()}

    def __call__(self, child_id: str) -> Start:
        left = self._left.get(child_id)
        return left.pop(0) if left else "ok"


class World:
    """Carries out what the core wants, at once."""

    def __init__(self, flags: Flags, specs: Sequence[ChildSpec], fates: Fates) -> None:
        self.core = Supervision("top", flags, specs, itertools.count(1), lambda: 0.5)
        self.log: list[str] = []
        self.is_over = False
        self.is_ready = False
        self.now = 0.0
        self._fates = fates
        self._answers: dict[int, Started | TreeError | None] = {}
        self._ids: dict[int, str] = {}
        self._numbers = itertools.count(1)

    def ask(self, request: Request) -> str:
        number = next(self._numbers)
        self.do(self.core.ask(self.now, number, request))
        answer = self._answers[number]
        match answer:
            case None:
                return "ok"
            case TreeError():
                return answer.code
            case Started(child=None):
                return "ignore"
            case _:
                return "ok"

    def die(self, child_id: str, cause: Cause) -> None:
        child = self.core.table.get(child_id)
        assert child is not None
        self.do(self.core.exited(self.now, child.incarnation, cause))

    def do(self, actions: list[Action]) -> None:
        todo = list(actions)
        while todo:
            todo.extend(self._carry_out(todo.pop(0)))

    def states(self) -> list[tuple[str, State]]:
        return [(child.id, STATES[child.phase]) for child in self.core.table]

    def _carry_out(self, action: Action) -> list[Action]:
        match action:
            case StartChild(incarnation, spec):
                self._ids[incarnation] = spec.id
                return self._start(incarnation, spec.id)
            case StopChild(incarnation):
                return self._stop(incarnation, SHUTDOWN)
            case KillChild(incarnation):
                return self._stop(incarnation, KILLED)
            case Reply(number, answer):
                assert number not in self._answers
                self._answers[number] = answer
            case Ended():
                self.is_over = True
            case AllReady():
                self.is_ready = True
            case _:
                pass
        return []

    def _start(self, incarnation: int, child_id: str) -> list[Action]:
        fate = self._fates(child_id)
        self.log.append(f"{fate} {child_id}")
        if fate == "ok":
            return self.core.ready(self.now, incarnation, None, None)
        if fate == "ignore":
            assert self.core.ignored(self.now, incarnation) == []
            return self.core.exited(self.now, incarnation, NORMAL)
        return self.core.exited(self.now, incarnation, CRASH)

    def _stop(self, incarnation: int, cause: Cause) -> list[Action]:
        self.log.append(f"stop {self._ids[incarnation]}")
        return self.core.exited(self.now, incarnation, cause)


def _no_start(init: Init) -> Handle:
    raise AssertionError(init)


@dataclass(frozen=True)
class Deed:
    verb: Literal["die", "start", "terminate", "restart", "delete", "pass"]
    child_id: str
    restart: str
    is_peaceful: bool
    elapsed_s: float


restarts = st.sampled_from(("permanent", "transient", "temporary"))
deeds = st.builds(
    Deed,
    verb=st.sampled_from(("die", "die", "die", "start", "terminate", "restart", "delete", "pass")),
    child_id=st.sampled_from(IDS),
    restart=restarts,
    is_peaceful=st.booleans(),
    elapsed_s=st.sampled_from((0.0, 0.0, 1.0, 5.0, 5.5)),
)
fates = st.dictionaries(
    st.sampled_from(IDS),
    st.lists(st.sampled_from(("ok", "ok", "ok", "fail", "ignore")), max_size=8),
)


def _spec(child_id: str, restart: Any, shutdown: Any = 1.0) -> ChildSpec:
    return ChildSpec(child_id, _no_start, restart, shutdown)


def _do(deed: Deed, world: World, naive: NaiveSupervisor) -> None:
    child_id = deed.child_id
    world.now += deed.elapsed_s
    match deed.verb:
        case "die":
            child = naive.find(child_id)
            if child is not None and child.state == "running":
                naive.die(child_id, deed.is_peaceful, world.now)
                world.die(child_id, NORMAL if deed.is_peaceful else CRASH)
        case "start":
            answer = naive.start_child(NaiveChild(child_id, deed.restart))
            assert world.ask(AskStart(_spec(child_id, deed.restart))) == answer
        case "terminate":
            assert world.ask(AskTerminate(child_id)) == naive.terminate_child(child_id)
        case "restart":
            assert world.ask(AskRestart(child_id)) == naive.restart_child(child_id)
        case "delete":
            assert world.ask(AskDelete(child_id)) == naive.delete_child(child_id)
        case "pass":
            pass


@settings(max_examples=1000, deadline=None)
@given(
    strategy=st.sampled_from(("one_for_one", "rest_for_one")),
    intensity=st.integers(0, 5),
    types=st.lists(restarts, max_size=4),
    shutdowns=st.lists(st.sampled_from((1.0, "brutal_kill", "infinity")), min_size=4, max_size=4),
    fated=fates,
    script=st.lists(deeds, max_size=25),
)
def test_the_core_does_what_otp_does(
    strategy: Any,
    intensity: int,
    types: list[str],
    shutdowns: list[Any],
    fated: dict[str, list[Start]],
    script: list[Deed],
) -> None:
    naive = NaiveSupervisor(strategy, intensity, 5.0, Fates(fated))
    flags = Flags(strategy, intensity, 5.0, NO_BACKOFF)
    named = list(zip(IDS, types, shutdowns, strict=False))
    world = World(flags, [_spec(i, r, s) for i, r, s in named], Fates(fated))
    begun = naive.begin([NaiveChild(i, r) for i, r, _ in named])
    world.do(world.core.begin(world.now))
    assert (world.is_ready, world.log) == (begun, naive.log)
    for deed in script:
        if naive.is_over:
            break
        _do(deed, world, naive)
        assert world.log == naive.log
        assert world.is_over == naive.is_over
        assert world.is_over or world.states() == naive.states()
