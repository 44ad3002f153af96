"""`osupervisor deadletter`: a request that kills its brain, given up, looked at, called again."""

import pytest

from tests.supervisor.cli.command import Cli


@pytest.fixture
def letter(live: Cli) -> str:
    """The id of a letter; the op survives from now on."""
    live.ok("call", "put", "armed", "true")
    ran = live("call", "die_while_armed", "--json", "--timeout", "60s")
    assert (ran.code, ran.error()["code"]) == (1, "Quarantined")
    live.ok("call", "put", "armed", "false")
    found: str = live.json("deadletter", "ls")[-1]["id"]
    return found


def test_a_letter_holds_the_request_readable(live: Cli, letter: str) -> None:
    found = live.json("deadletter", "show", letter)
    assert found["id"] == letter
    assert found["request"]["op"] == "die_while_armed"
    assert found["request"]["args"] == []
    assert found["error"]["code"] == "Quarantined"
    assert "die_while_armed()" in live.ok("deadletter", "ls")
    assert f"osupervisor deadletter retry {letter}" in live.ok("deadletter", "show", letter)


def test_retry_calls_it_again_and_the_letter_goes(live: Cli, letter: str) -> None:
    assert live.ok("deadletter", "retry", letter) == "survived\n"
    assert letter not in [each["id"] for each in live.json("deadletter", "ls")]


def test_a_retry_that_fails_leaves_the_one_letter_with_one_try_more(live: Cli, letter: str) -> None:
    before = live.json("deadletter", "ls")
    assert "tried " not in live.ok("deadletter", "show", letter)
    live.ok("call", "put", "armed", "true")
    for tries in (1, 2):
        ran = live("deadletter", "retry", letter, "--json")
        assert (ran.code, ran.error()["code"]) == (1, "Quarantined")
        after = live.json("deadletter", "ls")
        assert [each["id"] for each in after] == [each["id"] for each in before]
        found = live.json("deadletter", "show", letter)
        assert (found["tries"], found["unix_s"]) == (tries, before[-1]["unix_s"])
        assert found["tried_unix_s"] >= found["unix_s"]
    assert "2 times" in live.ok("deadletter", "show", letter)
    live.ok("call", "put", "armed", "false")
    assert live.ok("deadletter", "retry", letter) == "survived\n"
    assert letter not in [each["id"] for each in live.json("deadletter", "ls")]


def test_a_dropped_letter_is_gone(live: Cli, letter: str) -> None:
    assert live.json("deadletter", "drop", letter) == {"dropped": letter}
    ran = live("deadletter", "show", letter)
    assert ran.code == 1
    assert "deadletter ls" in ran.err


@pytest.mark.parametrize("action", ["show", "retry", "drop"])
@pytest.mark.parametrize("letter_id", ["000000000000", "../../lock", ""])
def test_a_letter_that_there_isnt(live: Cli, action: str, letter_id: str) -> None:
    assert live("deadletter", action, letter_id).code == 1


def test_letters_are_read_without_a_service_too(cli: Cli) -> None:
    assert cli.json("deadletter", "ls") == []
    assert "no dead letters" in cli.ok("deadletter", "ls")
    assert cli("deadletter", "retry", "000000000000").code == 1


@pytest.mark.parametrize("arguments", [["nope"], ["show"], ["ls", "x"]])
def test_wrong_usage(cli: Cli, arguments: list[str]) -> None:
    assert cli("deadletter", *arguments).code == 2
