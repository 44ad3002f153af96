"""The ladder: which way to start is tried when brains will not start."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from osupervisor.supervisor.tree.backoff import NO_BACKOFF, Backoff
from osupervisor.supervisor.tree.ladder import FAILURES_MAX, RUNGS, Ladder, Rung


def _ladder(failures_max: int = FAILURES_MAX) -> Ladder:
    return Ladder(Random(7).random, failures_max=failures_max, backoff=NO_BACKOFF)


def test_the_rungs_of_today() -> None:
    assert [rung.name for rung in RUNGS] == ["same code", "older checkpoint", "read-only"]
    assert RUNGS[0] == Rung("same code", checkpoint=0, is_readonly=False)
    assert RUNGS[1].checkpoint == 1
    assert RUNGS[2].is_readonly


def test_more_than_five_failures_in_thirty_seconds_lead_one_rung_down() -> None:
    ladder = _ladder()
    for second in range(5):
        attempt = ladder.failed(float(second))
        assert (attempt.rung.name, attempt.is_new_rung) == ("same code", False)
    attempt = ladder.failed(5.0)
    assert (attempt.rung.name, attempt.is_new_rung) == ("older checkpoint", True)
    assert attempt.delay_s == 0.0


def test_a_ladder_goes_on_where_another_stood() -> None:
    above = _ladder()
    for _ in range(12):
        above.failed(0.0)
    below = Ladder(Random(7).random, index=above.index)
    assert below.rung.is_readonly
    attempt = below.failed(0.0)
    assert (attempt.rung, attempt.is_new_rung) == (RUNGS[-1], False)
    below.ready(1.0)
    assert below.index == 0
    assert Ladder(Random(7).random, index=99).is_last, "another version may have had more rungs"


def test_failures_that_lie_far_apart_do_not_lead_down() -> None:
    ladder = _ladder()
    assert {ladder.failed(10.0 * n).rung.name for n in range(100)} == {"same code"}


def test_a_new_rung_begins_with_a_clean_slate() -> None:
    ladder = _ladder()
    names = [ladder.failed(0.0).rung.name for _ in range(12)]
    assert names == [*["same code"] * 5, *["older checkpoint"] * 6, "read-only"]


def test_the_last_rung_is_never_left_and_never_given_up() -> None:
    ladder = Ladder(Random(7).random)
    now = delay_s = 0.0
    for _ in range(200):
        delay_s = ladder.failed(now).delay_s
        now += delay_s
        ladder.started(now)
    assert ladder.is_last and ladder.rung.is_readonly
    assert 15.0 <= delay_s <= 30.0


def test_backoff_does_not_hide_that_it_will_not_start() -> None:
    """With waits far longer than the period the sixth failure still leads down."""
    ladder = Ladder(Random(7).random, failures_period_s=1.0, backoff=Backoff(20.0, 30.0))
    now = 0.0
    for _ in range(5):
        now += ladder.failed(now).delay_s
        ladder.started(now)
    assert ladder.failed(now).is_new_rung


def test_ready_ends_the_backoff_and_not_the_count() -> None:
    ladder = Ladder(Random(7).random)
    assert ladder.failed(0.0).delay_s == 0.0
    assert ladder.failed(1.0).delay_s > 0.0
    ladder.ready(2.0)
    assert ladder.failed(3.0).delay_s == 0.0
    ladder.failed(4.0)
    ladder.failed(5.0)
    assert ladder.failed(6.0).is_new_rung


def test_ready_does_not_climb_back_and_reset_does() -> None:
    ladder = _ladder(failures_max=0)
    assert ladder.failed(0.0).rung.name == "older checkpoint"
    ladder.ready(1.0)
    assert ladder.rung.name == "older checkpoint"
    ladder.reset()
    assert ladder.rung.name == "same code"


def test_ready_on_the_last_rung_leads_back_to_the_first() -> None:
    """It tries what the first one tries: what made that fail is mended."""
    ladder = _ladder(failures_max=0)
    assert [ladder.failed(0.0).rung for _ in range(2)][-1].is_readonly
    ladder.ready(1.0)
    assert ladder.rung.name == "same code"


def test_more_rungs_are_data() -> None:
    rungs = (
        Rung("same code"),
        Rung("permanent release"),
        Rung("older checkpoint", checkpoint=1),
        Rung("older checkpoint", checkpoint=2),
        Rung("read-only", is_readonly=True),
    )
    ladder = Ladder(Random(7).random, rungs, failures_max=0, backoff=NO_BACKOFF)
    assert [ladder.failed(0.0).rung for _ in range(6)] == [*rungs[1:], rungs[-1], rungs[-1]]


@given(
    events=st.lists(st.tuples(st.sampled_from(("failed", "ready", "reset")), st.floats(0.0, 40.0)))
)
def test_it_only_goes_down_one_rung_at_a_time_and_only_after_a_failure(
    events: list[tuple[str, float]],
) -> None:
    ladder, now = Ladder(Random(7).random), 0.0
    for event, elapsed_s in events:
        before = RUNGS.index(ladder.rung)
        now += elapsed_s
        if event == "failed":
            attempt = ladder.failed(now)
            after = RUNGS.index(ladder.rung)
            assert attempt.rung == ladder.rung
            assert after - before == int(attempt.is_new_rung)
            assert 0.0 <= attempt.delay_s <= 30.0
        elif event == "ready":
            ladder.ready(now)
            assert RUNGS.index(ladder.rung) == (0 if RUNGS[before].is_readonly else before)
        else:
            ladder.reset()
            assert RUNGS.index(ladder.rung) == 0
