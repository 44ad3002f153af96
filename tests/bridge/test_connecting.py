"""A client whose service does not take the connection, on a real socket."""

import socket
import time
from contextlib import ExitStack

import pytest

from osupervisor.bridge.address import TcpAddress
from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import NotRunningError
from osupervisor.bridge.wire import CONNECT_TRY_S


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
