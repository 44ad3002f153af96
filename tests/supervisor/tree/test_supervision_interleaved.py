"""The core among children that answer late, die at any moment, hang, or outlive their kill.

Whatever happens in whatever order: what must always hold is checked after each event, and
at the end every caller has been answered and nothing is left alive.
"""

import itertools
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from osupervisor.supervisor.tree.actions import (
    Action,
    AllReady,
    AskDelete,
    AskRestart,
    AskStart,
    AskTerminate,
    Ended,
    ForgetChild,
    KillChild,
    Publish,
    Reply,
    Request,
    StartChild,
    StopChild,
)
from osupervisor.supervisor.tree.backoff import Backoff
from osupervisor.supervisor.tree.cause import KILLED, NORMAL, SHUTDOWN, Cause, CauseKind
from osupervisor.supervisor.tree.child import Handle, Init
from osupervisor.supervisor.tree.child_spec import ChildSpec, Flags
from osupervisor.supervisor.tree.child_table import Phase
from osupervisor.supervisor.tree.supervision import Supervision

IDS = ("a", "b", "c", "d")
CAUSES = (NORMAL, SHUTDOWN, Cause(CauseKind.ERROR, "it crashed"), Cause(CauseKind.SIGNAL, number=9))
START_TIMEOUT_S = 3.0
SHUTDOWN_S = 2.0


def _no_start(init: Init) -> Handle:
    raise AssertionError(init)


specs = st.builds(
    ChildSpec,
    id=st.sampled_from(IDS),
    start=st.just(_no_start),
    restart=st.sampled_from(("permanent", "transient", "temporary")),
    shutdown=st.sampled_from((SHUTDOWN_S, "brutal_kill", "infinity")),
    type=st.sampled_from(("worker", "supervisor")),
    start_timeout_s=st.sampled_from((START_TIMEOUT_S, "infinity")),
)
requests = st.one_of(
    st.builds(AskStart, specs),
    st.builds(AskTerminate, st.sampled_from(IDS)),
    st.builds(AskRestart, st.sampled_from(IDS)),
    st.builds(AskDelete, st.sampled_from(IDS)),
)


