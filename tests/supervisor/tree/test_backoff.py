"""How long restarts wait."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.supervisor.tree.backoff import MAX_S, NO_BACKOFF, Backoff


def test_the_first_restart_is_at_once() -> None:
    assert Backoff().delay_s(0, 0.99) == 0.0


def test_each_wait_is_twice_the_last_up_to_the_cap() -> None:
    waits = [Backoff(1.0, 30.0).delay_s(restarts, 0.9999999999) for restarts in range(1, 9)]
    assert waits == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30])


@given(restarts=st.integers(1, 10**9), jitter=st.floats(0.0, 1.0, exclude_max=True))
def test_a_wait_is_between_half_and_all_and_never_beyond_the_cap(
    restarts: int, jitter: float
) -> None:
    whole_s = min(MAX_S, 0.1 * 2.0 ** min(restarts - 1, 60))
    assert whole_s / 2 <= Backoff().delay_s(restarts, jitter) <= whole_s


def test_the_same_seed_waits_the_same() -> None:
    first, second = Random(7), Random(7)
    backoff = Backoff()
    one = [backoff.delay_s(n, first.random()) for n in range(20)]
    assert one == [backoff.delay_s(n, second.random()) for n in range(20)]


def test_no_backoff_never_waits() -> None:
    assert {NO_BACKOFF.delay_s(restarts, 0.7) for restarts in range(100)} == {0.0}
