"""Calls per second and time per call, beside Redis with its append-only file in the same run.

    python benchmarks/throughput.py [--seconds 4] [--rounds 5] [--quick] [--json]

Goals: 100 in flight with `everysec` >= 100,000/s; closed loop of one client p50 <= 150 us; `always`
with 64 clients >= 20,000/s.

Each call sets one of 100,000 keys to 100 B: `set` of store.py through client, supervisor, brain,
standby and log, under the library's idempotency keys, against SET through redis-py. Both over a
Unix socket, clients in this process, the same keys and values in the same order.

    100 in flight   everysec  Client.pipeline(100), a new call for each answer
    batches of 100  everysec  100 calls, then wait for all: what redis-py's pipeline does
    closed loop     everysec  one call at a time
    64 clients      always    64 connections of AsyncClient / redis.asyncio, each a closed loop

In turns, a round of each; medians over rounds. CPU per call is that of each process, by the
scheduler's count.
"""

import argparse
import asyncio
import functools
import itertools
import statistics
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import figures
import redis_server
import store
import uvloop
from figures import Arguments, Figure
from redis_server import RedisServer
from service import Service, cpu_s

from osupervisor.bridge.async_client import AsyncClient
from osupervisor.bridge.client import Client

IN_FLIGHT: Final = 100
CLIENTS: Final = 64
KEYS: Final = 100_000
VALUE_BYTES: Final = 100
WARM_S: Final = 0.3
PREPARED: Final = 10_000
"""Keys with their values, made beforehand: making them is not what is measured."""


@dataclass(slots=True)
class Line:
    """One way's rounds."""

    rates: list[float] = field(default_factory=list[float])
    p50s_us: list[float] = field(default_factory=list[float])
    p99s_us: list[float] = field(default_factory=list[float])

    def add(self, calls: int, seconds: float, delays: list[float]) -> None:
        self.rates.append(calls / seconds)
        if delays:
            self.p50s_us.append(statistics.median(delays) * 1e6)
            self.p99s_us.append(figures.percentile(delays, 0.99) * 1e6)

    @property
    def rate(self) -> float:
        return round(statistics.median(self.rates))


class Costs:
    """CPU of the processes of a service, or of Redis, over all rounds of a way."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._used = dict.fromkeys([*pids, "client"], 0.0)
        self._calls = 0

    def measured(self, run: Callable[[], int]) -> int:
        before = self._now()
        calls = run()
        for name, spent in self._now().items():
            self._used[name] += spent - before[name]
        self._calls += calls
        return calls

    def _now(self) -> dict[str, float]:
        return {
            **{name: cpu_s(pid) for name, pid in self._pids.items()},
            "client": time.process_time(),
        }

    def per_call_us(self) -> dict[str, float]:
        calls = max(1, self._calls)
        return {f"{name}_cpu_us": round(used / calls * 1e6, 2) for name, used in self._used.items()}


@functools.cache
def prepared() -> list[tuple[str, str]]:
    """PREPARED keys, spread over KEYS, with a value each."""
    step = KEYS // PREPARED
    return [(store.name(n * step), store.value(n, 1, VALUE_BYTES)) for n in range(PREPARED)]


def changes() -> Iterator[tuple[str, str]]:
    """What is prepared, over and over. It is made in the first round, which doesn't count."""
    return itertools.cycle(prepared())


class Run:
    """One way for some seconds. The calls made, their delays where each is waited for."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.delays: list[float] = []
        self.took = 0.0

    def pipelined(self, client: Client) -> int:
        """A sliding window."""
        calls, began = 0, time.perf_counter()
        source = changes()
        with client.pipeline(IN_FLIGHT) as pipeline:
            while time.perf_counter() - began < self.seconds:
                for _ in range(500):
                    pipeline.call("set", *next(source))
                calls += 500
        self.took = time.perf_counter() - began
        return calls

    def batched(self, client: Client) -> int:
        def batch(items: list[tuple[str, str]]) -> None:
            with client.pipeline(IN_FLIGHT + 1) as pipeline:
                for item in items:
                    pipeline.call("set", *item)

        return self._batches(batch)

    def redis_batched(self, client: Any) -> int:
        def batch(items: list[tuple[str, str]]) -> None:
            pipeline = client.pipeline(transaction=False)
            for item in items:
                pipeline.set(*item)
            pipeline.execute()

        return self._batches(batch)

    def _batches(self, batch: Callable[[list[tuple[str, str]]], None]) -> int:
        calls, began = 0, time.perf_counter()
        source = changes()
        while time.perf_counter() - began < self.seconds:
            batch([next(source) for _ in range(IN_FLIGHT)])
            calls += IN_FLIGHT
        self.took = time.perf_counter() - began
        return calls

    def closed(self, call: Callable[[str, str], object]) -> int:
        source = changes()
        began = now = time.perf_counter()
        while now - began < self.seconds:
            key, value = next(source)
            before = time.perf_counter()
            call(key, value)
            now = time.perf_counter()
            self.delays.append(now - before)
        self.took = now - began
        return len(self.delays)

    def many(self, connect: Callable[[], Any], names: tuple[str, ...]) -> int:
        """CLIENTS connections, each a closed loop, in one event loop."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(self._many(connect, names))

    async def _many(self, connect: Callable[[], Any], names: tuple[str, ...]) -> int:
        clients = [connect() for _ in range(CLIENTS)]
        calls: list[Callable[..., Coroutine[Any, Any, object]]] = [
            getattr(client, names[0]) for client in clients
        ]
        await asyncio.gather(*(call(*names[1:], "warm", "up") for call in calls))
        source = changes()
        began = time.perf_counter()

        async def loop(call: Callable[..., Coroutine[Any, Any, object]]) -> None:
            now = time.perf_counter()
            while now - began < self.seconds:
                before = now
                await call(*names[1:], *next(source))
                now = time.perf_counter()
                self.delays.append(now - before)

        await asyncio.gather(*map(loop, calls))
        self.took = time.perf_counter() - began
        for client in clients:
            await (client.close() if isinstance(client, AsyncClient) else client.aclose())
        return len(self.delays)


