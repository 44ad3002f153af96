"""The client library's own cost per call, against a peer that only echoes.

    python benchmarks/client.py [--seconds 3] [--json]

The peer is a process that answers each `brain.call` with its number at the least cost there is, so
that what is measured is the library: its CPU time per call (user and system, of its own process),
and the calls per second that this pair of processes reaches. The floor beside it is the same
exchange with frames packed beforehand and answers that are only counted.

    closed loop     one call at a time
    pipeline        `Client.pipeline`, 100 in flight
    async           `AsyncClient`, 100 tasks that wait for one call each
    async pipeline  `AsyncClient.pipeline`, 100 in flight
    floor           100 in flight, nothing encoded, nothing decoded
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from osupervisor.bridge.address import listen_unix
from osupervisor.bridge.async_client import AsyncClient
from osupervisor.bridge.call_encoder import CallEncoder
from osupervisor.bridge.client import Client
from osupervisor.bridge.frames import FrameDecoder
from osupervisor.bridge.messages import answer

IN_FLIGHT = 100
GOAL_US = 2.5


def echo(listener: socket.socket) -> None:
    """Serves one connection after the other, until it is killed."""
    listener.setblocking(True)
    while True:
        connection, _ = listener.accept()
        decoder = FrameDecoder()
        while data := connection.recv(65_536):
            ids = [int.from_bytes(body[3:7], "big") for body in decoder.feed(data)]
            connection.sendall(b"".join([answer(call_id, b"\xc0\x07") for call_id in ids]))


class Meter:
    """Calls, seconds and CPU seconds of this process over one run."""

    def __init__(self, seconds: float) -> None:
        self.cpu_s = -time.process_time()
        self.wall_s = -time.perf_counter()
        self.until = time.perf_counter() + seconds
        self.calls = 0
        self.delays_s: list[float] = []

    def running(self) -> bool:
        return time.perf_counter() < self.until

    def result(self) -> dict[str, float]:
        self.cpu_s += time.process_time()
        self.wall_s += time.perf_counter()
        figures = {
            "calls": self.calls,
            "per_s": round(self.calls / self.wall_s),
            "cpu_us_per_call": round(self.cpu_s / self.calls * 1e6, 3),
        }
        if self.delays_s:
            figures["p50_us"] = round(statistics.median(self.delays_s) * 1e6, 1)
        return figures


def closed_loop(path: Path, seconds: float) -> dict[str, float]:
    with Client(path) as client:
        client.add("hits", n=1)
        meter = Meter(seconds)
        while meter.running():
            before = time.perf_counter()
            client.add("hits", n=1)
            meter.delays_s.append(time.perf_counter() - before)
            meter.calls += 1
        return meter.result()


def pipelined(path: Path, seconds: float) -> dict[str, float]:
    with Client(path) as client:
        client.add("hits", n=1)
        meter = Meter(seconds)
        while meter.running():
            with client.pipeline(IN_FLIGHT) as pipeline:
                for _ in range(10_000):
                    pipeline.call("add", "hits", n=1)
            meter.calls += 10_000
        return meter.result()


async def waited(client: AsyncClient, meter: Meter) -> None:
    async def ask() -> None:
        while meter.running():
            await client.call("add", "hits", n=1)
            meter.calls += 1

    await asyncio.gather(*(ask() for _ in range(IN_FLIGHT)))


async def async_pipelined(client: AsyncClient, meter: Meter) -> None:
    while meter.running():
        async with client.pipeline(IN_FLIGHT) as pipeline:
            for _ in range(10_000):
                await pipeline.call("add", "hits", n=1)
        meter.calls += 10_000


def with_loop(
    path: Path, seconds: float, run: Callable[[AsyncClient, Meter], Awaitable[None]]
) -> dict[str, float]:
    async def main() -> dict[str, float]:
        async with AsyncClient(path) as client:
            await client.call("add", "hits", n=1)
            meter = Meter(seconds)
            await run(client, meter)
            return meter.result()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def floor(path: Path, seconds: float) -> dict[str, float]:
    encoder = CallEncoder(b"c" * 12)
    burst = b"".join(
        encoder.frame("add", ("hits",), {"n": 1}, number, 1) for number in range(1, IN_FLIGHT + 1)
    )
    size = len(answer(1, b"\xc0\x07")) * IN_FLIGHT
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        meter = Meter(seconds)
        while meter.running():
            connection.sendall(burst)
            left = size
            while left:
                left -= len(connection.recv(65_536))
            meter.calls += IN_FLIGHT
        return meter.result()


def measure(path: Path, seconds: float) -> dict[str, dict[str, float]]:
    return {
        "closed loop": closed_loop(path, seconds),
        "pipeline": pipelined(path, seconds),
        "async": with_loop(path, seconds, waited),
        "async pipeline": with_loop(path, seconds, async_pipelined),
        "floor": floor(path, seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=3.0, help="per line")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "echo.sock")
        listener = listen_unix(path)
        peer = os.fork()
        if peer == 0:
            echo(listener)
        try:
            lines = measure(path, arguments.seconds)
        finally:
            os.kill(peer, 9)
            os.waitpid(peer, 0)
    report = {"in_flight": IN_FLIGHT, "load": os.getloadavg()[0], "lines": lines}
    if arguments.json:
        json.dump(report, sys.stdout)
        return
    print(f"load {report['load']:.2f}, {os.cpu_count()} cores, {IN_FLIGHT} in flight")
    for name, line in lines.items():
        p50 = f", p50 {line['p50_us']} us" if "p50_us" in line else ""
        cpu = line["cpu_us_per_call"]
        print(f"{name:<15} {line['per_s']:>9,} /s, {cpu:>7.2f} us CPU per call{p50}")
    print(f"goal: pipeline at most {GOAL_US} us CPU per call")


if __name__ == "__main__":
    main()
