"""A client's connection: what it answers whatever is asked and whatever the answer is."""

import asyncio
import socket
from collections.abc import Generator
from dataclasses import dataclass
from typing import cast

import pytest

from osupervisor.bridge.errors import ProtocolError, RemoteProtocolError, Unavailable, from_map
from osupervisor.bridge.frames import FRAME_BYTES_MAX, FrameDecoder
from osupervisor.bridge.messages import Response, parse, request
from osupervisor.supervisor.runtime.connection import Connection, Handler, Serving
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

    def ask(self, data: bytes) -> Response:
        self.socket.sendall(data)
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()
        (body,) = FrameDecoder().feed(self.socket.recv(65_536))
        answer = parse(body)
        assert isinstance(answer, Response)
        return answer


@pytest.fixture
def peer() -> Generator[Peer]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.new_event_loop()
    faults: list[object] = []
    loop.set_exception_handler(lambda _, context: faults.append(context))
    connection = Connection(ours, Serving(ENGINE, loop, HANDLERS, 2**20), lambda _: None)
    yield Peer(theirs, loop)
    connection.close()
    theirs.close()
    loop.close()
    assert not faults


@pytest.mark.parametrize("method", ["system.status", "system.tree", "system.wal", "system.stop"])
def test_an_answer_that_cannot_be_packed_is_told(peer: Peer, method: str) -> None:
    answer = peer.ask(request(1, method, []))
    error = from_map(answer.error)
    assert isinstance(error, Unavailable)
    assert "can't be packed" in error.message
    assert peer.ask(request(2, "kernel.ping", [])).result == "pong"


def test_an_answer_that_is_too_long_for_a_frame_is_told(peer: Peer) -> None:
    """Sent as it is, it would end the connection, and with it all that is in flight there."""
    answer = peer.ask(request(1, "system.crashes", ["ls"]))
    error = from_map(answer.error)
    assert isinstance(error, ProtocolError) and "16777216" in error.message
    assert peer.ask(request(2**64 - 1, "system.crashes", ["ls"])).error is not None
    assert peer.ask(request(2, "kernel.ping", [])).result == "pong"
