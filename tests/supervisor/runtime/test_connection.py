"""A client's connection: what it answers whatever is asked and whatever the answer is."""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import pytest

from osupervisor.bridge import packing
from osupervisor.bridge.errors import ProtocolError, RemoteProtocolError, from_map
from osupervisor.bridge.frames import FRAME_BYTES_MAX, FrameDecoder
from osupervisor.bridge.messages import Response, parse, request
from osupervisor.supervisor.core.call import Call as CoreCall
from osupervisor.supervisor.runtime.connection import (
    LATER_MAX,
    UNREAD_BYTES,
    Connection,
    Handler,
    Serving,
)
from osupervisor.supervisor.runtime.engine import Engine

ENGINE = cast(Engine, None)
"""What is asked here does not come as far."""


def deep_list() -> object:
    """A value with more levels than can be packed."""
    value: object = None
    for _ in range(1100):
        value = [value]
    return value


def fails(_: list[object]) -> object:
    raise RemoteProtocolError("a name that is no UTF-8: \udcff")


HANDLERS: dict[str, Handler] = {
    "system.status": lambda _: object(),
    "system.tree": lambda _: {"path": "\udcff"},
    "system.wal": lambda _: deep_list(),
    "system.stop": fails,
    "system.crashes": lambda _: "x" * FRAME_BYTES_MAX,
    "kernel.ping": lambda _: "pong",
}


@dataclass
class Peer:
    """A client's end of a connection."""

    socket: socket.socket
    loop: asyncio.AbstractEventLoop
    connection: Connection

    def ask(self, data: bytes) -> Response:
        self.socket.sendall(data)
        turn(self.loop)
        (body,) = FrameDecoder().feed(self.socket.recv(65_536))
        answer = parse(body)
        assert isinstance(answer, Response)
        return answer


