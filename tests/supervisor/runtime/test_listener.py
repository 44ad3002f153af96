"""The listener: when it accepts, and when no more."""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import cast

from osupervisor.supervisor.runtime import listener
from osupervisor.supervisor.runtime.connection import Serving
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
