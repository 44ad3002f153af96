"""`AsyncClient`: as `Client`, for the tasks of a loop, on both kinds of loop."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from osupervisor.bridge import messages
from osupervisor.bridge.address import TcpAddress, listen_unix
from osupervisor.bridge.async_client import AsyncClient
from osupervisor.bridge.errors import (
    AddressError,
    LocalProtocolError,
    NotRunningError,
    OpFailed,
    OpNotFound,
    Overloaded,
    ProtocolError,
    RemoteProtocolError,
    Timeout,
    Unavailable,
)
from osupervisor.bridge.messages import outcome_of_error
from osupervisor.bridge.pending import AsyncReply
from tests.bridge.service import Break, Service, greeting

Run = Callable[[Callable[[AsyncClient], Awaitable[None]]], None]
NOT_NOW = [outcome_of_error(kind("not now").to_map()) for kind in (Overloaded, Unavailable)]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """Makes a loop, of each kind."""
    loop: Callable[[], asyncio.AbstractEventLoop] = request.param
    return loop


@pytest.fixture
def run(tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> Run:
    """Runs a test's coroutine with a client of whatever listens at `tmp_path / "s"`."""

    def run(test: Callable[[AsyncClient], Awaitable[None]], **options: Any) -> None:
        async def main() -> None:
            async with AsyncClient(tmp_path / "s", **options) as client:
                await test(client)

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())

    return run


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path / "s") as running:
        yield running


async def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "waited 20 s for nothing"
        await asyncio.sleep(0.002)


def test_what_a_client_offers(run: Run, service: Service) -> None:
    async def test(client: AsyncClient) -> None:
        assert await client.add("hits", n=3) == 3
        assert await client.call("add", "hits", n=4) == 7
        assert await client.query("load") == 7
        assert await client.call("echo", self=1, op=2) == [[], {"self": 1, "op": 2}]
        assert await client.ping() == "pong"
        assert await client.status() == {"state": "ready"}
        assert await client.metrics() == "up 1\n"
        assert "brain.call" in (await client.api())["methods"]
        assert await client.state(["bins"]) == {"path": ["bins"], 7: b"bytes"}
        mine = client.with_options(key="mine", session="s", timeout_s=5, durability="always")
        assert [await mine.add("hits"), await mine.add("hits")] == [8, 8]
        with pytest.raises(OpFailed, match="boom"):
            await client.fail("boom")
        with pytest.raises(OpNotFound):
            await client.no_such()
        with pytest.raises(LocalProtocolError):
            await client.add(object())
        with pytest.raises(AttributeError):
            await client._private()
        with pytest.raises(LocalProtocolError):
            client.with_options(timeout_s=0)

    run(test)
    assert service.connections == 1


def test_calls_of_one_turn_of_the_loop_are_sent_together(run: Run, service: Service) -> None:
    async def test(client: AsyncClient) -> None:
        results = await asyncio.gather(*(client.add("hits") for _ in range(1000)))
        assert sorted(results) == list(range(1, 1001))

    run(test)


def test_a_pipeline_is_bounded_and_in_order(run: Run, service: Service) -> None:
    async def test(client: AsyncClient) -> None:
        replies: list[AsyncReply] = []
        async with client.pipeline(window=10) as pipeline:
            for _ in range(300):
                replies.append(await pipeline.add("hits"))
                assert client._link.exchange.count < 10  # pyright: ignore
        assert [await reply for reply in replies] == list(range(1, 301))
        with pytest.raises(OpFailed, match="one"):
            async with client.pipeline() as pipeline:
                await pipeline.fail("one")
                await pipeline.fail("two")
        async with client.pipeline(raising=False) as pipeline:
            reply = await pipeline.fail("three")
        with pytest.raises(OpFailed, match="three"):
            await reply
        with pytest.raises(KeyError):
            async with client.pipeline() as pipeline:
                raise KeyError
        with pytest.raises(LocalProtocolError):
            client.pipeline(window=0)
        with pytest.raises(AttributeError):
            await pipeline._private()

    run(test)


