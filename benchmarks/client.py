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

Each line is measured in ten slices; the figures are medians, with the best slice beside them, as
what else the machine does slows every slice. Below stand the codec's steps by themselves, in a
loop: what client and supervisor pay for one call of 130 bytes.
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
import timeit
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from osupervisor.bridge.address import listen_unix
from osupervisor.bridge.async_client import AsyncClient
from osupervisor.bridge.call import parse_call
from osupervisor.bridge.call_encoder import CallEncoder
from osupervisor.bridge.client import Client
from osupervisor.bridge.frames import FrameDecoder, split
from osupervisor.bridge.messages import answer

IN_FLIGHT = 100
GOAL_US = 2.5
GREETING = answer(0, b"\xc0\x80")
SLICES = 10
BURST = 2_000


def echo(listener: socket.socket) -> None:
    """Serves one connection after the other, until it is killed."""
    listener.setblocking(True)
    while True:
        connection, _ = listener.accept()
        decoder = FrameDecoder()
        while data := connection.recv(65_536):
            answers = [
                answer(int.from_bytes(body[3:7], "big"), b"\xc0\x07") if body[2] else GREETING
                for body in decoder.feed(data)
            ]
            connection.sendall(b"".join(answers))


class Meter:
    """Calls, seconds and CPU seconds of this process, slice by slice."""

    def __init__(self, seconds: float) -> None:
        self.slice_s = seconds / SLICES
        self.calls = 0
        self.delays_s: list[float] = []
        self._rates: list[float] = []
        self._cpu_s: list[float] = []
        self._begin()

    def _begin(self) -> None:
        self._calls_before = self.calls
        self._cpu_before_s = time.process_time()
        self._before_s = time.perf_counter()

    def running(self) -> bool:
        """Whether there is time left. To be asked often: it also ends a slice."""
        wall_s = time.perf_counter() - self._before_s
        calls = self.calls - self._calls_before
        if wall_s >= self.slice_s and calls:
            self._rates.append(calls / wall_s)
            self._cpu_s.append((time.process_time() - self._cpu_before_s) / calls)
            self._begin()
        return len(self._rates) < SLICES

    def result(self) -> dict[str, float]:
        figures = {
            "per_s": round(statistics.median(self._rates)),
            "cpu_us_per_call": round(statistics.median(self._cpu_s) * 1e6, 2),
            "cpu_us_per_call_best": round(min(self._cpu_s) * 1e6, 2),
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
                for _ in range(BURST):
                    pipeline.call("add", "hits", n=1)
            meter.calls += BURST
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
            for _ in range(BURST):
                await pipeline.call("add", "hits", n=1)
        meter.calls += BURST


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
    encoder = CallEncoder(b"c" * 16)
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


def measure_codec() -> dict[str, float]:
    """Microseconds per call of each step: the best of nine rounds."""
    encoder = CallEncoder(b"c" * 16)
    args: tuple[object, ...] = ("hits", "x" * 100)
    frames = b"".join(encoder.frame("put", args, {}, n, n) for n in range(1, IN_FLIGHT + 1))
    bodies = split(frames)[0]
    steps: dict[str, Callable[[], object]] = {
        "encode a call": lambda: [encoder.frame("put", args, {}, 7, 7) for _ in bodies],
        "split frames": lambda: split(frames),
        "parse_call": lambda: [parse_call(body) for body in bodies],
        "answer": lambda: [answer(7, b"\xc0\x07") for _ in bodies],
    }
    return {
        name: round(min(timeit.repeat(step, number=20, repeat=9)) / 20 / IN_FLIGHT * 1e6, 3)
        for name, step in steps.items()
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
    codec_us = measure_codec()
    load = os.getloadavg()[0]
    if arguments.json:
        report = {"in_flight": IN_FLIGHT, "load": load, "lines": lines, "codec_us": codec_us}
        json.dump(report, sys.stdout)
        return
    print(f"load {load:.2f}, {os.cpu_count()} cores, {IN_FLIGHT} in flight")
    for name, line in lines.items():
        p50 = f", p50 {line['p50_us']} us" if "p50_us" in line else ""
        cpu, best = line["cpu_us_per_call"], line["cpu_us_per_call_best"]
        print(f"{name:<15} {line['per_s']:>9,} /s, {cpu:>6.2f} us CPU per call, best {best}{p50}")
    for name, us in codec_us.items():
        print(f"{name:<15} {us:>6.2f} us")
    print(f"goal: pipeline at most {GOAL_US} us CPU per call")


if __name__ == "__main__":
    main()