class Interleaved(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.alive: dict[int, str] = {}  # incarnation -> id, by what the core was told
        self.starting: set[int] = set()
        self.asked_to_end: set[int] = set()
        self.killed: set[int] = set()
        self.forgotten: set[int] = set()
        self.waiting_callers: set[int] = set()
        self.numbers = itertools.count(1)
        self.ended: Ended | None = None
        self.is_ending = False
        self.stopped_in_the_end: list[int] = []
        self.restarts: list[float] = []

    @initialize(
        children=st.lists(specs, max_size=4, unique_by=lambda spec: spec.id),
        strategy=st.sampled_from(("one_for_one", "rest_for_one")),
        intensity=st.integers(0, 4),
        backoff=st.sampled_from((Backoff(0.0, 0.0), Backoff(0.5, 4.0))),
    )
    def begin(self, children: Any, strategy: Any, intensity: int, backoff: Backoff) -> None:
        flags = Flags(strategy, intensity, 5.0, backoff)
        self.core = Supervision("top", flags, children, itertools.count(1), lambda: 0.5)
        self.do(self.core.begin(self.now))

    # What children do

    @precondition(lambda self: self.starting)
    @rule(data=st.data())
    def become_ready(self, data: st.DataObject) -> None:
        incarnation = data.draw(st.sampled_from(sorted(self.starting)))
        self.starting.discard(incarnation)
        self.do(self.core.ready(self.now, incarnation, 1000 + incarnation, None))

    @precondition(lambda self: self.starting)
    @rule(data=st.data())
    def ignore(self, data: st.DataObject) -> None:
        incarnation = data.draw(st.sampled_from(sorted(self.starting)))
        self.do(self.core.ignored(self.now, incarnation))
        self.exit(incarnation, NORMAL)

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), cause=st.sampled_from(CAUSES))
    def die(self, data: st.DataObject, cause: Cause) -> None:
        self.exit(data.draw(st.sampled_from(sorted(self.alive))), cause)

    @precondition(lambda self: self.asked_to_end | self.killed)
    @rule(data=st.data())
    def obey(self, data: st.DataObject) -> None:
        incarnation = data.draw(st.sampled_from(sorted(self.asked_to_end | self.killed)))
        self.exit(incarnation, KILLED if incarnation in self.killed else SHUTDOWN)

    # What others do

    @rule(elapsed_s=st.sampled_from((0.1, 1.0, 2.0, 3.0, 10.0)))
    def let_time_pass(self, elapsed_s: float) -> None:
        self.now += elapsed_s
        self.do(self.core.tick(self.now))

    @precondition(lambda self: self.core.deadline_s() is not None)
    @rule()
    def come_to_the_deadline(self) -> None:
        deadline_s = self.core.deadline_s()
        assert deadline_s is not None
        self.now = max(self.now, deadline_s)
        self.do(self.core.tick(self.now))

    @rule(request=requests)
    def ask(self, request: Request) -> None:
        number = next(self.numbers)
        self.waiting_callers.add(number)
        self.do(self.core.ask(self.now, number, request))

    @rule(by_force=st.sampled_from((False, False, False, True)))
    def stop(self, by_force: bool) -> None:
        self.is_ending = True
        self.do(self.core.kill(self.now) if by_force else self.core.stop(self.now))

    # What must hold

    @invariant()
    def one_thing_at_a_time(self) -> None:
        being_stopped = (self.asked_to_end | self.killed) & set(self.alive)
        assert len((self.starting & set(self.alive)) | being_stopped) <= 1 + self.is_ending

    @invariant()
    def views_are_true(self) -> None:
        if not hasattr(self, "core") or self.ended is not None:
            return
        for view in self.core.table.views():
            if view.child is not None and view.phase is Phase.RUNNING:
                exited = view.child.number not in self.alive
                assert not exited or view.child.number in self.forgotten

    def teardown(self) -> None:
        """It can always be ended, and then nothing is left."""
        if not hasattr(self, "core"):
            return
        self.stop(by_force=False)
        for _ in range(100):
            if self.ended is not None:
                break
            self.settle_one()
        assert self.ended is not None
        assert self.waiting_callers == set()
        assert self.alive == {}
        assert self.core.deadline_s() is None
        assert len(self.core.chronicle.deaths) <= 100

    def settle_one(self) -> None:
        deadline_s = self.core.deadline_s()
        if self.asked_to_end | self.killed:
            self.exit(min(self.asked_to_end | self.killed), SHUTDOWN)
        elif deadline_s is not None:
            self.now = max(self.now, deadline_s)
            self.do(self.core.tick(self.now))

    # The world

    def exit(self, incarnation: int, cause: Cause) -> None:
        """Also of an incarnation that was given up: that must not matter."""
        for some in (self.starting, self.asked_to_end, self.killed):
            some.discard(incarnation)
        self.alive.pop(incarnation, None)
        self.do(self.core.exited(self.now, incarnation, cause))

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            assert self.ended is None or isinstance(action, Reply), f"{action} after the end"
            self.carry_out(action)

    def carry_out(self, action: Action) -> None:
        match action:
            case StartChild(incarnation, spec):
                assert not self.is_ending
                assert incarnation not in self.forgotten
                assert spec.id not in self.alive.values(), "two of one child"
                self.alive[incarnation] = spec.id
                self.starting.add(incarnation)
            case StopChild(incarnation):
                assert incarnation in self.alive and incarnation not in self.asked_to_end
                self.asked_to_end.add(incarnation)
                self.note_stop(incarnation)
            case KillChild(incarnation):
                assert incarnation in self.alive and incarnation not in self.killed
                self.killed.add(incarnation)
                self.note_stop(incarnation)
            case ForgetChild(incarnation):
                assert incarnation not in self.forgotten
                self.forgotten.add(incarnation)
                for some in (self.starting, self.asked_to_end, self.killed):
                    some.discard(incarnation)
                self.alive.pop(incarnation, None)
            case Reply(number, _):
                self.waiting_callers.remove(number)
            case Ended():
                self.ended = action
                self.is_ending = True
            case AllReady() | Publish():
                pass

    def note_stop(self, incarnation: int) -> None:
        """In the end, the last started goes first: in the table's order."""
        if not self.is_ending or incarnation in self.stopped_in_the_end:
            return
        order = self.core.table.ids()
        positions = [
            order.index(self.alive[i]) for i in self.stopped_in_the_end[1:] if i in self.alive
        ]
        here = order.index(self.alive[incarnation])
        assert all(here <= position for position in positions)
        self.stopped_in_the_end.append(incarnation)


TestInterleaved = Interleaved.TestCase
TestInterleaved.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
