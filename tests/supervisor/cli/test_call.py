"""`osupervisor call`: arguments, results, errors, exit codes."""

import json
from pathlib import Path

import pytest

from tests.supervisor.cli.command import Cli, run_script


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("-0.5", -0.5),
        ("hits", "hits"),
        ('"3"', "3"),
        ("true", True),
        ("null", None),
        ("[1, [2]]", [1, [2]]),
        ('{"a": [1]}', {"a": [1]}),
        ("NaN", "NaN"),
        ("{broken", "{broken"),
        ("", ""),
        ("é ☃", "é ☃"),
    ],
)
def test_an_argument_is_json_else_text(live: Cli, argument: str, value: object) -> None:
    assert live.json("call", "echo", argument) == value


def test_people_get_texts_as_they_are(live: Cli) -> None:
    assert live.ok("call", "echo", "two words") == "two words\n"
    assert live.ok("call", "echo", "[1,2]") == "[1, 2]\n"


def test_arguments_by_name(live: Cli) -> None:
    assert live.json("call", "add", "named", "--arg", "n=4") == 4
    assert live.json("call", "add", "--arg", "name=named", "--arg", "n=-1") == 3


def test_the_same_key_gets_the_first_answer(live: Cli) -> None:
    assert live.json("call", "add", "keyed", "--key", "k-1") == 1
    assert live.json("call", "add", "keyed", "--key", "k-1") == 1
    assert live.json("call", "add", "keyed", "--key", "k-2") == 2


def test_a_key_with_other_arguments_is_refused(live: Cli) -> None:
    live.ok("call", "add", "keyed", "--key", "k-3")
    ran = live("call", "add", "another", "--key", "k-3", "--json")
    assert (ran.code, ran.error()["code"]) == (1, "ProtocolError")


def test_a_session_is_passed_on(live: Cli) -> None:
    assert live.json("call", "add", "sessions", "--session", "s1") == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nope"], "OpNotFound"),
        (["add"], "InvalidArguments"),
        (["add", "hits", "many"], "InvalidArguments"),
        (["boom"], "OpFailed"),
    ],
)
def test_an_error_is_code_message_hint_on_stderr(
    live: Cli, arguments: list[str], code: str
) -> None:
    ran = live("call", *arguments, "--json")
    error = ran.error()
    assert (ran.code, ran.out) == (1, "")
    assert set(error) == {"code", "message", "hint", "data"}
    assert error["code"] == code
    assert error["message"] and error["hint"]
    ran = live("call", *arguments)
    assert (ran.code, ran.out) == (1, "")
    assert f"{code}: {error['message']}" in ran.err
    assert "\nhint: " in ran.err


def test_an_op_that_raised_shows_its_traceback(live: Cli) -> None:
    ran = live("call", "boom")
    assert 'raise ValueError("no such luck")' in ran.err
    assert "no such luck" in live("call", "boom", "--json").error()["data"]["traceback"]


def test_a_call_that_times_out_exits_with_124(live: Cli) -> None:
    ran = live("call", "sleep", "30", "--timeout", "300ms", "--json")
    assert (ran.code, ran.error()["code"]) == (124, "Timeout")
    assert live.json("call", "echo", "1") == 1


def test_nothing_runs(cli: Cli) -> None:
    ran = cli("call", "add", "hits", "--json")
    assert (ran.code, ran.error()["code"]) == (3, "NotRunning")
    assert "osupervisor start" in ran.error()["hint"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["echo", "99999999999999999999999999"],
        ["add", "--arg", "n"],
        ["add", "--arg", "1x=2"],
        ["add", "hits", "--key", "k" * 129],
        ["add", "hits", "--key", ""],
        ["add", "hits", "--timeout", "-1"],
        ["add", "hits", "--timeout", "2 fortnights"],
        ["x" * 129],
    ],
)
def test_what_cant_be_sent_is_wrong_usage(live: Cli, arguments: list[str]) -> None:
    ran = live("call", *arguments, "--json")
    assert ran.code == 2, ran.err
    assert ran.error()["hint"]


def test_bytes_and_odd_keys_are_shown_in_what_json_has(live: Cli) -> None:
    live.ok("call", "put", "7", "true")
    assert live.json("state")["map"][-1] == [7, True]


def test_the_installed_script_does_the_same(live: Cli) -> None:
    ran = run_script(live.folder, "call", "echo", '{"a": 1}', "--json")
    assert (ran.returncode, json.loads(ran.stdout), ran.stderr) == (0, {"a": 1}, "")
    elsewhere = live.folder.parent
    ran = run_script(elsewhere, "call", "echo", "1", OSUPERVISOR_DATA=str(live.folder / "data"))
    assert (ran.returncode, ran.stdout) == (0, "1\n")
    ran = run_script(elsewhere, "call", "echo", "1", "--data", f"{live.folder.name}/data")
    assert (ran.returncode, ran.stdout) == (0, "1\n")
    config = str(live.folder / "osupervisor.toml")
    ran = run_script(elsewhere, "call", "echo", "1", "--config", config)
    assert (ran.returncode, ran.stdout) == (0, "1\n")


def test_a_result_of_many_levels_is_shown_and_so_is_its_record(running: Path) -> None:
    """The script: it sets the bound of Python's recursion, and this process has its own."""
    for option in ((), ("--json",)):
        ran = run_script(running, "call", "nest", "900", *option)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.count('"in"') == 900
        ran = run_script(running, "wal", "dump", *option)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "nest" in ran.stdout
