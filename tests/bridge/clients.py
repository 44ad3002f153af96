"""Each way to make calls with the library, as one function: so many `add`, and their results."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvloop

from osupervisor.bridge.async_client import AsyncClient
from osupervisor.bridge.client import Client

Adds = Callable[[Path, int], list[int]]
"""The results of so many calls of `add` on the service at that path, in order of the calls."""

IN_FLIGHT: Final = 4


def one_by_one(path: Path, count: int) -> list[int]:
    with Client(path) as client:
        return [client.add("hits") for _ in range(count)]


def pipelined(path: Path, count: int) -> list[int]:
    with Client(path) as client:
        with client.pipeline(IN_FLIGHT) as pipeline:
            replies = [pipeline.add("hits") for _ in range(count)]
        return [reply.result() for reply in replies]


def by_threads(path: Path, count: int) -> list[int]:
    results: list[int] = []

    with Client(path) as client:
        threads = [
            threading.Thread(target=lambda: results.append(client.add("hits")))
            for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return results


async def _async_one_by_one(path: Path, count: int) -> list[int]:
    async with AsyncClient(path) as client:
        return [await client.add("hits") for _ in range(count)]


async def _async_tasks(path: Path, count: int) -> list[int]:
    async with AsyncClient(path) as client:
        return list(await asyncio.gather(*(client.add("hits") for _ in range(count))))


async def _async_pipelined(path: Path, count: int) -> list[int]:
    async with AsyncClient(path) as client:
        async with client.pipeline(IN_FLIGHT) as pipeline:
            replies = [await pipeline.add("hits") for _ in range(count)]
        return [await reply for reply in replies]


def async_one_by_one(path: Path, count: int) -> list[int]:
    return asyncio.run(_async_one_by_one(path, count))


def async_tasks(path: Path, count: int) -> list[int]:
    return asyncio.run(_async_tasks(path, count))


def async_pipelined(path: Path, count: int) -> list[int]:
    return asyncio.run(_async_pipelined(path, count))


def uvloop_tasks(path: Path, count: int) -> list[int]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_async_tasks(path, count))


def uvloop_pipelined(path: Path, count: int) -> list[int]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_async_pipelined(path, count))


ALL: Final[list[Adds]] = [
    one_by_one,
    pipelined,
    by_threads,
    async_one_by_one,
    async_tasks,
    async_pipelined,
    uvloop_tasks,
    uvloop_pipelined,
]
