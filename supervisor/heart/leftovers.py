"""At heart's end nothing of the service stays: brains are killed, orphans are killed, all reaped.

Brains are known by the pidfds in the store. Everything else that descends from heart becomes its
child when its parent dies (heart is a subreaper), so killing children until none is left ends.
"""

import os
import select
import signal
import time
from collections.abc import Iterable

from osupervisor.supervisor.heart.descriptor_name import PIDFD_SUFFIX
from osupervisor.supervisor.heart.process import reap

ROUND_S = 0.05
PATIENCE_S = 10.0  # a process in uninterruptible sleep can't be killed: not waited for for ever


def kill_stored(descriptors: Iterable[tuple[str, int]]) -> None:
    """Kill whatever a name `*.pidfd` in the store stands for, and wait for its end."""
    alive = select.poll()
    count = 0
    for name, fd in descriptors:
        if name.endswith(PIDFD_SUFFIX) and _kill(fd):
            alive.register(fd, select.POLLIN)
            count += 1
    deadline = time.monotonic() + PATIENCE_S
    while count and time.monotonic() < deadline:
        for fd, _ in alive.poll(int(ROUND_S * 1000)):
            alive.unregister(fd)
            count -= 1
        reap()


def kill_children() -> None:
    """Kill and reap until this process has no child left."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        reap()
        pids = children()
        if not pids:
            return
        for pid in pids:
            _kill_child(pid)
        _wait_for_one(pids[0])


def children() -> list[int]:
    """The living and unreaped children of this process, by /proc; empty where that isn't there."""
    mine = str(os.getpid())
    try:
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    return [int(pid) for pid in pids if _parent(pid) == mine]


def _parent(pid: str) -> str | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[1]
    except OSError:
        return None


def _kill(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except OSError:
        return False  # dead already, or no pidfd at all
    return True


def _kill_child(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)  # our unreaped child: the id can't be another's
    except ProcessLookupError:
        return


def _wait_for_one(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return  # some kernels open no zombie; the next round reaps it
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(int(ROUND_S * 1000))
    finally:
        os.close(pidfd)
