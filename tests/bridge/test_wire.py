"""A client's connection for threads: what the socket does not take at once."""

import contextlib
import socket
import threading
import tracemalloc
from pathlib import Path

from osupervisor.bridge.address import listen_unix, parse_address
from osupervisor.bridge.call_encoder import CallOptions
from osupervisor.bridge.errors import Timeout
from osupervisor.bridge.frames import HEADER_SIZE
from osupervisor.bridge.link import Link
from tests.bridge.service import greeting

MIB = 2**20


def test_what_a_slow_peer_has_not_taken_is_not_copied_at_each_write(tmp_path: Path) -> None:
    """Else many long calls took a time that grew with the square of their bytes."""
    accepted: list[socket.socket] = []
    listener = listen_unix(tmp_path / "s")
    listener.settimeout(None)

    def greet() -> None:
        peer, _ = listener.accept()
        accepted.append(peer)
        peer.recv(HEADER_SIZE)
        peer.sendall(greeting(0))

    thread = threading.Thread(target=greet)
    thread.start()
    address = parse_address(tmp_path / "s")
    link = Link(address, token=None, retries=True, connect_timeout_s=5.0)
    replies = [
        link.call("take", ("x" * MIB,), {}, CallOptions(timeout_s=60 if n else 0.1))
        for n in range(8)
    ]
    with contextlib.suppress(Timeout):
        replies[0].result()
    thread.join()
    room = bytearray(MIB)
    tracemalloc.start()
    try:
        accepted[0].recv_into(room, 0, socket.MSG_DONTWAIT)
        link.flush()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB
    link.close()
    accepted[0].close()
    listener.close()
