"""A service's life by commands, with real processes."""

import fcntl
import json
import os
import signal
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from osupervisor.supervisor.cli.processes import family
from osupervisor.supervisor.heart import pid_file
from osupervisor.wal.lock import DirectoryLock
from tests.supervisor.cli.command import (
    BRAIN,
    PATIENCE_S,
    SCRIPT,
    Cli,
    run_script,
    start,
    wait_for,
    write_brain,
)

DIES_LATER = "os.register_at_fork(after_in_child=die)\n"
"""In each brain that is forked."""


def ended(pid: int) -> bool:
    """Whether a process is gone, or waits for whoever started it to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_service_starts_serves_and_is_gone_when_stop_returns(cli: Cli) -> None:
    started = start(cli.folder, "--json")
    assert started.returncode == 0, started.stderr
    status = json.loads(started.stdout)
    assert status["state"] == "ready"
    assert cli.ok("call", "add", "hits", "3") == "3\n"
    pids = family(status["heart"]["pid"])
    assert {status["supervisor"]["pid"], status["primary"]["pid"]} <= set(pids)
    stopped = cli.json("stop")
    assert stopped["state"] == "stopped"
    assert set(pids) <= set(stopped["pids"])
    assert all(ended(pid) for pid in pids)
    ran = cli("status", "--json")
    assert (ran.code, ran.json()) == (3, {"state": "stopped"})


def test_a_second_start_is_refused_with_the_first_ones_pid(cli: Cli) -> None:
    status = json.loads(start(cli.folder, "--json").stdout)
    for arguments in (["start", "--json"], ["start", "--daemon", "--json"]):
        ran = run_script(cli.folder, *arguments)
        error = json.loads(ran.stderr.splitlines()[-1])
        assert ran.returncode == 1
        assert error["code"] == "AlreadyRunning"
        assert error["data"]["pid"] == status["heart"]["pid"]
        assert "osupervisor stop" in error["hint"]
    assert cli.status()["heart"] == status["heart"]


@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace needs root here")
def test_from_another_container_nothing_is_stopped(cli: Cli) -> None:
    """One that has the data directory, too, but sees none of the service's processes."""
    start(cli.folder)
    for command in ("stop", "restart"):
        ran = subprocess.run(
            ["unshare", "--pid", "--fork", "--mount-proc", SCRIPT, command, "--timeout", "30s"],
            cwd=cli.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert ran.returncode == 1
        assert "runs in another container, and can't be stopped from this one" in ran.stderr
    assert cli.status()["state"] == "ready"
    cli.ok("stop")


def test_restart_repeats_the_arguments_and_keeps_the_state(cli: Cli, tmp_path: Path) -> None:
    first = json.loads(start(cli.folder, "--json", "--set", "op.timeout_s=7s").stdout)
    cli.ok("call", "add", "hits", "3")
    ran = run_script(cli.folder, "restart", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["heart"]["pid"] != first["heart"]["pid"]
    assert cli.ok("call", "get", "hits") == "3\n"
    settings = json.loads((tmp_path / "data" / "run" / "settings.json").read_bytes())
    assert settings["settings"]["op"]["timeout_s"] == 7


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("import no_such_module_here\n", "no_such_module_here"),
        ("import os\nprint('farewell', flush=True)\nos._exit(7)\n", "farewell"),
        ("", "Counter"),
        (BRAIN + "    def __init__(self) -> None:\n        raise ValueError('torn')\n", "torn"),
        (BRAIN + "def die():\n    print('adieu'); os._exit(9)\n" + DIES_LATER, "adieu"),
        (BRAIN + "def die():\n    os.kill(os.getpid(), 11)\n" + DIES_LATER, "SIGSEGV"),
    ],
)
def test_restart_refuses_a_brain_that_does_not_start_before_it_stops_anything(
    cli: Cli, code: str, told: str
) -> None:
    before = json.loads(start(cli.folder, "--json").stdout)
    (cli.folder / "brain.py").write_text(code)
    ran = run_script(cli.folder, "restart", "--json")
    assert ran.returncode == 1
    error = json.loads(ran.stderr.splitlines()[-1])
    assert error["code"] == "BrainFailed"
    assert told in error["message"] + error["data"]["traceback"]
    assert "goes on" in error["hint"]
    after = cli.status()
    assert after["state"] == "ready"
    for role in ("heart", "supervisor", "primary"):
        assert after[role]["pid"] == before[role]["pid"], role
    assert cli.ok("call", "add", "hits") == "1\n"


