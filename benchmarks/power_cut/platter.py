"""What a disk holds after a power cut: what was flushed, and any of the rest.

A cut falls between two events. Every write that a flush covers that was answered before it is
there. Of the others, which the disk had in its cache, any may be there, whole or in part; what is
drawn for a cut is one of `Loss`.
"""

import os
import random
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.power_cut.events import ANSWERED, FLUSHED, WRITE, Event

SECTOR: Final = 512
BLOCK: Final = 4096
LOSSES: Final = ("nothing", "everything", "writes", "blocks", "sectors")
"""What goes of that which no flush covers. `nothing` is a machine that was killed, with a disk that
has power; `writes`, `blocks`, `sectors`: each of them by itself, with a chance of its own at each
cut."""


class Platter:
    """A disk's image, moved forward along its events, from which images of cuts are made."""

    def __init__(self, image: Path, events: Sequence[Event], lie_s: float = 0.0) -> None:
        """`image` is what the disk held before the first event; it is written to.

        `lie_s`: how long after it said so the disk has done a flush; an honest one had done it.
        """
        self.image = image
        self._events = events
        self._lie_s = lie_s
        self._flushes: deque[Event] = deque()
        self._next = 0
        self._cached: dict[int, Event] = {}
        self._answered: dict[int, int] = {}

    def advance(self, place: int) -> None:
        """To before the event at `place`, which is not less than that of the last call."""
        fd = os.open(self.image, os.O_WRONLY)
        try:
            while self._next < place:
                event = self._events[self._next]
                self._happens(event)
                while self._flushes and self._flushes[0].at + self._lie_s <= event.at:
                    self._flush(self._flushes.popleft(), fd)
                self._next += 1
        finally:
            os.close(fd)

    def _happens(self, event: Event) -> None:
        if event.kind == WRITE:
            self._cached[self._next] = event
        elif event.kind == ANSWERED:
            self._answered[event.number] = self._next
        elif event.kind == FLUSHED:
            self._flushes.append(event)

    def _flush(self, flushed: Event, fd: int) -> None:
        for number in list(self._cached):
            if self._answered.get(number, self._next) < flushed.number:
                write = self._cached.pop(number)
                os.pwrite(fd, write.data, write.number)

    def cut(self, target: Path, loss: str, source: random.Random) -> tuple[int, int]:
        """The image of a cut here. Bytes that no flush covered, and those of them that stayed."""
        subprocess.run(["cp", "--sparse=always", str(self.image), str(target)], check=True)
        keeps = _chances(loss, source)
        cached = stayed = 0
        fd = os.open(target, os.O_WRONLY)
        try:
            for write in self._cached.values():
                cached += len(write.data)
                for start, end in _pieces(loss, len(write.data)):
                    if keeps():
                        os.pwrite(fd, write.data[start:end], write.number + start)
                        stayed += end - start
        finally:
            os.close(fd)
        return cached, stayed


def _chances(loss: str, source: random.Random) -> Callable[[], bool]:
    share = {"nothing": 1.0, "everything": 0.0}.get(loss, source.uniform(0.1, 0.9))
    return lambda: source.random() < share


def _pieces(loss: str, size: int) -> Iterator[tuple[int, int]]:
    step = {"sectors": SECTOR, "blocks": BLOCK}.get(loss, size)
    for start in range(0, size, max(1, step)):
        yield start, min(start + step, size)
