"""A client whose connection is not made, or breaks in an odd way, on real sockets."""

import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from osupervisor.bridge import wire
from osupervisor.bridge.address import TcpAddress
from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import NotRunningError
from osupervisor.bridge.wire import CONNECT_TRY_S
from tests.bridge.service import Service
from tests.source import needs_source


def test_it_is_not_waited_for_longer_than_asked() -> None:
    """As a firewall that drops what comes: here a listener whose backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as waiting:
        address = TcpAddress(*listener.getsockname())
        taken = True
        while taken:
            filler = waiting.enter_context(socket.socket())
            filler.settimeout(0.3)
            taken = filler.connect_ex((address.host, address.port)) == 0
        with Client(address, token="t", timeout_s=0.2) as client:
            before = time.monotonic()
            with pytest.raises(NotRunningError):
                client.add("hits")
            assert time.monotonic() - before < CONNECT_TRY_S / 2


class Interrupted(socket.socket):
    """^C comes while it sends: a part is on its way, and nobody is told how much."""

    def send(self, data: object, flags: int = 0, /) -> int:
        assert isinstance(data, bytes)
        super().send(data[:10], flags)
        raise KeyboardInterrupt


def test_an_interrupt_while_a_call_is_sent_breaks_the_connection_and_nothing_else(
    tmp_path: Path,
) -> None:
    with Service(tmp_path / "s") as service, Client(tmp_path / "s") as client:
        assert client.add("hits") == 1
        link = client._link  # pyright: ignore
        connection = link._socket  # pyright: ignore
        assert connection is not None
        link._socket = Interrupted(fileno=connection.detach())  # pyright: ignore
        with pytest.raises(KeyboardInterrupt):
            client.add("hits")
        assert client.add("hits") == 3
        assert service.connections == 2
        assert set(service.ledger.executions.values()) == {1}


class Cleared(list[bytes]):
    """^C comes when its bytes were taken, and before they are sent."""

    def clear(self) -> None:
        super().clear()
        raise KeyboardInterrupt


@needs_source(wire)
def test_an_interrupt_before_a_call_is_sent_loses_no_other(tmp_path: Path) -> None:
    with Service(tmp_path / "s") as service, Client(tmp_path / "s", timeout_s=10) as client:
        assert client.add("hits") == 1
        link = client._link  # pyright: ignore
        pipeline = client.pipeline()
        gathered = pipeline.add("hits")
        link.exchange.out = Cleared(link.exchange.out)
        with pytest.raises(KeyboardInterrupt):
            client.add("hits")
        link.exchange.out = []
        assert (gathered.result(), client.add("hits")) == (2, 4)
        assert service.connections == 2
        assert set(service.ledger.executions.values()) == {1}


class Lock:
    """^C comes as soon as it was taken, or given back, by a call."""

    def __init__(self, *, interrupts: str) -> None:
        self._lock = threading.Lock()
        self._interrupts = interrupts
        self.locked = self._lock.locked

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def acquire(self) -> None:
        self._lock.acquire()
        self._interrupt("acquire")

    def release(self) -> None:
        self._lock.release()
        self._interrupt("release")

    def _interrupt(self, done: str) -> None:
        if self._interrupts == done:
            self._interrupts = ""
            raise KeyboardInterrupt


@needs_source(wire)
@pytest.mark.parametrize("place", ["connect", "wait"])
def test_an_interrupt_while_the_lock_is_given_back_leaves_it_as_it_was(
    tmp_path: Path, place: str
) -> None:
    """Else nobody could ask any more, or two threads would work at once."""
    with Service(tmp_path / "s"), Client(tmp_path / "s") as client:
        if place == "wait":
            assert client.add("hits") == 1
        lock = Lock(interrupts="release")
        client._link.lock = cast(threading.Lock, lock)  # pyright: ignore
        with pytest.raises(KeyboardInterrupt):
            client.add("hits")
        assert not lock.locked()
        assert isinstance(client.add("hits"), int)


@needs_source(wire)
def test_an_interrupt_when_the_lock_was_taken_does_not_leave_it_taken(tmp_path: Path) -> None:
    with Service(tmp_path / "s"), Client(tmp_path / "s") as client:
        assert client.add("hits") == 1
        reply = client.pipeline().add("hits")
        lock = Lock(interrupts="acquire")
        client._link.lock = cast(threading.Lock, lock)  # pyright: ignore
        with pytest.raises(KeyboardInterrupt):
            reply.result()
        assert not lock.locked()
        assert reply.result() == 2


@needs_source(wire)
def test_an_interrupt_just_when_it_is_connected_makes_it_connect_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with Service(tmp_path / "s") as service, Client(tmp_path / "s", timeout_s=10) as client:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(client._link.exchange, "connected", interrupt)  # pyright: ignore
            client.add("hits")
        assert client.add("hits") == 2
        assert service.connections == 2