def turn(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop do what can be done now."""
    loop.call_soon(loop.stop)
    loop.run_forever()


@pytest.fixture
def loop() -> Generator[asyncio.AbstractEventLoop]:
    """One in which nothing may fail."""
    made = asyncio.new_event_loop()
    faults: list[object] = []
    made.set_exception_handler(lambda _, context: faults.append(context))
    yield made
    made.close()
    assert not faults


@pytest.fixture
def peer(loop: asyncio.AbstractEventLoop) -> Generator[Peer]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    connection = Connection(ours, Serving(ENGINE, loop, HANDLERS, 2**20), lambda _: None)
    yield Peer(theirs, loop, connection)
    connection.close()
    theirs.close()


@pytest.mark.parametrize("method", ["system.status", "system.tree", "system.wal", "system.stop"])
def test_an_answer_that_cannot_be_packed_is_told(peer: Peer, method: str) -> None:
    answer = peer.ask(request(1, method, []))
    error = from_map(answer.error)
    assert isinstance(error, ProtocolError), "which is not asked again: it would be so again"
    assert "can't be packed" in error.message
    assert peer.ask(request(2, "kernel.ping", [])).result == "pong"


def test_an_answer_that_is_too_long_for_a_frame_is_told(peer: Peer) -> None:
    """Sent as it is, it would end the connection, and with it all that is in flight there."""
    answer = peer.ask(request(1, "system.crashes", ["ls"]))
    error = from_map(answer.error)
    assert isinstance(error, ProtocolError) and "16777216" in error.message
    assert peer.ask(request(2**64 - 1, "system.crashes", ["ls"])).error is not None
    assert peer.ask(request(2, "kernel.ping", [])).result == "pong"


@dataclass
class Taking:
    """What of an engine and its core a call meets first."""

    calls: list[CoreCall] = field(default_factory=list[CoreCall])
    now_us: int = 0

    @property
    def core(self) -> "Taking":
        return self

    @property
    def context(self) -> "Taking":
        return self

    def call(self, call: CoreCall) -> None:
        self.calls.append(call)

    def event(self, _: int) -> None:
        """A turn may be taken."""


@pytest.mark.parametrize(("timeout_s", "us"), [(None, 0), (2, 2_000_000), (1e-6, 1), (1e-9, 1)])
def test_the_shortest_timeout_is_one_too(timeout_s: float | None, us: int) -> None:
    """0 stands for none."""
    ours, theirs = socket.socketpair()
    loop, engine = asyncio.new_event_loop(), Taking()
    connection = Connection(ours, Serving(cast(Engine, engine), loop, {}, 2**20), lambda _: None)
    options = {} if timeout_s is None else {"timeout_s": timeout_s}
    theirs.sendall(request(1, "brain.call", ["add", [], {}, options]))
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert [call.timeout_us for call in engine.calls] == [us]
    connection.close()
    theirs.close()
    loop.close()


def test_a_frame_that_comes_in_drops_is_as_old_as_its_first(peer: Peer) -> None:
    """`listen.frame_timeout_s` bounds a frame, however it comes."""

    def since_s(data: bytes) -> float:
        peer.socket.sendall(data)
        peer.loop.call_soon(peer.loop.stop)
        peer.loop.run_forever()
        return peer.connection.half_since_s

    ping = request(1, "kernel.ping", [])
    begun_s = since_s(ping[:3])
    assert begun_s > 0.0
    assert [since_s(ping[3:4]), since_s(ping[4:9])] == [begun_s, begun_s]
    another_s = since_s(ping[9:] + ping[:5])
    assert another_s > begun_s
    assert since_s(ping[5:]) == 0.0
    assert since_s(ping) == 0.0


def test_half_a_frame_is_not_waited_for_while_its_peer_is_not_read_from(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """It is we who keep the other half from coming."""
    ours, theirs = socket.socketpair()
    handlers: dict[str, Handler] = {"system.tree": lambda _: b"x" * 4 * UNREAD_BYTES}
    connection = Connection(ours, Serving(ENGINE, loop, handlers, 2**30), lambda _: None)
    theirs.sendall(request(1, "system.tree", []) + b"\0\0")
    turn(loop)
    assert connection.half_since_s == 0.0
    theirs.setblocking(False)
    read = 0
    while read <= 4 * UNREAD_BYTES:
        read += len(theirs.recv(2**20))
        turn(loop)
    assert connection.half_since_s > 0.0, "it is read from again"
    connection.close()
    theirs.close()


def test_what_can_be_answered_at_any_time_waits_until_its_peer_reads(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """All at once it would end the connection, and so would all that is asked for again then."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    connection = Connection(ours, Serving(ENGINE, loop, HANDLERS, 2**20), lambda _: None)
    outcome = b"\xc0" + packing.pack(b"x" * 2 * UNREAD_BYTES)

    def answer(message_id: int) -> None:
        assert connection.answer(message_id, outcome)
        connection.flush()

    for message_id in range(8):
        connection.when_read(partial(answer, message_id))
    decoder, found = FrameDecoder(), list[bytes]()
    while len(found) < 8:
        turn(loop)
        assert connection.open
        with contextlib.suppress(BlockingIOError):
            found += decoder.feed(theirs.recv(2**20))
    answers = [parse(body) for body in found]
    assert [each.id for each in answers if isinstance(each, Response)] == list(range(8))
    connection.close()
    theirs.close()


def test_who_asks_again_and_again_and_reads_nothing_is_not_read_from(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """What waits for him would grow without end else. When he reads he is read from again."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    connection = Connection(ours, Serving(ENGINE, loop, HANDLERS, 2**30), lambda _: None)
    connection.answer(0, b"\xc0" + packing.pack(b"x" * (UNREAD_BYTES - 100)))
    connection.flush()
    answered: list[int] = []
    for number in range(LATER_MAX):
        connection.when_read(partial(answered.append, number))
    theirs.sendall(request(1, "kernel.ping", []))
    turn(loop)
    assert not answered and ours.recv(1, socket.MSG_PEEK), "what he asked is left in the socket"
    decoder, found = FrameDecoder(), list[bytes]()
    while len(found) < 2:
        with contextlib.suppress(BlockingIOError):
            found += decoder.feed(theirs.recv(2**20))
        turn(loop)
    assert answered == list(range(LATER_MAX))
    connection.close()
    theirs.close()


def test_a_peer_that_reads_nothing_is_closed(loop: asyncio.AbstractEventLoop) -> None:
    ours, theirs = socket.socketpair()
    connection = Connection(ours, Serving(ENGINE, loop, HANDLERS, 2**20), lambda _: None)
    for message_id in range(2):
        assert connection.open
        connection.answer(message_id, b"\xc0" + packing.pack(b"x" * 2 * UNREAD_BYTES))
        connection.flush()
    assert not connection.open
    theirs.close()