def test_restart_leaves_nothing_of_a_brain_that_hangs_before_it_is_ready(cli: Cli) -> None:
    start(cli.folder)
    pid = cli.folder / "pid"
    hang = f"open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
    (cli.folder / "brain.py").write_text(BRAIN + f"def die():\n    {hang}\n" + DIES_LATER)
    for seconds in (2, 10, 50):
        assert run_script(cli.folder, "restart", "--timeout", f"{seconds}s").returncode == 124
        if pid.exists():
            break  # and not already the import was too slow
    assert ended(int(pid.read_text()))
    assert cli.status()["state"] == "ready"


def test_a_brain_that_can_be_started_without_a_state_alone_is_told_behind_the_stop(
    cli: Cli,
) -> None:
    """What a trial can't see: here, that all brains but the first one die."""
    start(cli.folder, "--set", "brain.start_failures_max=1")
    cli.ok("call", "add", "hits", "3")
    path = str(cli.folder / "forked")
    dies = f"def die():\n    if os.path.exists({path!r}): os._exit(9)\n    open({path!r}, 'w')\n"
    (cli.folder / "brain.py").write_text(BRAIN + dies + DIES_LATER)
    ran = run_script(cli.folder, "restart", "--json")
    error = json.loads(ran.stderr.splitlines()[-1])
    assert (ran.returncode, error["code"]) == (1, "BrainFailed")
    assert "nothing is left running" in error["hint"] and "old code" in error["hint"]
    assert cli("status").code == 3
    (cli.folder / "brain.py").write_text(BRAIN)
    assert start(cli.folder).returncode == 0
    assert cli.ok("call", "get", "hits") == "3\n"


def test_restart_refuses_a_brain_whose_import_does_not_end(cli: Cli) -> None:
    start(cli.folder)
    pid = cli.folder / "pid"
    endless = f"import os\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\nwhile True: pass\n"
    (cli.folder / "brain.py").write_text(endless)
    assert run_script(cli.folder, "restart", "--timeout", "2s").returncode == 124
    assert ended(int(pid.read_text()))
    assert cli.status()["state"] == "ready"


def test_restart_refuses_a_bad_setting_before_it_stops_anything(cli: Cli) -> None:
    before = json.loads(start(cli.folder, "--json").stdout)
    with open(cli.folder / "osupervisor.toml", "a") as file:
        file.write('queue_max = "many"\n')
    ran = run_script(cli.folder, "restart", "--json", "--data", "data")
    assert ran.returncode == 2
    assert cli("status", "--json", "--data", "data").json()["heart"] == before["heart"]


def test_restart_starts_a_stopped_service_as_it_was(cli: Cli) -> None:
    start(cli.folder, "--set", "op.timeout_s=7s")
    cli.ok("stop")
    assert run_script(cli.folder, "restart").returncode == 0
    assert cli.status()["state"] == "ready"


def test_restart_without_a_start_before_it_is_not_running(cli: Cli) -> None:
    assert cli("restart").code == 3


