"""The core event by event: what follows at once, what waits, and for how long."""

import itertools
from typing import Any

import pytest

from osupervisor.supervisor.tree.actions import (
    Action,
    AskDelete,
    AskStart,
    AskTerminate,
    Ended,
    KillChild,
    Publish,
    Reply,
    StartChild,
    StopChild,
)
from osupervisor.supervisor.tree.backoff import NO_BACKOFF, Backoff
from osupervisor.supervisor.tree.cause import SHUTDOWN, Cause, CauseKind
from osupervisor.supervisor.tree.child import Handle, Init
from osupervisor.supervisor.tree.child_spec import ChildSpec, Flags
from osupervisor.supervisor.tree.child_table import Phase
from osupervisor.supervisor.tree.errors import NoSupervisorError, NotFoundError
from osupervisor.supervisor.tree.reports import CrashReport, SupervisorReport
from osupervisor.supervisor.tree.steps import KILL_WAIT_S
from osupervisor.supervisor.tree.supervision import Supervision

CRASH = Cause(CauseKind.ERROR, "it crashed")


def _no_start(init: Init) -> Handle:
    raise AssertionError(init)


def _spec(child_id: str, **fields: Any) -> ChildSpec:
    return ChildSpec(child_id, _no_start, **fields)


def _core(*specs: ChildSpec, **flags: Any) -> Supervision:
    fields: dict[str, Any] = {"intensity": 5, "period_s": 10.0, "backoff": NO_BACKOFF, **flags}
    return Supervision("top", Flags(**fields), specs, itertools.count(1), lambda: 0.999999)


def _begun(*specs: ChildSpec, **flags: Any) -> Supervision:
    """All children ready at 0, with incarnations 1, 2, ..."""
    core = _core(*specs, **flags)
    core.begin(0.0)
    for number in range(1, len(specs) + 1):
        core.ready(0.0, number, None, None)
    return core


def _deeds(actions: list[Action]) -> list[Action]:
    """Without what is only told."""
    kinds = (StartChild, StopChild, KillChild, Reply, Ended)
    return [action for action in actions if isinstance(action, kinds)]


def _started(actions: list[Action]) -> list[int]:
    return [action.incarnation for action in actions if isinstance(action, StartChild)]


def test_between_two_tries_the_callers_are_served() -> None:
    core = _begun(_spec("a"), _spec("b"))
    assert _started(core.exited(1.0, 1, CRASH)) == [3]
    assert core.ask(1.0, 7, AskDelete("nobody")) == []
    reply, start = _deeds(core.exited(1.0, 3, CRASH))
    assert isinstance(reply, Reply) and isinstance(reply.answer, NotFoundError)
    assert isinstance(start, StartChild)


def test_a_restart_waits_longer_each_time_and_not_at_all_after_a_long_life() -> None:
    core = _begun(_spec("a"), intensity=50, backoff=Backoff(1.0, 30.0))
    now, waits = 0.0, list[float]()
    for incarnation in range(1, 6):
        now += 1.0
        began_s = now
        started = _started(core.exited(now, incarnation, CRASH))
        while not started:
            deadline_s = core.deadline_s()
            assert deadline_s is not None
            now = deadline_s
            started = _started(core.tick(now))
        waits.append(round(now - began_s, 3))
        core.ready(now, incarnation + 1, None, None)
    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0]
    assert _started(core.exited(now + 10.0, 6, CRASH)) == [7]


def test_a_tick_before_the_deadline_does_nothing() -> None:
    core = _begun(_spec("a"), backoff=Backoff(1.0, 30.0))
    core.exited(1.0, 1, CRASH)
    core.ready(1.0, 2, None, None)
    assert _deeds(core.exited(2.0, 2, CRASH)) == []
    assert core.tick(2.9) == []
    assert _started(core.tick(3.0)) == [3]


