"""The thread for what blocks: order, errors, and its end."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from osupervisor.supervisor.runtime.disk_thread import DiskThread


def run(serve: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner() as runner:
        runner.run(serve)


def test_jobs_are_done_in_order_off_the_loop_and_told_on_it() -> None:
    worked: list[tuple[int, str]] = []
    told: list[tuple[int, str]] = []

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        thread = DiskThread(loop, "disk")
        last = loop.create_future()
        for number in range(100):

            def work(number: int = number) -> None:
                worked.append((number, threading.current_thread().name))

            def done(error: Exception | None, number: int = number) -> None:
                assert error is None
                told.append((number, threading.current_thread().name))
                if number == 99:
                    last.set_result(None)

            thread.run(work, done)
        await last
        thread.close()

    run(serve())
    assert worked == [(number, "disk") for number in range(100)]
    assert told == [(number, "MainThread") for number in range(100)]


def test_what_a_job_raises_is_told_and_the_next_job_is_done() -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        thread = DiskThread(loop, "disk")
        ends: list[str] = []
        last = loop.create_future()

        def fail() -> None:
            raise OSError("no")

        thread.run(fail, lambda error: ends.append(repr(error)))
        thread.run(lambda: None, last.set_result)
        assert await last is None
        assert ends == ["OSError('no')"]
        thread.close()

    run(serve())


def test_close_waits_for_the_last_job_and_tells_nobody() -> None:
    async def serve() -> None:
        thread = DiskThread(asyncio.get_running_loop(), "disk")
        begun, go_on = threading.Event(), threading.Event()
        ended: list[str] = []
        told: list[object] = []

        def work() -> None:
            begun.set()
            go_on.wait()
            ended.append("worked")

        thread.run(work, told.append)
        begun.wait()
        go_on.set()
        thread.close()
        assert ended == ["worked"]
        await asyncio.sleep(0)
        assert told == []

    run(serve())


def test_one_that_never_had_a_job_closes() -> None:
    async def serve() -> None:
        DiskThread(asyncio.get_running_loop(), "disk").close()

    run(serve())
