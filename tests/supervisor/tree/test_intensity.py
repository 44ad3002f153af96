"""Too many restarts: OTP's sliding list, and the clock that stands still in a backoff."""

from hypothesis import given
from hypothesis import strategies as st

from osupervisor.supervisor.tree.intensity import Intensity


@given(
    limit=st.integers(0, 6),
    period_s=st.floats(0.5, 20.0),
    steps_s=st.lists(st.floats(0.0, 10.0), max_size=40),
)
def test_it_is_otps_sliding_list(limit: int, period_s: float, steps_s: list[float]) -> None:
    """Against a model that counts anew in all times there ever were."""
    intensity, now, times = Intensity(limit, period_s), 0.0, [0.0][:0]
    for step_s in steps_s:
        now += step_s
        times.append(now)
        within = sum(now - time <= period_s for time in times)
        assert intensity.add(now) == (within <= limit)


def test_a_restart_exactly_a_period_ago_still_counts() -> None:
    intensity = Intensity(1, 5.0)
    assert intensity.add(0.0)
    assert not intensity.add(5.0)


def test_zero_means_no_restart_at_all() -> None:
    assert not Intensity(0, 5.0).add(100.0)


def test_its_memory_is_bounded_by_the_period() -> None:
    intensity = Intensity(10, 5.0)
    assert all(intensity.add(float(second)) for second in range(0, 10_000))


def test_waiting_does_not_hide_a_crash_loop() -> None:
    """Three restarts with a minute of waiting between them happened within five seconds."""
    intensity = Intensity(2, 5.0)
    now = 0.0
    answers: list[bool] = []
    for _ in range(3):
        answers.append(intensity.add(now))
        intensity.pause(now)
        intensity.pause(now + 1.0)
        now += 60.0
        intensity.resume(now)
        intensity.resume(now + 0.5)
        now += 1.0
    assert answers == [True, True, False]


def test_what_happens_while_another_waits_counts_at_the_time_the_wait_began() -> None:
    intensity = Intensity(1, 5.0)
    intensity.pause(10.0)
    assert intensity.add(20.0)
    assert not intensity.add(30.0)
    intensity.resume(30.0)
    assert intensity.add(36.0)