def rounds(
    seconds: float, number: int, ways: dict[str, tuple[Callable[[Run], int], dict[str, int]]]
) -> tuple[dict[str, Line], dict[str, Costs]]:
    """Each way in turns, `number` times; one short round of each before, which doesn't count."""
    lines = {name: Line() for name in ways}
    costs = {name: Costs(pids) for name, (_, pids) in ways.items()}
    for way, _ in ways.values():
        way(Run(min(seconds, WARM_S)))
    for _ in range(number):
        for name, (way, _) in ways.items():
            run = Run(seconds)
            calls = costs[name].measured(partial(way, run))
            lines[name].add(calls, run.took, run.delays)
    return lines, costs


def pids(service: Service) -> dict[str, int]:
    status = service.wait_whole()
    return {role: status[role]["pid"] for role in ("supervisor", "primary", "standby")}


def everysec(seconds: float, number: int) -> list[Figure]:
    with (
        Service({"durability": "everysec"}) as service,
        service.client() as client,
        RedisServer("everysec") as server,
        server.client() as redis,
    ):
        ours, theirs = pids(service), {"redis": server.pid()}
        lines, costs = rounds(
            seconds,
            number,
            {
                "100 in flight": (lambda run: run.pipelined(client), ours),
                "batches": (lambda run: run.batched(client), ours),
                "redis batches": (lambda run: run.redis_batched(redis), theirs),
                "closed": (lambda run: run.closed(lambda k, v: client.call("set", k, v)), ours),
                "redis closed": (lambda run: run.closed(redis.set), theirs),
            },
        )
    return _everysec_figures(lines, costs)


def _everysec_figures(lines: dict[str, Line], costs: dict[str, Costs]) -> list[Figure]:
    redis_rate = lines["redis batches"].rate
    closed, redis_closed = lines["closed"], lines["redis closed"]
    return [
        Figure(
            "100 in flight, everysec",
            "/s",
            lines["100 in flight"].rate,
            at_least=100_000,
            peer="Redis, batches of 100",
            peer_value=redis_rate,
            details={**costs["100 in flight"].per_call_us(), **_range(lines["100 in flight"])},
        ),
        Figure(
            "batches of 100, everysec",
            "/s",
            lines["batches"].rate,
            peer="Redis",
            peer_value=redis_rate,
            details={**costs["batches"].per_call_us(), **costs["redis batches"].per_call_us()},
        ),
        Figure(
            "closed loop, everysec: p50",
            "us",
            figures.median(closed.p50s_us),
            at_most=150,
            peer="Redis",
            peer_value=figures.median(redis_closed.p50s_us),
            details={
                "p99": figures.median(closed.p99s_us),
                "redis_p99": figures.median(redis_closed.p99s_us),
                **costs["closed"].per_call_us(),
            },
        ),
    ]


def always(seconds: float, number: int) -> list[Figure]:
    with Service({"durability": "always"}) as service, RedisServer("always") as server:
        data = service.data
        lines, costs = rounds(
            seconds,
            number,
            {
                "ours": (
                    lambda run: run.many(lambda: AsyncClient(data), ("call", "set")),
                    pids(service),
                ),
                "redis": (
                    lambda run: run.many(server.async_client, ("set",)),
                    {"redis": server.pid()},
                ),
            },
        )
    ours, redis = lines["ours"], lines["redis"]
    return [
        Figure(
            "64 clients, always",
            "/s",
            ours.rate,
            at_least=20_000,
            peer="Redis",
            peer_value=redis.rate,
            details={
                "p50_us": figures.median(ours.p50s_us),
                "p99_us": figures.median(ours.p99s_us),
                "redis_p50_us": figures.median(redis.p50s_us),
                "redis_p99_us": figures.median(redis.p99s_us),
                **costs["ours"].per_call_us(),
                **_range(ours),
            },
        )
    ]


def _range(line: Line) -> dict[str, float]:
    return {"slowest_round": round(min(line.rates)), "fastest_round": round(max(line.rates))}


def measure(arguments: Arguments) -> Sequence[Figure]:
    lacking = redis_server.missing()
    if lacking:
        raise SystemExit(lacking)
    seconds = arguments.options.seconds or arguments.pick(full=4.0, quick=1.0, tiny=0.2)
    number = arguments.options.rounds or arguments.pick(full=5, quick=3, tiny=1)
    return [*everysec(seconds, number), *always(seconds, number)]


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, help="of each round")
    parser.add_argument("--rounds", type=int)


if __name__ == "__main__":
    figures.run(__doc__, measure, add)