def test_those_that_go_down_with_a_waiting_child_are_down_while_it_waits() -> None:
    specs = [_spec("a"), _spec("b"), _spec("c")]
    core = _begun(*specs, strategy="rest_for_one", backoff=Backoff(1.0, 30.0))
    assert _deeds(core.exited(1.0, 2, CRASH)) == [StopChild(3)]
    assert _started(core.exited(1.0, 3, SHUTDOWN)) == [4]
    assert _started(core.ready(1.0, 4, None, None)) == [5]
    core.ready(1.0, 5, None, None)
    assert _deeds(core.exited(1.5, 4, CRASH)) == [StopChild(5)]
    core.exited(1.5, 5, SHUTDOWN)
    assert [child.phase for child in core.table] == [
        Phase.RUNNING,
        Phase.RESTARTING,
        Phase.STOPPED,
    ]
    assert _started(core.tick(2.6)) == [6]
    assert _started(core.ready(2.6, 6, None, None)) == [7]


def test_a_child_that_waits_and_is_taken_along_by_another_is_tried_once() -> None:
    core = _begun(_spec("a"), _spec("b"), strategy="rest_for_one", backoff=Backoff(1.0, 30.0))
    core.exited(1.0, 2, CRASH)
    core.ready(1.0, 3, None, None)
    core.exited(1.5, 3, CRASH)
    assert core.table.ids() == ("a", "b")
    assert _started(core.exited(1.6, 1, CRASH)) == [4]
    assert _started(core.ready(1.6, 4, None, None)) == [5]
    core.ready(1.6, 5, None, None)
    assert core.deadline_s() is None
    assert core.tick(5.0) == []


def test_the_shutdown_time_is_watched_and_then_the_kill() -> None:
    core = _begun(_spec("a", shutdown=2.0))
    assert _deeds(core.stop(5.0)) == [StopChild(1)]
    assert core.deadline_s() == 7.0
    assert core.tick(6.9) == []
    assert _deeds(core.tick(7.0)) == [KillChild(1)]
    assert core.deadline_s() == 7.0 + KILL_WAIT_S
    assert _deeds(core.tick(7.0 + KILL_WAIT_S)) == [Ended(SHUTDOWN)]
    assert core.exited(100.0, 1, CRASH) == []


def test_a_death_during_a_restart_waits_unless_the_plan_stops_that_child_anyway() -> None:
    core = _begun(_spec("a"), _spec("b"), _spec("c"), strategy="rest_for_one", intensity=1)
    assert _deeds(core.exited(1.0, 1, CRASH)) == [StopChild(3)]
    # b dies by itself before it is asked to end: no restart of its own is counted.
    assert _deeds(core.exited(1.0, 2, CRASH)) == []
    assert _started(core.exited(1.0, 3, SHUTDOWN)) == [4]
    assert _started(core.ready(1.0, 4, None, None)) == [5]
    assert _started(core.ready(1.0, 5, None, None)) == [6]
    core.ready(1.0, 6, None, None)
    assert not core.has_ended
    assert [death.id for death in core.chronicle.deaths] == ["a", "b"]


def test_every_caller_is_answered_when_the_end_comes() -> None:
    core = _begun(_spec("a", shutdown="infinity"))
    assert _deeds(core.ask(1.0, 1, AskTerminate("a"))) == [StopChild(1)]
    assert core.ask(1.0, 2, AskStart(_spec("b"))) == []
    replies = _deeds(core.stop(2.0))
    assert [r.number for r in replies if isinstance(r, Reply)] == [1, 2]
    late = _deeds(core.ask(2.0, 3, AskDelete("a")))
    for reply in (*replies, *late):
        assert isinstance(reply, Reply) and isinstance(reply.answer, NoSupervisorError)
    assert _deeds(core.exited(3.0, 1, SHUTDOWN)) == [Ended(SHUTDOWN)]
    assert len(_deeds(core.ask(4.0, 4, AskDelete("a")))) == 1


