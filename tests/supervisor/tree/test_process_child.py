"""Real processes as children: real kills, on the real clock."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from osupervisor.supervisor.tree.cause import SHUTDOWN, Cause, CauseKind
from osupervisor.supervisor.tree.child_spec import ChildSpec
from osupervisor.supervisor.tree.errors import ChildStartError
from osupervisor.supervisor.tree.process_child import Program, process
from osupervisor.supervisor.tree.supervisor import Supervisor
from tests.supervisor.tree.conftest import Run
from tests.supervisor.tree.workers import Told, Workers, kinds, make, running, until

KILLS = 30
PROGRAMS = Path(__file__).parent / "programs"


def _shell(script: str) -> list[str]:
    return ["sh", "-c", script]


SERVES = _shell("echo ready >&3; exec sleep 1000")
DEAF = _shell("trap '' TERM; echo ready >&3; exec sleep 1000")
# A stopped process dies of a SIGTERM that it does not handle, but can't handle one.
POLITE = _shell("trap 'exit 0' TERM; echo ready >&3; read line <&3")


def _spec(argv: Sequence[str], child_id: str = "child", **fields: Any) -> ChildSpec:
    return ChildSpec(child_id, process(argv), **fields)


def _pid(supervisor: Supervisor, child_id: str = "child") -> int:
    pid = running(supervisor)[child_id].pid
    assert pid is not None
    return pid


def _is_gone(pid: int) -> bool:
    """Ended and reaped."""
    return not Path(f"/proc/{pid}").exists()


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def _fails(supervisor: Supervisor, spec: ChildSpec) -> Cause:
    with pytest.raises(ChildStartError) as failed:
        await supervisor.start_child(spec)
    return failed.value.cause


def test_a_process_is_ready_and_ends_when_it_is_asked_to(run_real: Run) -> None:
    async def main() -> None:
        top = make([_spec(SERVES)])
        await top.start()
        pid = _pid(top)
        assert not _is_gone(pid)
        assert await top.stop() == SHUTDOWN
        assert _is_gone(pid)
        assert top.deaths() == ()

    run_real(main)


def test_a_killed_process_is_restarted_again_and_again(run_real: Run) -> None:
    async def main() -> None:
        top = make([_spec(SERVES)], intensity=KILLS)
        await top.start()
        before = _descriptors()
        for _ in range(KILLS):
            pid = _pid(top)
            os.kill(pid, signal.SIGKILL)
            await until(lambda was=pid: running(top) != {} and _pid(top) != was)  # type: ignore[misc]
            assert _is_gone(pid)
        assert _descriptors() == before
        assert len(top.deaths()) == KILLS
        assert {(d.cause.kind, d.cause.detail, d.cause.number) for d in top.deaths()} == {
            (CauseKind.SIGNAL, "SIGKILL", 9)
        }
        await top.stop()

    run_real(main)


@pytest.mark.parametrize("how", ["deaf", "stopped"])
def test_a_process_that_does_not_end_when_asked_is_killed(run_real: Run, how: str) -> None:
    async def main() -> None:
        told = Told()
        top = make([_spec(DEAF if how == "deaf" else POLITE, shutdown=0.2)], told)
        await top.start()
        pid = _pid(top)
        if how == "stopped":
            os.kill(pid, signal.SIGSTOP)
        await top.stop()
        assert _is_gone(pid)
        assert kinds(top) == ["killed"]
        assert told.contexts() == [("shutdown_error", "child")]

    run_real(main)


def test_a_process_that_exits_with_0_when_asked_has_shut_down(run_real: Run) -> None:
    async def main() -> None:
        top = make([_spec(_shell("trap 'exit 0' TERM; echo ready >&3; read line <&3"))])
        await top.start()
        await top.stop()
        assert top.deaths() == ()

    run_real(main)


def test_the_same_signal_from_elsewhere_is_a_death(run_real: Run) -> None:
    async def main() -> None:
        top = make([_spec(SERVES, restart="transient")])
        await top.start()
        pid = _pid(top)
        os.kill(pid, signal.SIGTERM)
        await until(lambda: running(top) != {} and _pid(top) != pid)
        assert top.deaths()[0].cause == Cause(CauseKind.SIGNAL, "SIGTERM", 15)
        await top.stop()

    run_real(main)


def test_brutal_kill_does_not_ask(run_real: Run) -> None:
    async def main() -> None:
        top = make([_spec(DEAF, shutdown="brutal_kill")])
        await top.start()
        await top.stop()
        assert top.deaths() == ()

    run_real(main)


def test_a_process_that_is_not_ready_in_time_is_killed(run_real: Run) -> None:
    async def main() -> None:
        top = make()
        await top.start()
        slow = _spec(["sleep", "1000"], start_timeout_s=0.2)
        assert (await _fails(top, slow)).kind is CauseKind.START_TIMEOUT
        assert top.which_children() == ()
        await top.stop()

    run_real(main)


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("exit 3", Cause(CauseKind.EXIT_CODE, "3", 3)),
        ("exit 78", Cause(CauseKind.EXIT_CODE, "78 (EX_CONFIG)", 78)),
        ("kill -SEGV $$", Cause(CauseKind.SIGNAL, "SIGSEGV", 11)),
        ("exit 0", Cause(CauseKind.ERROR, "it ended before it was ready (normal)")),
        ("echo failed no luck today >&3; exec sleep 1000", Cause(CauseKind.ERROR, "no luck today")),
        (
            "echo hello >&3; exec sleep 1000",
            Cause(CauseKind.ERROR, "found 'hello', wanted ready, ignore or failed"),
        ),
        (
            "head -c 70000 /dev/zero >&3; exec sleep 1000",
            Cause(CauseKind.ERROR, "it sent 65536 bytes without a line's end"),
        ),
    ],
)
def test_a_process_that_does_not_become_ready(run_real: Run, script: str, cause: Cause) -> None:
    async def main() -> None:
        top = make()
        await top.start()
        assert await _fails(top, _spec(_shell(script))) == cause
        await top.stop()

    run_real(main)


def test_a_program_that_is_not_there(run_real: Run) -> None:
    async def main() -> None:
        top = make()
        await top.start()
        before = _descriptors()
        cause = await _fails(top, _spec(["/nowhere/at/all"]))
        assert "FileNotFoundError" in cause.detail and "/nowhere/at/all" in cause.detail
        assert _descriptors() == before
        await top.stop()

    run_real(main)


def test_a_process_may_have_nothing_to_do(run_real: Run) -> None:
    async def main() -> None:
        top = make()
        await top.start()
        assert (await top.start_child(_spec(_shell("echo ignore >&3")))).child is None
        await top.stop()

    run_real(main)


def test_what_it_says_with_ready_goes_to_whoever_started_it(run_real: Run) -> None:
    async def main() -> None:
        top = make()
        await top.start()
        script = "echo ready on port 80 >&3; exec sleep 1000"
        assert (await top.start_child(_spec(_shell(script)))).info == "on port 80"
        await top.stop()

    run_real(main)


def test_the_last_word_of_a_process_that_ends_at_once_is_heard(run_real: Run) -> None:
    async def main() -> None:
        top = make()
        await top.start()
        once = _spec(_shell("echo ready >&3"), restart="transient")
        assert (await top.start_child(once)).child is not None
        await until(lambda: running(top) == {})
        assert kinds(top) == ["normal"]
        await top.stop()

    run_real(main)


def test_a_process_gets_its_descriptors_and_no_others(run_real: Run, tmp_path: Path) -> None:
    """Also where numbers here and there are crosswise."""
    script = (
        "import os, sys;"
        "low, high = int(sys.argv[1]), int(sys.argv[2]);"
        "os.write(low, b'to low'); os.write(high, b'to high');"
        "os.write(1, ' '.join(os.listdir('/proc/self/fd')).encode());"
        "os.write(3, b'ready' + bytes([10]))"
    )

    async def main() -> None:
        fds = [os.open(tmp_path / name, os.O_CREAT | os.O_RDWR) for name in "abc"]
        low, high, listing = sorted(fds)
        stray = os.open(os.devnull, os.O_RDONLY)
        os.set_inheritable(stray, True)
        argv = [sys.executable, "-I", "-S", "-c", script, str(low), str(high)]
        program = Program(argv, fds={low: high, high: low, 1: listing})
        top = make()
        await top.start()
        await top.start_child(ChildSpec("child", process(program), "temporary"))
        await until(lambda: running(top) == {})
        await top.stop()
        assert os.pread(high, 100, 0) == b"to low"
        assert os.pread(low, 100, 0) == b"to high"
        # The listing has the folder itself open, under the first number that is free.
        listed = set(map(int, os.pread(listing, 100, 0).split()))
        assert listed >= {0, 1, 2, 3, low, high}
        assert len(listed) == 7 and stray not in listed
        for fd in (*fds, stray):
            os.close(fd)

    run_real(main)


def test_tasks_and_processes_are_children_of_the_same_kind(run_real: Run) -> None:
    async def main() -> None:
        workers = Workers()
        specs = [workers.spec("before"), _spec(SERVES), workers.spec("behind")]
        top = make(specs, strategy="rest_for_one")
        await top.start()
        first = running(top)
        os.kill(_pid(top), signal.SIGKILL)
        await until(lambda: len(running(top)) == 3 and running(top) != first)
        assert running(top)["before"] == first["before"]
        assert running(top)["behind"] != first["behind"]
        assert workers.journal == ["start before", "start behind", "end behind", "start behind"]
        await top.stop()

    run_real(main)


def test_a_process_ends_with_its_supervisor() -> None:
    """End of file on the handshake's descriptor: the supervisor is dead."""
    argv = [sys.executable, str(PROGRAMS / "lonely_supervisor.py")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as lonely:
        assert lonely.stdout is not None
        pid = int(lonely.stdout.readline())
        assert not _is_gone(pid)
        child = os.pidfd_open(pid)
        lonely.kill()
        assert lonely.wait() == -signal.SIGKILL
    give_up_s = time.monotonic() + 20
    while _state(pid) not in ("", "Z"):
        assert time.monotonic() < give_up_s, "it lives on without its supervisor"
        time.sleep(0.005)
    os.close(child)


def _state(pid: int) -> str:
    """Of the process; empty where it is gone, reaped by whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_process_whose_exit_status_somebody_else_took(run_real: Run) -> None:
    async def main() -> None:
        top = make([_spec(SERVES, restart="transient")])
        await top.start()
        pid = _pid(top)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        await until(lambda: running(top) != {} and _pid(top) != pid)
        assert top.deaths()[0].cause.detail == "somebody else has taken its exit status"
        await top.stop()

    run_real(main)


def test_many_processes_killed_at_once(run_real: Run) -> None:
    async def main() -> None:
        specs = [_spec(SERVES, f"child{n}") for n in range(10)]
        top = make(specs, intensity=10)
        await top.start()
        first = running(top)
        for ref in first.values():
            assert ref.pid is not None
            os.kill(ref.pid, signal.SIGKILL)
        await until(lambda: not set(first.values()) & set(running(top).values()))
        await until(lambda: len(running(top)) == 10)
        assert len(top.deaths()) == 10
        await asyncio.wait_for(top.stop(), 20)

    run_real(main)
