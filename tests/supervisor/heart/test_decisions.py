"""The table in decisions.py, line by line; times are seconds on a clock of the test's own."""

import signal

import pytest

from osupervisor.supervisor.heart.actions import Action, Exit, Send, Start, StartSpare, Tell
from osupervisor.supervisor.heart.backoff import Backoff
from osupervisor.supervisor.heart.decisions import LATE_S, Decisions, Limits, Phase, cause

LIMITS = Limits(ready_timeout_s=60, watchdog_s=10, shutdown_s=30, healthy_s=1, backoff=Backoff())
READY = {"READY": "1"}
BEAT = {"WATCHDOG": "1"}


def quiet(actions: list[Action]) -> list[Action]:
    """Without what is only said."""
    return [action for action in actions if type(action).__name__ != "Say"]


def started(limits: Limits = LIMITS) -> Decisions:
    decisions = Decisions(limits)
    assert quiet(decisions.begin(0.0)) == [Start(spare=False)]
    return decisions


def ready(limits: Limits = LIMITS) -> Decisions:
    decisions = started(limits)
    assert quiet(decisions.told(1.0, READY)) == [Tell(READY)]
    return decisions


def test_start_then_ready() -> None:
    decisions = started()
    assert decisions.phase.value == "starting"
    assert decisions.due() == 60
    assert quiet(decisions.told(1.0, READY)) == [Tell(READY)]
    assert decisions.phase is Phase.READY
    assert quiet(decisions.told(2.0, READY)) == []


def test_a_supervisor_that_is_not_ready_in_time_is_killed_and_started_again() -> None:
    decisions = started()
    assert decisions.tick(59.9) == []
    assert quiet(decisions.tick(60.0)) == [Send(signal.SIGABRT)]
    assert quiet(decisions.tick(60.5)) == [Send(signal.SIGKILL)]
    assert decisions.due() is None  # SIGKILL is certain: nothing but its death is waited for
    assert quiet(decisions.ended(60.6, -9, 0.0)) == [Start(spare=False)]


def test_a_start_that_asks_for_more_time_gets_it() -> None:
    decisions = started()
    decisions.told(50.0, {"EXTEND_TIMEOUT_USEC": "100000000"})
    assert decisions.tick(149.0) == []
    assert quiet(decisions.tick(150.0)) == [Send(signal.SIGABRT)]
    decisions.told(150.1, {"EXTEND_TIMEOUT_USEC": "100000000"})
    assert quiet(decisions.tick(150.5)) == [Send(signal.SIGKILL)]


def test_a_start_that_gave_signs_of_life_must_go_on_to_do_so() -> None:
    """A supervisor that is stopped before anybody serves is no reason to wait for a long start."""
    decisions = started()
    assert decisions.tick(20.0) == []  # busy with the log: its loop does not turn yet
    for second in (20, 29, 38):
        assert decisions.tick(float(second)) == []
        assert quiet(decisions.told(float(second), BEAT)) == [Tell(BEAT)]
    assert decisions.due() == 48
    assert quiet(decisions.tick(48.0)) == [Send(signal.SIGABRT)]
    assert quiet(decisions.ended(48.1, -6, 0.0)) == [Start(spare=False)]
    assert decisions.tick(70.0) == []


def test_a_heart_that_was_late_forgives_a_start_as_well() -> None:
    decisions = started()
    decisions.told(1.0, BEAT)
    assert quiet(decisions.tick(11.0 + LATE_S + 1)) == []
    assert decisions.due() == 11.0 + LATE_S + 1 + 10
    decisions.told(13.0, READY)
    assert decisions.due() == 23


def test_a_heart_that_was_late_for_all_of_a_start_forgives_both_of_its_limits() -> None:
    decisions = started()
    decisions.told(1.0, BEAT)
    late = 60 + LATE_S + 1  # stopped together with its supervisor, say
    assert quiet(decisions.tick(late)) == []
    assert quiet(decisions.tick(late)) == []
    assert decisions.due() == late + 10


def test_a_beat_allows_a_start_another_forgiveness() -> None:
    decisions = started()
    for late in (20.0, 40.0):
        decisions.told(late - 15, BEAT)
        assert quiet(decisions.tick(late)) == []
    assert quiet(decisions.tick(50.0)) == [Send(signal.SIGABRT)]


