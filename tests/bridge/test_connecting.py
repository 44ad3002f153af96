"""A client whose connection is not made, or breaks in an odd way, on real sockets."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path

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
