"""A kill at each system call of a promotion: of the supervisor that promotes, and of the standby
that is promoted. strace counts the calls and sends the signal."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator

import pytest

from tests.end_to_end.running import Running, is_gone, wait_for

Start = Callable[..., Running]
CALLS = "sendto,sendmsg,recvfrom,recvmsg,pwrite64,write,fdatasync,socketpair,memfd_create"
POINTS = 16

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None or sys.platform != "linux", reason="needs strace"
)


@contextlib.contextmanager
def killed_at(pid: int, point: int) -> Generator[None]:
    """The process dies at its `point`-th call of CALLS from now on."""
    inject = f"inject={CALLS}:signal=SIGKILL:when={point}"
    command = ["strace", "-f", "-o", "/dev/null", "-e", inject, "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    first = tracer.stderr.readline()
    if "attached" not in first:
        tracer.wait()
        pytest.skip(f"strace can't attach here: {first}")
    try:
        yield
    finally:
        # The kernel lets go of what a dead tracer traced. Asked politely strace waits for the first
        # thread of a dying process while it holds the end of another, for ever.
        tracer.kill()
        tracer.communicate()


@pytest.mark.parametrize("role", ["supervisor", "standby"])
def test_a_kill_at_any_call_of_a_promotion_loses_and_doubles_nothing(
    start: Start, role: str
) -> None:
    service = start()
    sent: list[str] = []
    struck: list[bool] = []
    for point in range(1, POINTS + 1):
        victim = service.pid(role)
        service.pid("standby")
        primary = service.pid("primary")
        with killed_at(victim, point):
            os.kill(primary, signal.SIGKILL)
            token = f"{role}.{point}"
            assert service.client.put(token) == len(sent) + 1
            struck.append(is_gone(victim))
            sent.append(token)
        assert service.tokens() == sent
        wait_for(lambda: service.status()["standby"] is not None, "a standby")
    assert struck[0], "nothing was killed"
    assert not all(struck), f"a promotion makes more than {POINTS} calls"
