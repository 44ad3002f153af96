"""The command line as a whole: its table, its options, its start-up."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version

import click
import pytest

from osupervisor.supervisor.cli.main import COMMANDS, osupervisor
from tests.supervisor.cli.command import Cli, run_script

IN_A_NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc"]
SHOWS_BLOCKED = """
import signal
from osupervisor.supervisor.cli import main
main.run = lambda arguments: print(*signal.pthread_sigmask(signal.SIG_BLOCK, []))
main.main()
"""
HEAVY = {"pydantic", "rich", "asyncio", "uvloop", "psutil", "orjson", "zstandard"}


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None, name
        yield f"{path}{name}", found
        if isinstance(found, click.Group):
            yield from commands(found, f"{path}{name} ")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_has_each_commands_first_sentence(name: str) -> None:
    place, summary = COMMANDS[name]
    module, _, attribute = place.partition(":")
    found = getattr(importlib.import_module(f"osupervisor.supervisor.cli.{module}"), attribute)
    assert (found.help or "").split("\n\n")[0] == summary
    assert found.name == name


@pytest.mark.parametrize(("path", "found"), list(commands(osupervisor)))
def test_every_command_takes_json_data_and_config(path: str, found: click.Command) -> None:
    if isinstance(found, click.Group):
        return
    options = {option for each in found.params for option in each.opts}
    assert {"--json", "--data", "--config"} <= options, path
    assert found.help, path


def test_the_commands_are_those_that_programs_are_written_against() -> None:
    wanted = """init start call status tree state logs crashes deadletter checkpoint checkpoints wal
        chaos repl stop restart doctor config version"""
    assert set(COMMANDS) == set(wanted.split())
    groups = {
        "crashes": {"ls", "show"},
        "deadletter": {"ls", "show", "retry", "drop"},
        "checkpoints": {"ls", "verify"},
        "wal": {"ls", "dump", "verify", "repair"},
        "config": {"show", "check"},
    }
    found = dict(commands(osupervisor))
    for group, names in groups.items():
        assert {path.split()[1] for path in found if path.startswith(f"{group} ")} == names


def test_help_lists_them_all(cli: Cli) -> None:
    text = cli.ok("--help")
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert "osupervisor call" in cli.ok("call", "--help")


@pytest.mark.parametrize("arguments", [["nope"], ["--nope"], ["wal"], ["config", "nope"]])
def test_wrong_usage(cli: Cli, arguments: list[str]) -> None:
    ran = cli(*arguments)
    assert ran.code == 2


def test_an_error_names_what_to_do_next(cli: Cli) -> None:
    ran = cli("nope", "--json")
    assert ran.error()["code"] == "Usage"
    assert "osupervisor --help" in ran.error()["hint"]


def test_version(cli: Cli) -> None:
    assert cli.json("version")["version"] == version("osupervisor")
    assert version("osupervisor") in cli.ok("version")


EVERYWHERE = [
    *(["status"], ["call", "x"], ["stop"], ["restart"], ["crashes", "ls"], ["deadletter", "ls"]),
    *(["checkpoints", "ls"], ["wal", "ls"], ["logs"], ["start", "--daemon"]),
]


@pytest.mark.parametrize("data", ["/dev/null", "osupervisor.toml"])
@pytest.mark.parametrize("command", EVERYWHERE)
def test_a_file_is_no_data_directory(cli: Cli, command: list[str], data: str) -> None:
    ran = cli(*command, "--data", data)
    assert ran.code == 2
    assert data in ran.err and "hint:" in ran.err


@pytest.mark.parametrize("command", [["status"], ["call", "x"], ["stop"], ["restart"]])
def test_nothing_runs_where_no_directory_can_be(cli: Cli, command: list[str]) -> None:
    assert cli(*command, "--data", "/proc/nope").code == 3


@pytest.mark.parametrize("flag", ["--data", "--config"])
@pytest.mark.parametrize("command", EVERYWHERE)
def test_an_empty_path_is_refused_everywhere(cli: Cli, command: list[str], flag: str) -> None:
    """An unset variable of a script: start took the current folder, and stop the default."""
    ran = cli(*command, flag, "", "--json")
    assert (ran.code, ran.error()["code"]) == (2, "Usage")
    assert flag in ran.error()["message"]


@pytest.mark.parametrize("group", [[], ["wal"], ["config"]])
def test_a_group_without_a_command_shows_its_help(cli: Cli, group: list[str]) -> None:
    ran = cli(*group)
    assert ran.code == 2
    assert ran.err.startswith("Usage: osupervisor ") and "\nCommands:\n" in ran.err


@pytest.mark.parametrize(
    "arguments", [["call", "echo", "1"], ["status"], ["status", "--json"], ["state"]]
)
def test_quick_commands_import_nothing_heavy(live: Cli, arguments: list[str]) -> None:
    program = (
        "import json, sys\n"
        "from osupervisor.supervisor.cli.main import run\n"
        f"code = run({arguments!r})\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        f"print(json.dumps([code, sorted(names & {HEAVY!r})]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=live.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ran.stdout.splitlines()[-1]) == [0, []]


def test_output_that_a_terminal_cant_show_is_replaced(live: Cli) -> None:
    ran = run_script(live.folder, "call", "echo", "☃", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (ran.returncode, ran.stdout) == (0, "\\u2603\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace needs root here")
@pytest.mark.parametrize(("prefix", "blocked"), [(IN_A_NAMESPACE, "15\n"), ([], "\n")])
def test_as_process_1_a_stop_waits_for_heart(prefix: list[str], blocked: str) -> None:
    """The kernel would drop it, and `docker stop` would wait for nothing, then kill."""
    ran = subprocess.run(
        [*prefix, sys.executable, "-c", SHOWS_BLOCKED], capture_output=True, text=True
    )
    assert (ran.stdout, ran.stderr) == (blocked, "")
