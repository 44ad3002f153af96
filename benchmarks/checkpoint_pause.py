"""The slowest request because of a checkpoint of 1,000,000 keys x 100 B.

    python benchmarks/checkpoint_pause.py [--keys 1000000] [--rounds 8] [--quick] [--json]

Goal: the slowest request while a checkpoint is written <= 50 ms.

A closed-loop client changes one key after the other. In turns, one stretch of time in which a
second client asks for a checkpoint and waits for its end, and one as long in which nobody does:
what is slow there is the machine, and is what the first is compared with. Medians of the slowest
over the rounds, and the worst of all. A checkpoint is over when its manifest is durable.
"""

import argparse
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import figures
import store
from caller import fill
from figures import Arguments, Figure
from service import Service

from osupervisor.bridge.client import Client

VALUE_BYTES: Final = 100
LEAD_S: Final = 0.2
"""Calls before a checkpoint is asked for, and after it is done."""


@dataclass(slots=True)
class Stretch:
    """Delays in ms of the calls of one kind of stretch: the slowest and two percentiles of each."""

    slowest: list[float] = field(default_factory=list[float])
    p99: list[float] = field(default_factory=list[float])
    p50: list[float] = field(default_factory=list[float])

    def add(self, delays: list[float]) -> None:
        self.slowest.append(max(delays) * 1e3)
        self.p99.append(figures.percentile(delays, 0.99) * 1e3)
        self.p50.append(figures.percentile(delays, 0.5) * 1e3)


class Checkpoint(threading.Thread):
    """Asks for one after LEAD_S; `over` is set LEAD_S after its end."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client
        self.over = threading.Event()
        self.took = 0.0
        self.bytes = 0

    def run(self) -> None:
        try:
            time.sleep(LEAD_S)
            began = time.perf_counter()
            self.bytes = self._client.request("system.checkpoint")["bytes"]
            self.took = time.perf_counter() - began
            time.sleep(LEAD_S)
        finally:
            self.over.set()


class Loop:
    """The closed loop."""

    def __init__(self, client: Client, keys: int) -> None:
        self._client = client
        self._keys = keys
        self._calls = 0

    def call(self) -> float:
        """Seconds of one call."""
        self._calls += 1
        number = self._calls * 7919 % self._keys
        key, value = store.name(number), store.value(number, self._calls, VALUE_BYTES)
        before = time.perf_counter()
        self._client.call("put", key, value)
        return time.perf_counter() - before

    def until(self, over: threading.Event) -> list[float]:
        delays: list[float] = []
        while not over.is_set():
            delays.append(self.call())
        return delays

    def for_seconds(self, seconds: float) -> list[float]:
        delays: list[float] = []
        limit = time.perf_counter() + seconds
        while time.perf_counter() < limit:
            delays.append(self.call())
        return delays


def measure(arguments: Arguments) -> Sequence[Figure]:
    keys = arguments.options.keys or arguments.pick(full=1_000_000, quick=1_000_000, tiny=2000)
    rounds = arguments.options.rounds or arguments.pick(full=8, quick=3, tiny=1)
    during, without = Stretch(), Stretch()
    took: list[float] = []
    size = 0
    with Service() as service, service.client() as client, service.client() as asking:
        fill(client, "keys", keys, VALUE_BYTES)
        loop = Loop(client, keys)
        loop.for_seconds(LEAD_S)
        for _ in range(rounds):
            checkpoint = Checkpoint(asking)
            checkpoint.start()
            during.add(loop.until(checkpoint.over))
            checkpoint.join()
            took.append(checkpoint.took)
            size = checkpoint.bytes
            without.add(loop.for_seconds(checkpoint.took + 2 * LEAD_S))
    return _figures(keys, during, without, took, size)


def _figures(
    keys: int, during: Stretch, without: Stretch, took: list[float], size: int
) -> list[Figure]:
    return [
        Figure(
            f"slowest request during a checkpoint of {keys:,} keys",
            "ms",
            figures.median(during.slowest),
            at_most=50,
            peer="without a checkpoint",
            peer_value=figures.median(without.slowest),
            details={
                "rounds": len(took),
                "worst": round(max(during.slowest), 3),
                "worst_without": round(max(without.slowest), 3),
                "p99": figures.median(during.p99),
                "p99_without": figures.median(without.p99),
                "p50": figures.median(during.p50),
                "p50_without": figures.median(without.p50),
                "checkpoint_s": figures.median(took),
                "checkpoint_mb": round(size / 1e6, 1),
            },
        )
    ]


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keys", type=int)
    parser.add_argument("--rounds", type=int)


if __name__ == "__main__":
    figures.run(__doc__, measure, add)
