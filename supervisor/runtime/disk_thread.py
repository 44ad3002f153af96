"""A thread for what blocks: one job after the other, each one's end told on the loop.

    loop --(SimpleQueue)--> thread: works --(deque, eventfd)--> loop: `done(error)`

Half the price of an executor's future, on a path that `always` takes for every group of commits.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

Work = Callable[[], None]
Done = Callable[[Exception | None], None]
"""Called on the loop with what the work raised; None: nothing."""


class DiskThread:
    """Starts with its first job. `close` waits for the last, whose `done` is not called then."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[tuple[Work, Done] | None] = SimpleQueue()
        self._ended: deque[tuple[Done, Exception | None]] = deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._open = False

    def run(self, work: Work, done: Done) -> None:
        """Have `work` done; not after `close`."""
        if not self._open:
            self._open = True
            self._loop.add_reader(self._event, self._tell)
            self._thread.start()
        self._jobs.put((work, done))

    def close(self) -> None:
        """Return when the thread has ended."""
        if self._open:
            self._open = False
            self._jobs.put(None)
            self._thread.join()
            self._loop.remove_reader(self._event)
        os.close(self._event)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, done = job
            error: Exception | None = None
            try:
                work()
            except Exception as raised:  # whatever it is, the loop decides what it means
                error = raised
            self._ended.append((done, error))
            os.eventfd_write(self._event, 1)

    def _tell(self) -> None:
        os.eventfd_read(self._event)
        while self._ended:
            done, error = self._ended.popleft()
            done(error)
