"""The listener: when it accepts, and when no more."""

import asyncio
import errno
import os
import socket
import time
from collections.abc import Callable
from typing import cast

import pytest

from osupervisor.bridge.messages import request
from osupervisor.supervisor.runtime import listener
from osupervisor.supervisor.runtime.connection import Serving
from osupervisor.supervisor.runtime.engine import Engine
from osupervisor.supervisor.runtime.listener import Listener


class Exhausted(socket.socket):
    """There is always somebody, and never a descriptor for him."""

    tries = 0
    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def accept(self) -> tuple[socket.socket, object]:
        self.tries += 1
        self.meanwhile()
        raise OSError(errno.EMFILE, "too many open files")


class Loop:
    """What of `Serving` is wanted here."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop


async def _tried(sock: Exhausted, tries: int) -> None:
    while sock.tries < tries:
        await asyncio.sleep(0)


def test_a_pause_for_want_of_descriptors_does_not_outlast_a_stop() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        with Exhausted() as sock, socket.socket() as client:
            sock.bind(("127.0.0.1", 0))
            sock.listen()
            client.connect(sock.getsockname())
            listening = Listener(
                [sock],
                cast("Serving", Loop(loop)),
                connections_max=1,
                frame_timeout_s=1.0,
                token="",
            )
            listening.start()
            await _tried(sock, 2)
            sock.meanwhile = listening.stop
            await _tried(sock, 3)
            behind = loop.create_future()
            loop.call_later(listener.PAUSE_S, behind.set_result, None)
            await behind
            assert not loop.remove_reader(sock.fileno()), "it accepts again"
            listening.start()
            await _tried(sock, 4)
            listening.close()

    asyncio.run(run())


def test_after_a_standstill_of_the_loop_half_a_frame_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its other half has come meanwhile, and was not read."""
    now_s = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now_s)

    async def run() -> None:
        nonlocal now_s
        loop = asyncio.get_running_loop()
        serving = Serving(cast("Engine", None), loop, {"kernel.ping": lambda _: "pong"}, 2**20)
        frame = request(0, "kernel.ping", [])
        with socket.socket(socket.AF_UNIX) as sock, socket.socket(socket.AF_UNIX) as peer:
            sock.bind(b"\0test_listener.%d" % os.getpid())
            sock.listen()
            peer.connect(sock.getsockname())
            peer.sendall(frame[:3])
            listening = Listener([sock], serving, connections_max=1, frame_timeout_s=5.0, token="")
            listening.start()
            while not any(each.half_since_s for each in listening.connections):
                await asyncio.sleep(0)
            peer.sendall(frame[3:])
            now_s += 60.0
            listening.sweep()
            peer.setblocking(False)
            assert await loop.sock_recv(peer, 4096), "the answer"
            peer.sendall(frame[:3])
            while not any(each.half_since_s for each in listening.connections):
                await asyncio.sleep(0)
            for _ in range(6):
                now_s += 1.0
                listening.sweep()
            assert await loop.sock_recv(peer, 4096) == b"", "now he had his time"
            listening.close()

    asyncio.run(run())


def test_who_never_shows_the_token_takes_no_place_for_long() -> None:
    """Strangers could have all places else, and nobody would be let in."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        serving = Serving(cast("Engine", None), loop, {"kernel.hello": lambda _: {}}, 2**20)
        with socket.socket() as sock, socket.socket() as stranger, socket.socket() as friend:
            sock.bind(("127.0.0.1", 0))
            sock.listen()
            listening = Listener(
                [sock], serving, connections_max=2, frame_timeout_s=0.0, token="s3cret"
            )
            listening.start()
            for peer in (stranger, friend):
                peer.connect(sock.getsockname())
            friend.sendall(request(0, "kernel.hello", [{"token": "s3cret"}]))
            friend.setblocking(False)
            while not await loop.sock_recv(friend, 4096):
                pass
            listening.sweep()
            assert [each.open for each in listening.connections] == [True]
            stranger.setblocking(False)
            assert await loop.sock_recv(stranger, 4096) == b"", "he is gone"
            listening.close()

    asyncio.run(run())
