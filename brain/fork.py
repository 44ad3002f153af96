"""Forks of a brain: the child that writes a checkpoint, and the follower that it spawns.

Rules
* A brain forks with nothing unconfirmed and nothing queued: the copy is the state of its LSN.
* A child closes at once all that it inherited but what it was given: an end of the parent's port
  that lives on in a child would hide the parent's death.
* A child unmaps the parent's hot segment and its mutex with it, and makes its own where it has one.
* `gc.freeze` before each fork: a collection in either process would write to every page. What is
  frozen is never collected, and a container that was taken out of the state may need that, so a
  follower collects everything before it freezes: `thaw`. That takes 0.1 us per container.
* A spawned follower is no child of its parent: it outlives it, and its end is reported by the
  nursery, which is the subreaper. The process between them makes it, while the parent serves on: a
  fork copies the page tables, 25 ms for 1 GB in small pages, and the parent waits for one only.
* Children leave by `os._exit`.
* A child that an author's op forks is no brain: `guard` takes the parent's port and line from it.
"""

import gc
import os
import signal
import traceback
from collections.abc import Callable
from typing import Final

from osupervisor.brain import output
from osupervisor.brain.line import close_all
from osupervisor.brain.packing import decode, encode

STANDARD: Final = (0, 1, 2)
FORKS_PER_THAW: Final = 12
"""A primary thaws at every 12th fork only: it serves."""
CHECKPOINT_NICENESS: Final = 10
"""The checkpoint's child gives way to the brain that serves."""


class _Guard:
    """The descriptors that a child of the author's must not have; empty before a fork of ours."""

    installed = False
    channels: tuple[int, ...] = ()

    @classmethod
    def after_fork(cls) -> None:
        for channel in cls.channels:
            null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            os.dup2(null, channel, inheritable=False)
            os.close(null)
        cls.channels = ()


def guard(*channels: int) -> None:
    """Take these descriptors from every child that is not forked here; replaces the last ones.

    The child may do what it likes and end, but can't answer in its parent's name, nor hide its
    parent's death. One that returns into the run loop ends there.
    """
    _Guard.channels = channels
    if not _Guard.installed:
        os.register_at_fork(after_in_child=_Guard.after_fork)
        _Guard.installed = True


def _fork() -> int:
    channels, _Guard.channels = _Guard.channels, ()
    try:
        return os.fork()
    finally:
        _Guard.channels = channels


def thaw() -> None:
    """Collect everything, also what earlier forks froze."""
    gc.unfreeze()
    gc.collect()


def fork_child(work: Callable[[], int], keep: list[int]) -> int:
    """Fork; the child keeps the descriptors `keep` and the standard ones, runs `work`, and ends
    with what it returns. The child's pid; the caller reaps it.
    """
    output.flush()
    gc.freeze()
    pid = _fork()
    if pid == 0:
        code = 70
        try:
            gc.disable()
            quiet_signals()
            close_others(keep)
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


class Between:
    """The process that a brain forks to fork a follower; it ends at once, and has to be reaped."""

    def __init__(self, pid: int, reader: int) -> None:
        """`reader`: a pipe that brings the follower's pid."""
        self._pid = pid
        self._reader = reader

    def grandchild(self) -> int | None:
        """The follower's pid, 0 when it could not be made; None: that is not known yet.

        Never waits. Not to be called again after it answered.
        """
        try:
            if os.waitpid(self._pid, os.WNOHANG)[0] == 0:
                return None
        except ChildProcessError:
            pass  # an author's op that waits for any child has reaped it
        try:
            answer = os.read(self._reader, 64)
        finally:
            os.close(self._reader)
        found: int = decode(answer) if answer else 0
        return found


def fork_grandchild(keep: list[int]) -> Between | None:
    """Fork twice, so that the new process belongs to the subreaper.

    In the new process: None, and all but `keep` and the standard descriptors are closed. The caller
    goes on as soon as the first fork is done. Raises OSError when not even that can be made.
    """
    output.flush()
    gc.freeze()
    reader, writer = os.pipe()
    try:
        middle = _fork()
    except OSError:
        close_all([reader, writer])
        raise
    if middle == 0:
        pid = _fork_or_zero(writer)
        if pid == 0:
            quiet_signals()
            close_others(keep)
            return None
        os._exit(0 if pid > 0 else 71)
    os.close(writer)
    return Between(middle, reader)


def _fork_or_zero(writer: int) -> int:
    """In the process between: fork and tell the new pid. -1: it could not be made."""
    try:
        pid = _fork()
        if pid > 0:
            os.write(writer, encode(pid))
        return pid
    except OSError:
        return -1


def quiet_signals() -> None:
    """No timer and no handler of the parent's in a child; ^C belongs to heart."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def close_others(keep: list[int]) -> None:
    """Close every descriptor but the standard ones and `keep`."""
    previous = 2
    for descriptor in sorted(set(keep) - set(STANDARD)):
        os.closerange(previous + 1, descriptor)
        previous = descriptor
    os.closerange(previous + 1, os.sysconf("SC_OPEN_MAX") if previous < 0 else 1 << 20)
