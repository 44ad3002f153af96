"""Notices a brain's death: its robust mutex for speed, its pidfd for certainty.

A pidfd is readable only after the kernel has torn the memory down, which takes 77 to 500 ms for
1 GB; the mutex is marked before that, within about 0.1 ms. A thread waits for the mark, checks
with the kernel that the process really ends, hands the news to the loop, and then has the process
give way to the others (scheduling.py): the loop is awake by then and runs on. In the other order
every third takeover waited behind it for the kernel's next tick, 4 ms. A mark that turns out to be
a lie ends the thread: what the brain writes there is not to be trusted, the pidfd is.
"""

import asyncio
import contextlib
import mmap
import os
import signal
import threading
import time
from collections.abc import Callable

from osupervisor.supervisor.runtime import scheduling
from osupervisor.vault_store import futex
from osupervisor.vault_store.hot_layout import SEGMENT_BYTES

ROUND_S = 1.0
"""How long the thread waits at a time; a watch that is stopped ends within that."""
LINGER_S = 0.05
"""Longer than a failover takes."""


class DeathWatch:
    """Calls `died` on the loop, once, when the process is gone or certain to go."""

    def __init__(
        self,
        pid: int,
        pidfd: int,
        hot_fd: int,
        loop: asyncio.AbstractEventLoop,
        died: Callable[[], None],
    ) -> None:
        self._pid = pid
        self._pidfd = pidfd
        self._loop = loop
        self._died = died
        self._stopped = False
        self._noticed = False
        loop.add_reader(pidfd, self._notice)
        if futex.available():
            with contextlib.suppress(OSError, RuntimeError):  # without room the pidfd is the watch
                self._start_thread(hot_fd)

    def _start_thread(self, hot_fd: int) -> None:
        """It has descriptors of its own: the caller may close his while it looks, and give their
        numbers to something else."""
        with contextlib.ExitStack() as undo:
            mapping = undo.enter_context(mmap.mmap(hot_fd, SEGMENT_BYTES, prot=mmap.PROT_READ))
            pidfd = os.dup(self._pidfd)
            undo.callback(os.close, pidfd)
            name, arguments = f"death-{self._pid}", (mapping, pidfd)
            threading.Thread(target=self._wait, args=arguments, name=name, daemon=True).start()
            undo.pop_all()

    def stop(self) -> None:
        """No call after this one; the pidfd stays the caller's, for readers of his own too."""
        if not self._stopped:
            self._stopped = True
            self._loop.remove_reader(self._pidfd)

    def _wait(self, mapping: mmap.mmap, pidfd: int) -> None:
        with mapping, contextlib.ExitStack() as last:
            last.callback(os.close, pidfd)
            while not self._stopped:
                if futex.wait_for_death(mapping, ROUND_S):
                    if futex.exiting(self._pid) and not self._stopped:
                        with contextlib.suppress(RuntimeError):  # the loop is closed
                            self._loop.call_soon_threadsafe(self._notice)
                        self._make_way(pidfd)
                        # The loop wants the GIL now, and this thread's end would take it.
                        time.sleep(LINGER_S)
                    return

    def _make_way(self, pidfd: int) -> None:
        """While it is not reaped its pid is its own."""
        if not reaped(pidfd):
            scheduling.give_way(self._pid)

    def _notice(self) -> None:
        """What takes the lease away goes first, tidying up behind it."""
        if not self._stopped and not self._noticed:
            self._noticed = True
            try:
                self._died()
            finally:
                self.stop()


def reaped(pidfd: int) -> bool:
    """Whether the process has ended, and its pid may be another's by now."""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    return False