def test_tasks_may_await_one_reply(run: Run, service: Service) -> None:
    async def wait(reply: AsyncReply) -> Any:
        return await reply

    async def test(client: AsyncClient) -> None:
        reply = await client.pipeline().add("hits")
        tasks = [asyncio.create_task(wait(reply)) for _ in range(5)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        assert await asyncio.gather(*tasks[1:]) == [1] * 4

    run(test)


def test_a_cancelled_call_is_abandoned(run: Run, tmp_path: Path) -> None:
    async def test(client: AsyncClient) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.add("hits"), 0.05)
        assert client._link.exchange.count == 0  # pyright: ignore

    with listen_unix(tmp_path / "s"):
        run(test)


def test_a_pipeline_waits_for_a_call_although_a_task_that_awaited_it_was_cancelled(
    run: Run, tmp_path: Path
) -> None:
    async def test(client: AsyncClient) -> None:
        async with client.pipeline(window=2) as pipeline:
            reply = await pipeline.add("hits")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reply, 0.05)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pipeline.add("hits"), 0.05)
            slow.silent = False
            slow.break_all()
        assert await reply == 1

    with Service(tmp_path / "s", silent=True) as slow:
        run(test)
        assert slow.ledger.adds == 2


def test_a_reply_keeps_nobody_who_has_given_up_waiting_for_it(run: Run, tmp_path: Path) -> None:
    async def test(client: AsyncClient) -> None:
        reply = await client.pipeline().add("hits")
        for _ in range(10):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reply, 0.001)
        assert len(reply.waiter) == 1

    with Service(tmp_path / "s", silent=True):
        run(test)


def test_values_longer_than_any_buffer_pass_both_ways(run: Run, service: Service) -> None:
    async def test(client: AsyncClient) -> None:
        blob = os.urandom(5_000_000)
        results = await asyncio.gather(*(client.echo(blob) for _ in range(4)))
        assert results == [[[blob], {}]] * 4

    run(test)


def test_refused_calls_are_tried_again(run: Run, tmp_path: Path) -> None:
    async def test(client: AsyncClient) -> None:
        assert await client.add("hits") == 1
        unwilling.refuse(NOT_NOW[:1] * 10_000)
        with pytest.raises(Overloaded):
            await client.with_options(timeout_s=0.1).add("hits")

    with Service(tmp_path / "s", refusals=NOT_NOW * 3) as unwilling:
        run(test)
        assert len(unwilling.ledger.executions) == 1


def test_deadlines_are_kept_side_by_side(run: Run, tmp_path: Path) -> None:
    async def ask(client: AsyncClient, timeout_s: float) -> float:
        before = time.monotonic()
        with pytest.raises(Timeout):
            await client.with_options(timeout_s=timeout_s).add("hits")
        return time.monotonic() - before - timeout_s

    async def test(client: AsyncClient) -> None:
        late = await asyncio.gather(*(ask(client, t) for t in (0.5, 0.05, 0.3)))
        assert all(1.0 <= delay_s < 2.5 for delay_s in late)

    with Service(tmp_path / "s", silent=True):
        run(test)


