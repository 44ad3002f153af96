"""`osupervisor repl`: the names at its prompt, fed through a pipe and on a terminal."""

import os
import pty
import subprocess
import sys
from functools import partial

import pytest

from osupervisor.bridge.client import Client
from osupervisor.supervisor.cli.namespace import namespace
from tests.supervisor.cli.command import PATIENCE_S, SCRIPT, Cli, run_script, wait_for


def converse(cli: Cli, *lines: str) -> list[str]:
    """What the prompt answered."""
    ran = run_script(cli.folder, "repl", stdin="\n".join(lines) + "\n")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_ops_and_queries_are_functions(live: Cli) -> None:
    before = live.json("call", "get", "hits")
    answers = converse(live, 'get("hits")', 'add("hits", n=4)', 'brain.get("hits")')
    assert answers == [str(before), str(before + 4), str(before + 4)]


def test_the_operators_names_are_there(live: Cli) -> None:
    live.ok("call", "put", "bins", "[3, 5]")
    answers = converse(
        live,
        'status()["state"]',
        'tree()["id"]',
        'state["bins"][1]',
        'state()["bins"]',
        "checkpoint()['lsn'] > 0",
        "kill('brain')['pid'] > 0",
        'get("nothing")',
    )
    assert answers == ["'ready'", "'osupervisor'", "5", "[3, 5]", "True", "True", "0"]


def test_leaving_stops_nothing_and_errors_end_nothing(live: Cli) -> None:
    assert converse(live, "boom()", 'add("a", "b")', "1 + 1", "raise SystemExit")[-1:] == ["2"]
    assert live.status()["state"] == "ready"


def test_what_the_service_says_is_told_without_our_frames(live: Cli) -> None:
    ran = run_script(live.folder, "repl", stdin='add(3)\nnope()\n"on"\n')
    told = ran.stderr
    assert "InvalidArguments: add: name: found 3 (int), wanted a valid string\nhint: " in told
    assert "NameError: name 'nope' is not defined" in told
    assert told.count("Traceback") == 1 and "client.py" not in told
    assert ran.stdout.splitlines() == ["'on'"]


def test_functions_are_documented_from_the_live_brain(live: Cli) -> None:
    answers = converse(
        live, "import inspect", "str(inspect.signature(add))", "add.__doc__", "dir(brain)"
    )
    assert answers[0] == "'(name: str, n: int = 1)'"
    assert "Adds to a counter." in answers[1]
    assert "'die_while_armed'" in answers[2]


def test_names_that_are_taken_stay_the_prompts_own(live: Cli) -> None:
    names = namespace(partial(Client, live.folder / "data"))
    assert {"add", "get", "brain", "state", "status", "tree", "checkpoint", "kill"} <= set(names)
    assert names["brain"].add("names") == 1
    with pytest.raises(AttributeError, match="the brain has no nope"):
        names["brain"].nope()
    assert "names" in names["state"]
    assert names["state"]["names"] == 1
    assert len(names["state"]) == len(list(names["state"]))


WITHOUT_PTPYTHON = (
    "import sys; sys.modules['ptpython'] = sys.modules['ptpython.repl'] = None\n"
    "from osupervisor.supervisor.cli.main import run; sys.exit(run(['repl']))"
)


@pytest.mark.parametrize("command", [[SCRIPT, "repl"], [sys.executable, "-c", WITHOUT_PTPYTHON]])
def test_a_terminal_gets_a_banner_and_a_prompt(live: Cli, command: list[str]) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=live.folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "dumb", "PROMPT_TOOLKIT_NO_CPR": "1"},
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    seen = bytearray()

    def shows(wanted: bytes) -> bool:
        try:
            seen.extend(os.read(ours, 65536))
        except (BlockingIOError, OSError):
            pass
        return wanted in seen

    try:
        wait_for(lambda: shows(b">>>"))
        assert b"ops: add" in seen
        os.write(ours, b'get("nothing") + 4200 + 42\r')
        wait_for(lambda: shows(b"4242") and b">>>" in seen[seen.rindex(b"4242") :])
        os.write(ours, b"nope()\r")
        wait_for(lambda: shows(b"'nope' is not defined"))
        assert b"ptpython" not in seen
        wait_for(lambda: shows(b">>>") and b">>>" in seen[seen.rindex(b"defined") :])
        os.write(ours, b"\x04")  # at a prompt: between two the terminal itself would take it
        wait_for(lambda: shows(b"") and process.poll() is not None)
    finally:
        process.kill()
        process.wait(timeout=PATIENCE_S)
        os.close(ours)
    assert live.status()["state"] == "ready"


def test_nothing_runs(cli: Cli) -> None:
    assert cli("repl").code == 3
