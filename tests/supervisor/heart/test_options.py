import pytest

from osupervisor.supervisor.heart.errors import UsageError
from osupervisor.supervisor.heart.options import Options, parse


def test_options_are_read() -> None:
    options = parse(
        ["--data", "d", "--spare", "--watchdog=2.5", "--backlog", "7", "--", "a", "--x"]
    )
    assert options == Options(("a", "--x"), "d", spare=True, watchdog_s=2.5, backlog=7)


def test_arguments_that_are_written_are_read_back() -> None:
    everything = Options(
        command=("python", "-m", "x", "--", "--data"),
        data="/somewhere/with space",
        foreground=True,
        spare=True,
        tcp="127.0.0.1:7070",
        backlog=5,
        ready_timeout_s=1.5,
        watchdog_s=0.0,
        shutdown_s=2.0,
        healthy_s=0.0,
        backoff_initial_s=0.01,
        backoff_max_s=5.0,
        log_bytes=1000,
        logs_kept=1,
        adopt=12,
    )
    assert all(getattr(everything, n) != v for n, v in everything._field_defaults.items())
    assert parse(everything.arguments()) == everything
    assert parse(Options(("a",), "d").arguments()) == Options(("a",), "d")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "d"], "the command of the supervisor is missing"),
        (["--data", "d", "--"], "the command of the supervisor is missing"),
        (["--", "a"], "--data is missing"),
        (["--data", "--", "a"], "--data needs a value"),
        (["--data=d", "--nonsense", "1", "--", "a"], "--nonsense is not an option"),
        (["--data=d", "--command", "1", "--", "a"], "--command is not an option"),
        (["--data=d", "surprise", "--", "a"], "surprise is not an option"),
        (["--data=d", "--spare=1", "--", "a"], "--spare takes no value"),
        (["--data=d", "--backlog", "many", "--", "a"], "--backlog: found 'many', wanted a number"),
        (["--data=d", "--watchdog=-1", "--", "a"], "wanted a number that is not negative"),
        (["--data=d", "--watchdog=nan", "--", "a"], "wanted a number that is not negative"),
        (["--data=d", "--", "a\x1fb"], "control character"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(arguments)