def test_a_supervisor_that_gives_no_sign_of_life_is_killed() -> None:
    decisions = ready()
    for second in range(1, 100, 5):
        assert decisions.tick(float(second)) == []
        assert quiet(decisions.told(float(second), BEAT)) == [Tell(BEAT)]
    assert quiet(decisions.tick(106.0)) == [Send(signal.SIGABRT)]
    assert quiet(decisions.ended(106.1, -6, 0.0)) == [Start(spare=False)]


def test_a_supervisor_may_ask_to_be_killed() -> None:
    assert quiet(ready().told(2.0, {"WATCHDOG": "trigger"})) == [Send(signal.SIGABRT)]


def test_without_limits_nothing_is_due() -> None:
    decisions = started(Limits(ready_timeout_s=0, watchdog_s=0))
    assert decisions.due() is None
    decisions.told(1.0, READY)
    assert decisions.due() is None


def test_a_heart_that_was_late_itself_forgives_once() -> None:
    decisions = ready()
    assert quiet(decisions.tick(11.0 + LATE_S + 1)) == []
    assert decisions.due() == 11.0 + LATE_S + 1 + 10
    assert quiet(decisions.tick(100.0)) == [Send(signal.SIGABRT)]


def test_a_beat_allows_another_forgiveness() -> None:
    decisions = ready()
    assert quiet(decisions.tick(50.0)) == []
    decisions.told(51.0, BEAT)
    assert quiet(decisions.tick(90.0)) == []
    assert decisions.phase is Phase.READY


def test_the_first_death_restarts_at_once_the_next_ones_wait_longer_and_longer() -> None:
    decisions = started()
    waits: list[float] = []
    now = 0.0
    for _ in range(12):
        if quiet(decisions.ended(now, -9, 1.0)) != [Start(spare=False)]:
            due = decisions.due()
            assert due is not None
            waits.append(round(due - now, 6))
            assert decisions.phase is Phase.WAITING
            assert decisions.tick(due - 0.001) == []
            assert quiet(decisions.tick(due)) == [Start(spare=False)]
            now = due
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]


def test_a_healthy_time_makes_the_next_death_a_first_one() -> None:
    decisions = started()
    decisions.ended(0.0, -9, 0.0)
    decisions.told(0.1, READY)
    assert quiet(decisions.ended(1.0, -9, 0.0)) == []  # 0.9 s: not yet healthy
    decisions.tick(10.0)
    decisions.told(11.0, READY)
    assert quiet(decisions.ended(12.0, -9, 0.0)) == [Start(spare=False)]


def test_an_end_that_nobody_asked_for_is_a_death_whatever_its_status() -> None:
    assert quiet(ready().ended(100.0, 0, 0.0)) == [Start(spare=False)]
    assert quiet(ready().ended(100.0, None, 0.0)) == [Start(spare=False)]


def test_exit_status_78_ends_the_service_with_the_last_status() -> None:
    decisions = started()
    decisions.told(1.0, {"STATUS": "wal/00.wal: damaged at 17"})
    assert decisions.ended(2.0, 78, 0.0) == [Exit(1, "wal/00.wal: damaged at 17")]
    assert decisions.phase is Phase.ENDED


def test_a_refusal_by_message_counts_for_a_process_whose_status_nobody_knows() -> None:
    decisions = Decisions(LIMITS)
    decisions.adopt(0.0)
    assert quiet(decisions.told(1.0, {"STATUS": "locked", "EXIT_STATUS": "78"})) == [
        Tell({"STATUS": "locked"})
    ]
    assert decisions.ended(2.0, None, 0.0) == [Exit(1, "locked")]


def test_a_supervisor_that_refuses_and_stays_is_killed() -> None:
    decisions = ready()
    decisions.told(2.0, {"EXIT_STATUS": "78"})
    assert quiet(decisions.tick(32.0)) == [Send(signal.SIGKILL)]
    assert decisions.ended(32.1, -9, 0.0) == [Exit(1, "")]


def test_another_exit_status_in_a_message_means_nothing() -> None:
    decisions = ready()
    decisions.told(2.0, {"EXIT_STATUS": "1"})
    assert quiet(decisions.ended(100.0, None, 0.0)) == [Start(spare=False)]