def test_a_service_that_is_not_there(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def main() -> None:
        async with AsyncClient(tmp_path / "s", connect_timeout_s=0) as client:
            with pytest.raises(NotRunningError):
                await client.add("hits")
        async with AsyncClient(tmp_path / ("s" * 200)) as client:
            with pytest.raises(AddressError):
                await client.add("hits")

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


def test_a_service_that_starts_late_and_restarts(run: Run, tmp_path: Path) -> None:
    async def test(client: AsyncClient) -> None:
        asking = asyncio.create_task(client.add("hits"))
        await until(lambda: client._link.exchange.connect_at > 0)  # pyright: ignore
        with Service(tmp_path / "s"):
            assert await asking == 1
        asking = asyncio.create_task(client.add("hits"))
        await asyncio.sleep(0)
        with Service(tmp_path / "s") as second:
            assert await asking == 1
            second.break_all()
            assert await client.add("hits") == 2

    run(test)


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1", b"HTTP/1.1 400"])
def test_a_peer_that_speaks_nonsense_is_told_apart(
    run: Run, tmp_path: Path, garbage: bytes
) -> None:
    async def test(client: AsyncClient) -> None:
        async def serve() -> None:
            loop = asyncio.get_running_loop()
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(False)
            await loop.sock_recv(connection, 65_536)
            await loop.sock_sendall(connection, garbage)
            connection.close()

        serving = asyncio.create_task(serve())
        with pytest.raises(RemoteProtocolError):
            await client.add("hits")
        await serving

    with listen_unix(tmp_path / "s") as listener:
        run(test)


def test_an_answer_in_single_bytes_is_put_together(run: Run, tmp_path: Path) -> None:
    async def test(client: AsyncClient) -> None:
        async def serve() -> None:
            loop = asyncio.get_running_loop()
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(False)
            await loop.sock_recv(connection, 65_536)
            for byte in greeting(0) + messages.response(1, "slow"):
                await loop.sock_sendall(connection, bytes([byte]))
            await finished.wait()
            connection.close()

        finished = asyncio.Event()
        serving = asyncio.create_task(serve())
        assert await client.add("hits") == "slow"
        finished.set()
        await serving

    with listen_unix(tmp_path / "s") as listener:
        run(test)


def test_closing_wakes_all_who_wait(run: Run, tmp_path: Path) -> None:
    async def test(client: AsyncClient) -> None:
        tasks = [asyncio.create_task(client.add("hits")) for _ in range(3)]
        await until(lambda: client._link.exchange.count == 3)  # pyright: ignore
        await client.close()
        await client.close()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, LocalProtocolError)
        with pytest.raises(LocalProtocolError, match="closed"):
            await client.add("hits")
        with pytest.raises(LocalProtocolError, match="closed"):
            await client.status()

    with listen_unix(tmp_path / "s"):
        run(test)


def test_closing_does_not_wait_for_a_peer_that_reads_nothing(run: Run, tmp_path: Path) -> None:
    def unsent_bytes(client: AsyncClient) -> int:
        transport = client._link._transport  # pyright: ignore
        return 0 if transport is None else transport.get_write_buffer_size()

    async def test(client: AsyncClient) -> None:
        asking = asyncio.create_task(client.echo(bytes(10_000_000)))
        await until(lambda: unsent_bytes(client) > 1_000_000)
        await asyncio.wait_for(client.close(), 20)
        with pytest.raises(LocalProtocolError, match="closed before the answer"):
            await asking

    def greet() -> None:
        connection, _ = listener.accept()
        connections.append(connection)
        connection.recv(65_536)
        connection.sendall(greeting(0))

    connections: list[socket.socket] = []
    with listen_unix(tmp_path / "s") as listener:
        listener.settimeout(20)
        thread = threading.Thread(target=greet)
        thread.start()
        run(test)
        thread.join()
        connections[0].close()


def test_a_client_lives_through_breaks_under_load(run: Run, tmp_path: Path) -> None:
    async def ask(client: AsyncClient) -> list[int]:
        return [await client.add("hits") for _ in range(50)]

    async def test(client: AsyncClient) -> None:
        asking = asyncio.gather(*(ask(client) for _ in range(16)))
        while not asking.done():
            broken.break_all()
            await asyncio.sleep(0.01)
        results = [number for numbers in await asking for number in numbers]
        assert sorted(results) == list(range(1, 801))

    with Service(tmp_path / "s", [Break("executed", 100)]) as broken:
        run(test)
        assert set(broken.ledger.executions.values()) == {1}


def test_tcp_with_a_token(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def main() -> None:
        async with AsyncClient(address, token="s3cret") as client:
            assert [await client.add("hits") for _ in range(9)] == list(range(1, 10))
        async with AsyncClient(address, token="wrong") as client:
            with pytest.raises(ProtocolError, match="token"):
                await client.add("hits")

    breaks = [Break("read", 20), Break("executed", 150)]
    with Service.on_tcp(tmp_path, breaks, token="s3cret") as service:
        address = TcpAddress("127.0.0.1", service.port)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
        assert service.ledger.adds == 9


def test_a_data_directory_may_appear_after_its_client(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def main() -> int:
        async with AsyncClient(tmp_path / "data", connect_timeout_s=20) as client:
            asking = asyncio.ensure_future(client.add("hits"))
            await asyncio.sleep(0)
            path = tmp_path / "data" / "run" / "osupervisor.sock"
            path.parent.mkdir(parents=True)
            with Service(path):
                result: int = await asking
                return result

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(main()) == 1