def test_force_reaches_also_the_child_that_is_being_asked_politely() -> None:
    core = _begun(_spec("a"), _spec("b", shutdown="infinity"))
    assert _deeds(core.stop(1.0)) == [StopChild(2)]
    assert _deeds(core.kill(2.0)) == [KillChild(2)]
    killed = Cause(CauseKind.KILLED)
    assert _deeds(core.exited(2.0, 2, killed)) == [KillChild(1)]
    assert _deeds(core.exited(2.0, 1, killed)) == [Ended(SHUTDOWN)]
    assert list(core.chronicle.deaths) == []


def test_a_permanent_child_that_just_ends_when_asked_is_complained_of() -> None:
    for restart, complaints in (("permanent", 1), ("transient", 0)):
        core = _begun(_spec("a", restart=restart))
        core.stop(1.0)
        core.exited(1.0, 1, Cause(CauseKind.NORMAL))
        assert len(core.chronicle.deaths) == complaints


def test_a_try_that_was_due_is_void_once_the_child_waits_anew() -> None:
    specs = [_spec("c"), _spec("z"), _spec("a")]
    core = _begun(*specs, strategy="rest_for_one", backoff=Backoff(1.0, 30.0))
    assert _started(core.exited(1.0, 3, CRASH)) == [4]
    core.ready(1.0, 4, None, None)
    assert _deeds(core.exited(1.5, 4, CRASH)) == []
    assert _deeds(core.ask(1.6, 1, AskTerminate("c"))) == [StopChild(1)]
    core.exited(1.7, 2, CRASH)
    assert core.tick(2.6) == []
    assert _started(core.exited(2.7, 1, SHUTDOWN)) == [5]
    assert _started(core.ready(2.7, 5, None, None)) == [6]
    assert _deeds(core.exited(2.7, 6, CRASH)) == []
    assert core.deadline_s() is not None and core.deadline_s() != 2.7
    assert _started(core.tick(10.0)) == [7]


@pytest.mark.parametrize(
    ("restart", "cause", "is_told"),
    [
        ("permanent", Cause(CauseKind.NORMAL), True),
        ("permanent", CRASH, True),
        ("transient", Cause(CauseKind.NORMAL), False),
        ("transient", SHUTDOWN, False),
        ("transient", CRASH, True),
        ("temporary", SHUTDOWN, False),
        ("temporary", CRASH, True),
    ],
)
def test_of_which_deaths_a_supervisor_tells(restart: str, cause: Cause, is_told: bool) -> None:
    """OTP: each of a permanent child, and otherwise those that are not peaceful."""
    core = _begun(_spec("a", restart=restart))
    actions = core.exited(1.0, 1, cause)
    told = [a.report for a in actions if isinstance(a, Publish)]
    complaints = [r.context for r in told if isinstance(r, SupervisorReport)]
    assert complaints == (["child_terminated"] if is_told else [])
    assert any(isinstance(r, CrashReport) for r in told) == (cause is CRASH)


def test_a_child_that_is_terminated_while_it_waits_is_not_waited_for() -> None:
    core = _begun(_spec("a"), backoff=Backoff(1.0, 30.0))
    core.exited(1.0, 1, CRASH)
    core.ready(1.0, 2, None, None)
    core.exited(2.0, 2, CRASH)
    assert core.deadline_s() == pytest.approx(3.0)
    assert len(_deeds(core.ask(2.5, 1, AskTerminate("a")))) == 1
    assert core.deadline_s() is None


def test_the_periods_clock_goes_on_when_the_wait_is_over() -> None:
    """Pairs of crashes, each pair long after the last, are never too many."""
    core = _begun(_spec("a"), intensity=2, backoff=Backoff(1.0, 30.0))
    now, incarnation = 0.0, 1
    for _ in range(10):
        for _ in range(2):
            now += 1.0
            started = _started(core.exited(now, incarnation, CRASH))
            if not started:
                now += 2.0
                started = _started(core.tick(now))
            (incarnation,) = started
            core.ready(now, incarnation, None, None)
        now += 100.0
    assert not core.has_ended
