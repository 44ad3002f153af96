"""`osupervisor status`: the map that programs read, and waiting."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from osupervisor.bridge.client import Client
from tests.supervisor.cli.command import Cli, run_script, start


def test_the_map_has_what_programs_rely_on(live: Cli) -> None:
    live.ok("status", "--wait", "ready", "--timeout", "30s")
    status = live.status()
    assert status["state"] == "ready"
    for name, kind in {
        "epoch": int,
        "version": str,
        "lsn": int,
        "durable_lsn": int,
        "restarts": int,
        "uptime_s": float,
    }.items():
        assert type(status[name]) is kind, name
    for role in ("heart", "supervisor", "primary"):
        assert type(status[role]["pid"]) is int, role
    assert status["standby"] is None or type(status["standby"]["lag_records"]) is int


def test_the_command_and_the_method_say_the_same(live: Cli) -> None:
    with Client(live.folder / "data") as client:
        assert set(client.request("system.status")) == set(live.status())


def test_people_get_a_line_for_each_part(live: Cli) -> None:
    lines = live.ok("status").splitlines()
    assert lines[0].startswith("ready")
    names = [line.split()[0] for line in lines[1:]]
    assert names == ["log", "heart", "supervisor", "primary", "standby", "restarts", "data"]


def test_nothing_runs(cli: Cli) -> None:
    ran = cli("status", "--json")
    assert (ran.code, ran.json(), ran.err) == (3, {"state": "stopped"}, "")
    assert "osupervisor start" in cli("status").out


def test_waiting_in_vain_is_a_timeout(cli: Cli) -> None:
    ran = cli("status", "--wait", "ready", "--timeout", "100ms", "--json")
    assert ran.code == 124
    assert ran.json() == {"state": "stopped"}
    assert ran.error()["code"] == "Timeout"


def test_what_is_so_already_is_not_waited_for(cli: Cli) -> None:
    assert cli("status", "--wait", "stopped", "--timeout", "1h").code == 0


def test_waiting_begins_before_the_service_is_there(cli: Cli) -> None:
    starter = threading.Thread(target=start, args=(cli.folder,))
    starter.start()
    try:
        assert "ready" in cli.ok("status", "--wait", "ready", "--timeout", "60s")
    finally:
        starter.join()


def test_a_silent_supervisor_is_told_from_one_that_stops(cli: Cli) -> None:
    """heart's lock and socket without a supervisor behind them, in a process of its own."""
    folder = cli.folder / "data" / "run"
    folder.mkdir(parents=True)
    program = (
        "import socket, sys\n"
        "from osupervisor.supervisor.heart import pid_file\n"
        "from osupervisor.supervisor.cli.stop_lock import take_stop_lock\n"
        "lock = pid_file.acquire('data', 0.0)\n"
        "listener = socket.socket(socket.AF_UNIX)\n"
        "listener.bind('data/run/osupervisor.sock'); listener.listen()\n"
        "print('listens', flush=True); sys.stdin.readline()\n"
        "stop = take_stop_lock('data'); print('stops', flush=True); sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=cli.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdout.readline()
            found = cli.json("status", "--timeout", "100ms")
            assert (found["state"], found["heart"]) == ("starting", {"pid": process.pid})
            assert found["primary"] is None and "doesn't answer" in found["reason"]
            process.stdin.write("\n")
            process.stdin.flush()
            process.stdout.readline()
            assert cli.json("status", "--timeout", "100ms")["state"] == "stopping"
        finally:
            process.kill()


@pytest.fixture
def unguarded(cli: Cli) -> Iterator[int]:
    """A service whose heart is stopped and whose supervisor is dead; heart's process."""
    status = json.loads(start(cli.folder, "--json").stdout)
    heart, supervisor = status["heart"]["pid"], status["supervisor"]["pid"]
    os.kill(heart, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    yield heart
    with contextlib.suppress(ProcessLookupError):
        os.kill(heart, signal.SIGCONT)


def test_a_stopped_heart_is_named_with_the_way_out(cli: Cli, unguarded: int) -> None:
    found = cli.json("status", "--timeout", "200ms")
    assert (found["state"], found["heart"]) == ("starting", {"pid": unguarded})
    assert f"heart, process {unguarded}, is stopped (state T)" in found["reason"]
    assert f"kill -CONT {unguarded}" in found["reason"]
    ran = cli("status", "--wait", "ready", "--timeout", "200ms")
    assert ran.code == 124 and f"kill -CONT {unguarded}" in ran.err
    os.kill(unguarded, signal.SIGCONT)
    cli.ok("status", "--wait", "ready", "--timeout", "60s")


def test_an_unguarded_service_can_be_stopped(cli: Cli, unguarded: int) -> None:
    assert unguarded in cli.json("stop")["pids"]
    assert cli("status").code == 3


def test_an_unguarded_service_can_be_restarted(cli: Cli, unguarded: int) -> None:
    ran = cli("start")
    assert ran.code == 1 and f"kill -CONT {unguarded}" in ran.err
    assert run_script(cli.folder, "restart").returncode == 0
    assert cli.status()["state"] == "ready" and cli.status()["heart"]["pid"] != unguarded


def test_chaos_ends_at_its_time_where_nobody_answers(cli: Cli, unguarded: int) -> None:
    """Beyond a connection's patience, which would end it too."""
    ran = cli("chaos", "kill", "--every", "100ms", "--for", "300ms", "--seed", "7", "--json")
    assert ran.code == 0, ran.err
    *strikes, total = [json.loads(row) for row in ran.out.splitlines()]
    assert strikes and all(each["pid"] is None and each["reason"] for each in strikes)
    assert total == {"struck": 0, "missed": len(strikes), "seed": 7}


@pytest.mark.parametrize(
    "arguments",
    [["--wait", "asleep"], ["--timeout", "soon"], ["--timeout", "0"], ["--nope"], ["x"]],
)
def test_wrong_usage(cli: Cli, arguments: list[str]) -> None:
    ran = cli("status", *arguments)
    assert ran.code == 2
    assert "osupervisor status --help" in ran.err
