"""The watch for a brain's death: told once, and the dying process gives way."""

import asyncio
import contextlib
import errno
import mmap
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from types import ModuleType

import pytest

from osupervisor.supervisor.runtime import scheduling
from osupervisor.supervisor.runtime.death_watch import DeathWatch
from osupervisor.vault_store import futex, hot

PATIENCE_S = 60.0
EXIT_THREAD = {"x86_64": 60}.get(platform.machine(), 93)
BRAIN = f"""
import ctypes, sys, threading, time
from osupervisor.vault_store import hot
segment = hot.HotWriter(int(sys.argv[1]))
threading.Thread(target=time.sleep, args=(1000,)).start()
print(flush=True)
input()
ctypes.CDLL(None).syscall({EXIT_THREAD}, 0)
"""
"""Its main thread ends and leaves the mutex; the process lingers as one that frees gigabytes."""


class Lingering:
    """A process in the middle of its end, as soon as it is told to."""

    def __init__(self, segment: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", BRAIN, str(segment)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(segment,),
        )
        assert self.process.stdout is not None
        self.process.stdout.readline()
        self.pid = self.process.pid
        self.pidfd = os.pidfd_open(self.pid)

    def begin_to_end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        self.process.communicate()
        os.close(self.pidfd)


@pytest.fixture
def segment() -> Generator[int]:
    fd = hot.create()
    yield fd
    os.close(fd)


@pytest.fixture
def lingering(segment: int) -> Generator[Lingering]:
    process = Lingering(segment)
    yield process
    process.close()


def end_of_thread(pid: int) -> None:
    """Wait until the thread that watched this process has done all it does."""
    for thread in threading.enumerate():
        if thread.name == f"death-{pid}":
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def test_a_death_is_told_before_the_process_is_gone_which_gives_way(
    segment: int, lingering: Lingering
) -> None:
    async def watch() -> None:
        loop = asyncio.get_running_loop()
        died = asyncio.Event()
        DeathWatch(lingering.pid, lingering.pidfd, segment, loop, died.set)
        lingering.begin_to_end()
        async with asyncio.timeout(PATIENCE_S):
            await died.wait()

    asyncio.run(watch())
    assert lingering.process.poll() is None
    end_of_thread(lingering.pid)
    assert os.sched_getscheduler(lingering.pid) == os.SCHED_IDLE


def test_another_descriptor_with_the_number_of_its_own_is_not_asked(
    segment: int, lingering: Lingering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is reaped while the thread looks: its pid may be another's by then."""
    nothing = os.eventfd(0)
    gave_way: list[int] = []

    def bury_first(pid: int) -> bool:
        signal.pidfd_send_signal(lingering.pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.dup2(nothing, lingering.pidfd, inheritable=False)
        return True

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        died = asyncio.Event()
        DeathWatch(lingering.pid, lingering.pidfd, segment, loop, died.set)
        loop.remove_reader(lingering.pidfd)
        lingering.begin_to_end()
        async with asyncio.timeout(PATIENCE_S):
            await died.wait()

    pidfd = os.dup(lingering.pidfd)
    monkeypatch.setattr(futex, "exiting", bury_first)
    monkeypatch.setattr(scheduling, "give_way", gave_way.append)
    asyncio.run(watch())
    end_of_thread(lingering.pid)
    os.dup2(pidfd, lingering.pidfd, inheritable=False)
    for fd in (pidfd, nothing):
        os.close(fd)
    assert gave_way == []


@pytest.mark.parametrize(("module", "name"), [(mmap, "mmap"), (os, "dup")])
def test_where_there_is_no_descriptor_left_the_pidfd_alone_watches(
    segment: int,
    lingering: Lingering,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    name: str,
) -> None:
    def none_left(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    async def watch() -> None:
        died = asyncio.Event()
        with monkeypatch.context() as patched:
            patched.setattr(module, name, none_left)
            loop = asyncio.get_running_loop()
            DeathWatch(lingering.pid, lingering.pidfd, segment, loop, died.set)
        signal.pidfd_send_signal(lingering.pidfd, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            await died.wait()

    asyncio.run(watch())


def test_a_watch_that_is_stopped_tells_and_does_nothing(segment: int, lingering: Lingering) -> None:
    async def watch() -> None:
        loop = asyncio.get_running_loop()
        told: list[None] = []
        DeathWatch(lingering.pid, lingering.pidfd, segment, loop, lambda: told.append(None)).stop()
        lingering.begin_to_end()
        async with asyncio.timeout(PATIENCE_S):
            while os.path.exists(f"/proc/{lingering.pid}/exe"):
                await asyncio.sleep(0.001)
        assert not told

    asyncio.run(watch())
    end_of_thread(lingering.pid)
    assert os.sched_getscheduler(lingering.pid) == os.SCHED_OTHER
