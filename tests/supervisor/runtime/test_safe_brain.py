"""The safe brain's keeper: it goes on trying."""

import asyncio
import errno
import os

from osupervisor.supervisor.runtime.safe_brain import SafeBrain

WAIT_S = 60.0


class Population:
    """Says when a safe brain could be spawned."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.failures = 0

    def spawn_safe(self, forker: SafeBrain) -> bool:
        if self.failures:
            self.failures -= 1
            return False
        self.asked.set()
        return True

    def dismiss_safe(self) -> None: ...
    def spawned(self, brain: int, pid: int) -> None: ...
    def exited(self, pid: int, status: int) -> None: ...


class Watched(SafeBrain):
    """Tells the end of its nursery."""

    ended: asyncio.Event

    def nursery_ended(self, status: int) -> None:
        super().nursery_ended(status)
        self.ended.set()


def test_a_nursery_that_cant_be_started_is_said_and_tried_again() -> None:
    said: list[str] = []
    failures = [OSError(errno.EMFILE, "too many open files")]

    def open_output() -> int:
        if failures:
            raise failures.pop()
        return os.open(os.devnull, os.O_WRONLY)

    def say(_level: str, event: str, /, **_fields: object) -> None:
        said.append(event)

    async def run() -> None:
        safe = Watched(1, open_output, asyncio.get_running_loop(), say)
        safe.ended = asyncio.Event()
        population = Population()
        safe.brains = population
        safe.want()
        await asyncio.wait_for(population.asked.wait(), WAIT_S)
        assert said == ["safe_brain.failed"]
        safe.release()
        await asyncio.wait_for(safe.ended.wait(), WAIT_S)

    asyncio.run(run())


def test_a_safe_brain_that_could_not_be_made_is_tried_again() -> None:
    """None came as long as its nursery lived."""

    async def run() -> None:
        safe = Watched(
            1, lambda: os.open(os.devnull, os.O_WRONLY), asyncio.get_running_loop(), nothing_is_said
        )
        safe.ended = asyncio.Event()
        population = Population()
        population.failures = 1
        safe.brains = population
        safe.want()
        await asyncio.wait_for(population.asked.wait(), WAIT_S)
        safe.release()
        await asyncio.wait_for(safe.ended.wait(), WAIT_S)

    def nothing_is_said(level: str, event: str, /, **_fields: object) -> None:
        raise AssertionError(f"{level} {event}")

    asyncio.run(run())
