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
  nursery, which is the subreaper.
* Children leave by `os._exit`.
"""

import gc
import os
import signal
import traceback
from collections.abc import Callable
from typing import Final

from osupervisor.brain import output
from osupervisor.brain.packing import decode, encode

STANDARD: Final = (0, 1, 2)
CHECKPOINT_NICENESS: Final = 10
"""The checkpoint's child gives way to the brain that serves."""


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
    pid = os.fork()
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


def fork_grandchild(keep: list[int]) -> int:
    """Fork twice, so that the new process belongs to the subreaper.

    In the new process: 0, and all but `keep` and the standard descriptors are closed. In the
    caller: its pid. Raises OSError when no process can be made.
    """
    output.flush()
    gc.freeze()
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        pid = _fork_or_zero(writer)
        if pid == 0:
            quiet_signals()
            close_others(keep)
            return 0
        os._exit(0 if pid > 0 else 71)
    os.close(writer)
    try:
        answer = os.read(reader, 64)
        os.waitpid(middle, 0)
    finally:
        os.close(reader)
    if not answer:
        raise OSError("the follower's process could not be made")
    found: int = decode(answer)
    return found


def _fork_or_zero(writer: int) -> int:
    """In the process between: fork and tell the new pid. -1: it could not be made."""
    try:
        pid = os.fork()
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