def test_in_the_foreground_start_becomes_heart_and_says_what_it_does_on_stderr(cli: Cli) -> None:
    process = subprocess.Popen(
        [SCRIPT, "start"],
        cwd=cli.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        ran = cli("status", "--wait", "ready", "--timeout", "60s", "--json")
        assert ran.json()["heart"]["pid"] == process.pid
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "^C stops it" in err
    assert "lease.granted" in err
    assert cli("status").code == 3


def test_a_target_that_cant_be_imported_is_told_and_nothing_stays(cli: Cli) -> None:
    (cli.folder / "broken.py").write_text("import no_such_module_here\n")
    ran = start(cli.folder, "broken.py:Counter", "--json")
    assert ran.returncode == 1
    error = json.loads(ran.stderr.splitlines()[-1])
    assert error["code"] == "BrainFailed"
    assert "no_such_module_here" in error["message"]
    assert cli("status").code == 3


def test_only_a_traceback_of_this_start_is_told(cli: Cli) -> None:
    """A log may hold any number of them, of starts long ago."""
    (cli.folder / "broken.py").write_text("import no_such_module_here\n")
    ran = start(cli.folder, "broken.py:Counter", "--json")
    assert "no_such_module_here" in json.loads(ran.stderr)["data"]["traceback"]
    dying = "import os\nos.register_at_fork(after_in_child=lambda: os._exit(9))\n" + BRAIN
    (cli.folder / "brain.py").write_text(dying)
    ran = start(cli.folder, "--json", "--set", "brain.start_failures_max=1")
    error = json.loads(ran.stderr.splitlines()[-1])
    assert (ran.returncode, error["code"]) == (1, "BrainFailed")
    assert "traceback" not in error["data"]


def test_a_target_that_ends_its_process_is_told_and_nothing_stays(cli: Cli) -> None:
    (cli.folder / "ends.py").write_text("import os\nprint('farewell', flush=True)\nos._exit(7)\n")
    ran = start(cli.folder, "ends.py:Counter", "--json")
    assert ran.returncode == 1
    error = json.loads(ran.stderr.splitlines()[-1])
    assert error["code"] == "BrainFailed"
    output = cli.folder / "data" / "logs" / "nursery.log"
    assert "exit_code: 7" in error["message"] and str(output) in error["message"]
    assert "farewell" in output.read_text()
    assert cli("status").code == 3


def test_what_a_nursery_prints_is_of_its_start(cli: Cli) -> None:
    """Its own lines have no time: that of the file's last write would be another nursery's."""
    for text in ("'first'", "'second', end=''"):
        (cli.folder / "ends.py").write_text(f"print({text}, flush=True)\nimport os\nos._exit(7)\n")
        assert start(cli.folder, "ends.py:Counter").returncode == 1
    rows = [json.loads(row) for row in cli.ok("logs", "--source", "nursery", "--json").splitlines()]
    told = [row["message"] for row in rows]
    assert set(told) == {"nursery.starting", "first", "second"}
    assert told.count("nursery.starting") >= 4, "two nurseries of each start"
    for begun, said in pairwise(rows):  # one that ended with its supervisor may have said nothing
        if said["message"] != "nursery.starting":
            assert begun["message"] == "nursery.starting" and begun["time"] == said["time"]
    assert rows[0]["time"] < rows[-1]["time"]


def test_a_timeout_in_the_foreground_is_wrong_usage(cli: Cli, tmp_path: Path) -> None:
    ran = cli("start", "--timeout", "3")
    assert ran.code == 2 and "--daemon" in ran.err
    assert not (tmp_path / "data").exists()


def test_a_supervisor_that_refuses_is_repeated(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    lock = DirectoryLock.acquire(tmp_path / "data")
    try:
        ran = start(cli.folder, "--json")
    finally:
        lock.release()
    assert ran.returncode == 1
    error = json.loads(ran.stderr.splitlines()[-1])
    assert error["code"] == "Refused"
    assert f"process {os.getpid()}" in error["message"]
    assert cli("status").code == 3


def test_a_bad_setting_starts_and_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "osupervisor.toml").write_text('target = "brain.py:Counter"\nqueue_max = "many"\n')
    ran = cli("start", "--json")
    assert ran.code == 2
    (error,) = ran.error()["data"]["errors"]
    assert error["key"] == "queue_max"
    assert (error["line"], error["found"]) == (2, '"many"')
    assert not (tmp_path / "data").exists()


def test_a_start_without_a_target_says_how_to_name_one(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "osupervisor.toml").unlink()
    ran = cli("start")
    assert ran.code == 2
    assert "osupervisor start brain.py:Counter" in ran.err


def test_two_starts_at_once_are_one(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "data" / "run").mkdir(parents=True)
    with open(tmp_path / "data" / "run" / "start.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = cli("start")
    assert ran.code == 1
    assert "another `osupervisor start`" in ran.err


def test_stop_reaches_a_heart_that_was_stopped(cli: Cli) -> None:
    heart = json.loads(start(cli.folder, "--json").stdout)["heart"]["pid"]
    os.kill(heart, signal.SIGSTOP)
    cli.ok("stop")
    assert pid_file.holder(str(cli.folder / "data")) is None


def test_stop_waits_for_all_that_a_revived_heart_took_over(cli: Cli) -> None:
    started = json.loads(start(cli.folder, "--json").stdout)
    pids = family(started["heart"]["pid"])
    os.kill(started["heart"]["pid"], signal.SIGKILL)
    wait_for(lambda: cli.status()["heart"]["pid"] != pids[0])
    cli.ok("stop")
    assert all(ended(pid) for pid in pids)


def test_two_stops_at_once_both_return_when_all_has_ended(cli: Cli) -> None:
    start(cli.folder)
    command = [SCRIPT, "stop"]
    others = [subprocess.Popen(command, cwd=cli.folder, text=True) for _ in range(2)]
    codes = [other.wait(timeout=PATIENCE_S) for other in others]
    assert sorted(codes) in ([0, 0], [0, 3])  # the later one may find nothing any more
    assert cli("status").code == 3


def test_a_service_outlives_the_terminal_that_started_it(cli: Cli) -> None:
    status = json.loads(start(cli.folder, "--json").stdout)
    heart = status["heart"]["pid"]
    fields = Path(f"/proc/{heart}/stat").read_text().rpartition(")")[2].split()
    session, terminal = int(fields[3]), int(fields[4])
    assert session not in (os.getsid(0), heart), "a session of its own, which it doesn't lead"
    assert terminal == 0
    wait_for(lambda: cli.status()["state"] == "ready")


def test_files_of_the_service_are_its_owners_alone(cli: Cli, tmp_path: Path) -> None:
    start(cli.folder)
    run = tmp_path / "data" / "run"
    assert run.stat().st_mode & 0o777 == 0o700
    for name in ("settings.json", "start.json", "osupervisor.sock"):
        assert (run / name).stat().st_mode & 0o777 == 0o600, name


def test_what_is_set_counts_where_no_flag_of_its_own_is_given(cli: Cli) -> None:
    (cli.folder / "osupervisor.toml").write_text('profile = "test"\n')
    given = ["--set", "data=elsewhere", "--set", "target=brain.py:Counter"]
    started = start(cli.folder, *given, "--json")
    assert started.returncode == 0, started.stderr
    elsewhere = str(cli.folder / "elsewhere")
    assert cli.ok("call", "add", "hits", "3", "--data", elsewhere) == "3\n"
    restarted = run_script(cli.folder, "restart", "--data", elsewhere)
    assert restarted.returncode == 0, restarted.stderr
    assert cli.ok("call", "get", "hits", "--data", elsewhere) == "3\n"
    assert not (cli.folder / "data").exists()


def test_a_service_may_stand_in_a_folder_of_any_name(cli: Cli) -> None:
    cli.folder = cli.folder / "no\u00a0break \U0001f469\u200d\U0001f4bb"
    write_brain(cli.folder)
    started = start(cli.folder)
    assert started.returncode == 0, started.stderr
    assert cli.ok("call", "add", "hits", "3") == "3\n"
    cli.ok("stop")


def test_a_folder_whose_name_is_no_utf8_is_told(cli: Cli) -> None:
    cli.folder = cli.folder / os.fsdecode(b"\xff")
    write_brain(cli.folder)
    refused = start(cli.folder)
    assert refused.returncode == 2 and "no UTF-8" in refused.stderr
