"""`osupervisor chaos`: real faults on a real service, which goes on."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.supervisor.cli.command import SCRIPT, Cli, wait_for


def test_a_killed_primary_is_replaced_and_nothing_is_lost(live: Cli) -> None:
    before = live.json("call", "add", "hits")
    pid = live.status()["primary"]["pid"]
    struck = live.json("chaos", "kill")
    assert (struck["action"], struck["target"], struck["pid"]) == ("kill", "primary", pid)
    assert live.json("call", "add", "hits") == before + 1
    assert live.status()["primary"]["pid"] != pid


@pytest.mark.parametrize("target", ["standby", "supervisor", "heart"])
def test_each_target_can_be_killed(live: Cli, target: str) -> None:
    def has_it() -> bool:
        return live.status().get(target) is not None

    wait_for(has_it)
    before = live.json("call", "add", "hits")
    pid = live.json("chaos", "kill", "--target", target)["pid"]
    assert live.json("call", "add", "hits") == before + 1
    wait_for(lambda: has_it() and live.status()[target]["pid"] != pid)


def test_a_stopped_standby_is_replaced(live: Cli) -> None:
    wait_for(lambda: live.status().get("standby") is not None)
    pid = live.json("chaos", "stop", "--target", "standby")["pid"]
    assert live.json("call", "add", "stopped") == 1
    wait_for(lambda: (live.status().get("standby") or {"pid": pid})["pid"] != pid)


def test_many_faults_are_drawn_from_a_seed(live: Cli) -> None:
    ran = live("chaos", "kill", "--every", "100ms", "--for", "500ms", "--seed", "7", "--json")
    *strikes, total = [json.loads(row) for row in ran.out.splitlines()]
    assert total == {
        "struck": sum(each["pid"] is not None for each in strikes),
        "missed": sum(each["pid"] is None for each in strikes),
        "seed": 7,
    }
    assert 3 <= len(strikes) <= 10
    assert "--seed 7" in live.ok(
        "chaos", "kill", "--every", "100ms", "--for", "100ms", "--seed", "7"
    )
    live.ok("call", "get", "hits")


def test_faults_may_go_on_for_days(running: Path) -> None:
    """A request may wait for a day at most."""
    command = [SCRIPT, "chaos", "kill", "--every", "50ms", "--for", "3d", "--json"]
    with subprocess.Popen(command, cwd=running, stdout=subprocess.PIPE, text=True) as going:
        assert going.stdout is not None
        try:
            for _ in range(2):
                assert json.loads(going.stdout.readline())["action"] == "kill"
        finally:
            going.kill()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["maim"],
        ["kill", "--target", "init"],
        ["kill", "--for", "5s"],
        ["kill", "--seed", "7"],
        ["kill", "--every", "often"],
    ],
)
def test_wrong_usage(cli: Cli, arguments: list[str]) -> None:
    assert cli("chaos", *arguments).code == 2


def test_what_cant_be_hung_is_refused(live: Cli) -> None:
    ran = live("chaos", "hang", "--target", "heart", "--json")
    assert (ran.code, ran.error()["code"]) == (1, "InvalidArguments")


def test_nothing_runs(cli: Cli) -> None:
    assert cli("chaos", "kill").code == 3
