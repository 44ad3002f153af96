"""Brains that the tests run in real processes."""

import gc
import logging
import os
import sys
import time
from typing import Any

from osupervisor.brain import Brain, evolvable, gene, op, query

HANDLER = logging.StreamHandler()


class Counter(Brain):
    """Counts, and does whatever a test needs a brain to do."""

    step = gene(1, low=1, high=10)

    @op
    def add(self, name: str, n: int = 1) -> int:
        """Add `n` to the counter `name`."""
        self.state[name] = self.state.get(name, 0) + n * self.step
        self.hot["adds"] += 1
        return int(self.state[name])

    @op
    def put(self, name: str, value: Any) -> None:
        self.state[name] = value

    @op
    def double(self, name: str) -> None:
        self.state[name] = self.state[name] * 2

    @op
    def fail(self, name: str) -> None:
        self.state[name] = "half done"
        self.hot["fails"] += 1
        self.emit("never", name=name)
        raise ValueError(f"no {name}")

    @op
    def wait_for_children(self) -> int:
        """Reaps whatever child this process has; its status."""
        return os.wait()[1]

    @op
    def leave(self, code: int) -> None:
        self.state["left"] = True
        sys.exit(code)

    @op
    def die(self, code: int) -> None:
        """End the process without a word, as a crash does."""
        os._exit(code)

    @op
    def fork(self, end: bool) -> bool:
        """A child that ends at once, or goes on as if it were the brain."""
        pid = os.fork()
        if pid == 0 and end:
            os._exit(0)
        if pid > 0:
            os.waitpid(pid, os.WNOHANG)
        return pid > 0

    @op
    def allow_forks(self, number: int) -> None:
        """So many in a line of descent; the next fails as it does without memory."""
        real = os.fork
        left = [number]

        def fork() -> int:
            if not left[0]:
                raise OSError(12, "Cannot allocate memory")
            left[0] -= 1
            return real()

        os.fork = fork

    @op
    def nest(self, count: int) -> int:
        """So many containers, in place of those before; what the collector leaves alone, so far."""
        self.state["nest"] = [{"inner": [1]} for _ in range(count)]
        return gc.get_freeze_count()

    @op
    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    @op
    def spin(self) -> None:
        while True:
            pass

    @op
    def shout(self, size: int) -> int:
        """Print `size` bytes."""
        print("x" * size)
        return size

    @op
    def log(self, text: str) -> None:
        HANDLER.emit(logging.makeLogRecord({"msg": text}))

    @op
    def fill(self, first: int, count: int) -> int:
        """`count` keys of 100 bytes."""
        for index in range(first, first + count):
            self.state[f"key{index}"] = "v" * 100
        return len(self.state)

    @op
    def draw(self) -> list[Any]:
        """Everything that comes with the request."""
        return [self.now(), self.random.random(), self.random.random(), list(self.request.key)]

    @op
    def later(self, seconds: float, name: str) -> None:
        self.after(seconds, "add", name, n=2)
        self.cast("add", name)
        self.emit("planned", name=name)

    @query
    def get(self, name: str) -> Any:
        return self.state.get(name)

    @query
    def cheat(self) -> None:
        self.state["cheated"] = True

    @evolvable
    def weight(self, n: int) -> float:
        return n * 2.0


class Tally(Brain):
    """The brain of docs/formats/PORT.md's examples."""

    @op
    def add(self, name: str, n: int = 1) -> int:
        self.state[name] = self.state.get(name, 0) + n
        self.emit("added", name=name)
        return int(self.state[name])

    @query
    def get(self, name: str) -> int:
        return int(self.state.get(name, 0))
