"""The brain's heartbeat: stored by the run loop, and by a timer while the loop is busy or waits.

The timer's handler runs between two byte codes: a beat that stays away while the process is on a
CPU means that C code holds the interpreter. The same handler writes what is being executed and
since when, so that a long op has a name in shared memory, and a short one costs nothing. And it
sends what was answered before: an answer must not wait for the ops behind it.
"""

import signal
from collections.abc import Callable
from typing import Any, Final

from osupervisor.vault_store.hot import HotReader, HotWriter

BEAT_INTERVAL_S: Final = 0.25


class Heartbeat:
    """Beats from `start` until the process ends. `activity`: op and packed key now executing."""

    def __init__(
        self,
        hot: HotWriter,
        reader: HotReader,
        activity: Callable[[], tuple[str, bytes]],
        send: Callable[[], None],
    ) -> None:
        """`send`: what is queued; called only while something is executed, which queues nothing."""
        self._send = send
        self._hot = hot
        self._reader = reader
        self._activity = activity

    def start(self) -> None:
        """Must be called in the main thread; takes SIGALRM and the real-time timer."""
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.setitimer(signal.ITIMER_REAL, BEAT_INTERVAL_S, BEAT_INTERVAL_S)
        self._hot.beat()

    def forget_in_child(self) -> None:
        """In a spawned process: the parent's segment is unmapped."""
        self._reader.close()

    def _on_alarm(self, _number: int, _frame: Any) -> None:
        """What is raised here would be raised in the author's op, between any two of its lines."""
        self._hot.beat()
        try:
            n, since_ns = self._reader.cell()
            if n != 0:
                self._hot.describe(*self._activity(), since_ns)
                self._send()
        except Exception:
            return
