"""Heart killed at a system call: the supervisor revives it, or the next start is a clean one."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from osupervisor.supervisor.heart import pid_file
from osupervisor.supervisor.heart.command import heart_command
from osupervisor.supervisor.heart.options import Options
from tests.supervisor.heart.service import PARROT, Service, lives, wait_for

CALLS = (
    "bind,listen,unlink,unlinkat,fchmod,openat,fcntl,clone,fork,vfork,clone3,pidfd_open,sendmsg,"
    "sendto,recvmsg,poll,wait4,ftruncate,pwrite64,pipe2,write,prctl,prlimit64,rt_sigprocmask"
)
FIRST, LAST = 100, 260  # before: Python's own start; behind: the second or third restart
POINTS = 5
SEED = int(os.environ.get("OSUPERVISOR_TEST_SEED", random.randrange(1 << 32)))


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("point", range(POINTS))
def test_a_heart_killed_at_any_system_call_leaves_a_service_that_goes_on(
    service: Service, point: int
) -> None:
    chance = random.Random(SEED + point)
    call = chance.randrange(FIRST, LAST)
    print(f"system call {call}; repeat with OSUPERVISOR_TEST_SEED={SEED}")
    options = Options(
        (*PARROT, f"status {service.data}"),
        str(service.data),
        foreground=True,
        spare=chance.random() < 0.5,
        healthy_s=0,
    )
    inject = ["-o", "/dev/null", "-e", f"inject={CALLS}:signal=KILL:when={call}"]
    traced = subprocess.Popen(
        ["strace", *inject, "--", *heart_command(options)],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    drive(service, traced)
    assert traced.wait(20) in (-signal.SIGKILL, 128 + signal.SIGKILL)
    if not goes_on(service):
        service.start()
    old = service.kill_supervisor()
    assert service.next_supervisor(old)["listeners"] == ["osupervisor.sock"]


def drive(service: Service, traced: "subprocess.Popen[bytes]") -> None:
    """Kill supervisors, each when it answers, until heart has come to its system call."""

    def is_over() -> bool:
        pid = answering(service)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return traced.poll() is not None

    wait_for(is_over)


def answering(service: Service) -> int | None:
    """The process id of the supervisor; None where none answers soon."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(0.3)
            client.connect(str(service.data / "run" / "osupervisor.sock"))
            client.sendall(b"who\n")
            with client.makefile() as file:
                return int(json.loads(file.readline() or "{}").get("pid", 0)) or None
    except OSError:
        return None


def goes_on(service: Service) -> bool:
    """Whether a supervisor outlived its heart; then the new heart is waited for."""
    wait_for(lambda: pid_file.holder(str(service.data)) or not members(service))
    return bool(members(service))


def members(service: Service) -> list[str]:
    """All living processes that have the data folder in their command."""
    found: list[str] = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if os.fsencode(service.data) in command and lives(int(name)):
            found.append(name)
    return found
