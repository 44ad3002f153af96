"""The safe brain, on the ladder's last rung: one process that follows the log and answers reads.

It comes from a nursery of its own, which imports none of the author's code, and runs as long as no
brain holds the lease. It ends with its supervisor; the next one finds out whether it is wanted.

    wanted --(its nursery is ready)--> spawned --(it or its nursery ends)--> wanted, after RETRY_S
       any --(a lease is granted, or a stop)--> released
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Protocol

from osupervisor.supervisor.runtime import nursery_process
from osupervisor.supervisor.runtime.nursery import Nursery
from osupervisor.supervisor.runtime.nursery_process import NurseryProcess
from osupervisor.supervisor.runtime.post_mortem import Say

TARGET = "osupervisor.brain.safe:Safe"
FOLDER = "/"
"""Where its nursery runs: no module of the author's stands in the way of an import there."""
RETRY_S = 1.0


class SafePopulation(Protocol):
    """The brain manager, as far as it is needed here."""

    def spawn_safe(self, forker: "SafeBrain") -> bool: ...
    def dismiss_safe(self) -> None: ...
    def spawned(self, brain: int, pid: int) -> None: ...
    def exited(self, pid: int, status: int) -> None: ...


class SafeBrain:
    """Keeps one while it is wanted."""

    def __init__(
        self,
        hash_seed: int,
        open_output: Callable[[], int],
        loop: asyncio.AbstractEventLoop,
        say: Say,
    ) -> None:
        """`open_output`: a descriptor for its nursery's stdout and stderr, closed here."""
        self.brains: SafePopulation
        self._hash_seed = hash_seed
        self._open_output = open_output
        self._loop = loop
        self._say = say
        self._wanted = False
        self._nursery: Nursery | None = None

    def want(self) -> None:
        """Have one from now on. Asked again, it changes nothing."""
        if not self._wanted:
            self._wanted = True
            self._start()

    def release(self) -> None:
        """End it; it is asked, and not killed: nothing depends on when it ends."""
        if self._wanted:
            self._wanted = False
            self.brains.dismiss_safe()
            if self._nursery is not None:
                self._nursery.stop()

    def gone(self) -> None:
        """The brain has ended."""
        self._loop.call_later(RETRY_S, self._start)

    @property
    def is_ready(self) -> bool:
        return self._nursery is not None and self._nursery.ready

    def spawn(self, brain: int, descriptors: Sequence[int]) -> bool:
        return self._nursery is not None and self._nursery.spawn(brain, descriptors)

    def _start(self) -> None:
        """What is missing: the nursery, or the brain. A nursery that is starting will tell."""
        if not self._wanted:
            return
        if self._nursery is not None:
            if self.is_ready and not self.brains.spawn_safe(self):
                self._loop.call_later(RETRY_S, self._start)
            return
        try:
            self._nursery = Nursery(self._start_process(), self._loop, self)
        except OSError as error:
            self._say("error", "safe_brain.failed", reason=str(error))
            self._loop.call_later(RETRY_S, self._start)

    def _start_process(self) -> NurseryProcess:
        """Raises OSError."""
        output = self._open_output()
        try:
            return nursery_process.start(TARGET, FOLDER, str(self._hash_seed), output)
        finally:
            os.close(output)

    # --- what its nursery says

    def nursery_ready(self, version: str) -> None:
        self._start()

    def nursery_failed(self, traceback: str) -> None:
        self._say("error", "safe_brain.failed", reason="it can't be imported", traceback=traceback)

    def nursery_ended(self, status: int) -> None:
        self._nursery = None
        self._loop.call_later(RETRY_S, self._start)

    def spawned(self, brain: int, pid: int) -> None:
        self.brains.spawned(brain, pid)

    def exited(self, pid: int, status: int) -> None:
        self.brains.exited(pid, status)
