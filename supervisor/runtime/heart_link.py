"""Heart and supervisor guard each other: this is the supervisor's half.

When heart dies another is started, and handed the listening sockets and all that heart kept. It
is not this process's parent; it watches by pidfd. The watchdog tells it that the loop turns. A
heart that was stopped guards nothing, and is made to go on.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path

from osupervisor.supervisor.heart.launch import Inheritance
from osupervisor.supervisor.heart.revive import revive
from osupervisor.supervisor.runtime.post_mortem import Say
from osupervisor.supervisor.runtime.process_state import STOPPED, is_stopped, state_of

RETRY_S = 1.0
LOOK_S = 1.0
"""At the second look in a row that finds it stopped heart is woken: whoever stopped it for a moment
only is let be."""


class HeartLink:
    """Watches heart, and revives it."""

    def __init__(
        self,
        inheritance: Inheritance,
        loop: asyncio.AbstractEventLoop,
        revived: Callable[[str], None],
        say: Say,
    ) -> None:
        """`revived` is told what happened: empty when a new heart runs, else why none does."""
        self.inheritance = inheritance
        self.revivals = 0
        self._loop = loop
        self._revived = revived
        self._say = say
        self._was_stopped = False
        self._stopped = False
        self._revived_s = -RETRY_S

    @property
    def watched(self) -> bool:
        """Whether there is a heart of ours; systemd may stand in its place."""
        return self.inheritance.heart is not None

    @property
    def pid(self) -> int:
        """Heart's process; 0 without one, and where it can't be asked for want of descriptors."""
        link = self.inheritance.heart
        if link is None:
            return 0
        with contextlib.suppress(OSError):
            for row in Path(f"/proc/self/fdinfo/{link.pidfd}").read_text().splitlines():
                if row.startswith("Pid:"):
                    return max(0, int(row.split()[1]))
        return 0

    @property
    def trouble(self) -> str:
        """What is wrong with it, in words; empty: nothing."""
        pid = self.pid
        stopped = pid and is_stopped(pid)
        return f"heart, process {pid}, is stopped: nobody guards the supervisor" if stopped else ""

    def start(self) -> None:
        self._watch()
        self._beat()
        self._look()

    def stop(self) -> None:
        """Heart may end now: it was told that we stop."""
        self._stopped = True
        if self.inheritance.heart is not None:
            self._loop.remove_reader(self.inheritance.heart.pidfd)

    def _watch(self) -> None:
        if self.inheritance.heart is not None:
            self._loop.add_reader(self.inheritance.heart.pidfd, self._died)

    def _died(self) -> None:
        assert self.inheritance.heart is not None
        self._loop.remove_reader(self.inheritance.heart.pidfd)
        if self._stopped:
            return
        if self._loop.time() - self._revived_s < RETRY_S:
            self._loop.call_later(RETRY_S, self._died_again)
            return
        self._revived_s = self._loop.time()
        try:
            self.inheritance = revive(self.inheritance)
        except OSError as error:
            self._revived(str(error))
            self._loop.call_later(RETRY_S, self._died_again)
            return
        self.revivals += 1
        self._watch()
        self._revived("")

    def _died_again(self) -> None:
        if not self._stopped and self.inheritance.heart is not None:
            self._died()

    def _look(self) -> None:
        link = self.inheritance.heart
        if self._stopped or link is None:
            return
        self._loop.call_later(LOOK_S, self._look)
        pid = self.pid
        stopped = bool(pid) and state_of(pid) == STOPPED
        if stopped and self._was_stopped:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(link.pidfd, signal.SIGCONT)
            self._say("warning", "heart.woken", pid=pid, reason="it was stopped by a signal")
        self._was_stopped = stopped

    def _beat(self) -> None:
        interval_s = self.inheritance.watchdog_s
        if interval_s is not None and not self._stopped:
            self.inheritance.notify.watchdog()
            self._loop.call_later(interval_s / 4, self._beat)