def test_the_status_of_a_dead_supervisor_is_not_the_next_ones() -> None:
    decisions = started()
    decisions.told(1.0, {"STATUS": "old"})
    decisions.ended(2.0, -9, 0.0)
    assert decisions.ended(3.0, 78, 0.0) == [Exit(1, "")]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_stop_is_polite_then_by_force(signum: int) -> None:
    decisions = ready()
    stopping = Tell({"STOPPING": "1"})
    assert quiet(decisions.signalled(5.0, signum)) == [stopping, Send(signal.SIGTERM)]
    assert decisions.tick(34.9) == []
    assert quiet(decisions.tick(35.0)) == [Send(signal.SIGKILL)]
    assert decisions.ended(35.1, -9, 0.0) == [Exit(0)]


def test_a_second_request_speeds_a_stop_up() -> None:
    decisions = ready()
    decisions.signalled(5.0, signal.SIGINT)
    assert quiet(decisions.signalled(5.1, signal.SIGINT)) == [Send(signal.SIGKILL)]
    assert decisions.ended(5.2, -9, 0.0) == [Exit(0)]
    assert decisions.signalled(5.3, signal.SIGINT) == []


def test_a_stop_while_no_supervisor_lives_is_immediate() -> None:
    decisions = started()
    decisions.ended(0.0, 1, 0.0)
    decisions.ended(0.0, 1, 0.0)
    assert decisions.phase is Phase.WAITING
    assert decisions.signalled(0.01, signal.SIGTERM) == [Exit(0)]
    assert decisions.tick(100.0) == []


def test_a_supervisor_that_stops_by_itself_is_not_restarted() -> None:
    decisions = ready()
    stopping = {"STOPPING": "1"}
    assert quiet(decisions.told(5.0, stopping)) == [Tell(stopping)]
    assert decisions.ended(6.0, 0, 0.0) == [Exit(0)]


def test_a_stop_that_hangs_is_ended_by_force_also_when_the_supervisor_wished_it() -> None:
    decisions = ready()
    decisions.told(5.0, {"STOPPING": "1"})
    assert quiet(decisions.tick(35.0)) == [Send(signal.SIGKILL)]
    assert decisions.ended(35.1, -9, 0.0) == [Exit(0)]


def test_hangup_is_passed_on_to_a_supervisor_that_is_ready() -> None:
    assert started().signalled(0.5, signal.SIGHUP) == []
    assert ready().signalled(5.0, signal.SIGHUP) == [Send(signal.SIGHUP)]


def test_child_signals_decide_nothing() -> None:
    assert ready().signalled(5.0, signal.SIGCHLD) == []


def test_messages_of_the_dead_are_not_heard() -> None:
    decisions = started()
    decisions.ended(0.0, -9, 0.0)
    decisions.ended(0.0, -9, 0.0)
    assert decisions.told(0.01, READY) == []


def test_a_spare_is_started_a_moment_after_ready_and_woken_at_the_death() -> None:
    decisions = ready(LIMITS._replace(spare=True))
    assert decisions.tick(1.1) == []
    assert decisions.tick(1.2) == [StartSpare()]
    assert decisions.tick(1.3) == []
    assert quiet(decisions.ended(9.0, -9, 0.0)) == [Start(spare=True)]
    assert quiet(decisions.ended(9.0, -9, 0.0)) == []
    assert quiet(decisions.tick(9.1)) == [Start(spare=False)]


def test_a_spare_that_dies_is_replaced_later_each_time() -> None:
    decisions = ready(LIMITS._replace(spare=True, watchdog_s=0))
    now, delays = 1.0, list[float]()
    for _ in range(3):
        due = decisions.due()
        assert due is not None
        delays.append(round(due - now, 6))
        assert decisions.tick(due) == [StartSpare()]
        now = due
        decisions.spare_ended(now)
    assert delays == [0.2, 0.3, 0.4]


def test_a_service_that_stops_gets_no_spare() -> None:
    decisions = ready(LIMITS._replace(spare=True))
    decisions.signalled(1.1, signal.SIGTERM)
    assert decisions.tick(2.0) == []


def test_causes_are_said_in_words() -> None:
    assert cause(None) == "ended"
    assert cause(3) == "ended with status 3"
    assert cause(-9) == "was killed by SIGKILL"
    assert cause(-64) in ("was killed by signal 64", "was killed by SIGRTMAX")
