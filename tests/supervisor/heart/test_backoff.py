from osupervisor.supervisor.heart.backoff import Backoff


def test_the_first_restart_is_at_once() -> None:
    assert Backoff(0.1, 30).delay_s(0, 0.99) == 0.0


def test_waits_double_up_to_the_cap_and_half_of_each_is_jitter() -> None:
    backoff = Backoff(0.1, 30)
    most = [backoff.delay_s(failures, 1.0) for failures in range(1, 12)]
    assert most == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]
    assert [backoff.delay_s(failures, 0.0) for failures in range(1, 12)] == [w / 2 for w in most]


def test_any_number_of_failures_gives_a_finite_wait() -> None:
    assert Backoff(0.1, 30).delay_s(10**9, 0.0) == 15
