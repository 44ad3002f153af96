"""A client's connection for asyncio: the shell around an exchange, in one event loop.

Calls of one turn of the loop are written together at its end. One timer serves every deadline and
pause. Used in another loop than before, or in a forked child, the link begins anew: the connection
belongs to the loop that made it.
"""

import asyncio
import os
import random
import weakref
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, cast

from osupervisor.bridge.address import Address, TcpAddress, service_address, short_name
from osupervisor.bridge.call_encoder import CallOptions
from osupervisor.bridge.client_options import check_client
from osupervisor.bridge.errors import AddressError, LocalProtocolError
from osupervisor.bridge.exchange import Exchange, State
from osupervisor.bridge.pending import AsyncReply

CONNECT_TRY_S: Final = 5.0
"""Longest single try to connect."""

_links: "weakref.WeakSet[AsyncLink]" = weakref.WeakSet()


class AsyncLink:
    """One connection, for the tasks of one event loop at a time."""

    def __init__(
        self, address: Address, *, token: str | None, retries: bool, connect_timeout_s: float
    ) -> None:
        check_client(token, retries, connect_timeout_s)
        self._address = address
        self._new_exchange: Callable[[], Exchange[AsyncReply]] = lambda: Exchange(
            AsyncReply,
            random.random,
            token=token,
            retries=retries,
            connect_timeout_s=connect_timeout_s,
            where=str(address),
        )
        self._closed = False
        self._begin()
        _links.add(self)

    def _begin(self) -> None:
        self.exchange = self._new_exchange()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._turn_ends = False
        """Whether `_end_turn` stands in the loop's queue."""
        self._gone: asyncio.Future[None] | None = None
        """Done when the transport has told us that it is closed."""

    def call(
        self,
        op: str,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        options: CallOptions | None,
    ) -> AsyncReply:
        """A call, written at the end of this turn of the loop. Raises LocalProtocolError."""
        if not self._turn_ends:
            self._begin_turn()
        reply = self.exchange.call(op, args, kwargs, monotonic(), options)
        reply.link = self
        return reply

    def request(self, method: str, params: list[object], deadline_s: float) -> AsyncReply:
        """Another request, written at the end of this turn. Raises LocalProtocolError."""
        if not self._turn_ends:
            self._begin_turn()
        reply = self.exchange.request(method, params, monotonic(), deadline_s)
        reply.link = self
        return reply

    async def outcome(self, reply: AsyncReply) -> Any:
        """What came of a request of which nobody else has the reply: cancelled, it is abandoned."""
        try:
            await self.wait(reply)
        except asyncio.CancelledError:
            self.exchange.abandon(reply)
            raise
        return reply.outcome()

    async def wait(self, reply: AsyncReply) -> None:
        """Returns when the reply has its outcome. Others may wait for it too."""
        if not self.exchange.holds(reply):
            raise LocalProtocolError("this reply belongs to another event loop", "ask again")
        woken = asyncio.get_running_loop().create_future()
        others = [other for other in reply.waiter or () if not other.done()]  # cancelled ones are
        reply.waiter = [*others, woken]
        await woken

    def _begin_turn(self) -> None:
        if self._closed:
            raise LocalProtocolError("the client is closed", "make a new AsyncClient")
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._give_up("this was asked in another event loop")
            self._begin()
            self._loop = loop
        self._turn_ends = True
        loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._turn_ends = False
        self._settle()

    def _settle(self) -> None:
        """Writes what was asked, connects where nothing is connected, and sets the timer."""
        loop = self._loop
        if self._closed or loop is None:
            return
        exchange = self.exchange
        if exchange.out and self._transport is not None:
            out = exchange.out
            self._transport.write(b"".join(out))
            out.clear()
        if exchange.state is State.DOWN and exchange.count and self._connecting is None:
            if exchange.connect_at <= monotonic():
                self._connecting = loop.create_task(self._connect())
        self._set_timer(loop)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        at = self.exchange.next_at(connecting=self._connecting is not None)
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = None
        if at != float("inf"):
            self._timer = loop.call_at(loop.time() + max(0.0, at - monotonic()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._wake_all(self.exchange.tick(monotonic()))
        self._settle()

    async def _connect(self) -> None:
        cause: Exception | None = None
        try:
            await asyncio.wait_for(self._open(), CONNECT_TRY_S)
        except OSError as error:  # Also TimeoutError.
            cause = error
        except AddressError as error:
            fault = error
            self._wake_all(self.exchange.fail_all(lambda: fault))
        finally:
            self._connecting = None
        if cause is not None:
            self._wake_all(self.exchange.refused(monotonic(), cause))
        self._settle()

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        address = service_address(self._address)
        if isinstance(address, TcpAddress):
            await loop.create_connection(lambda: _Protocol(self), address.host, address.port)
            return
        # The loop makes the socket: uvloop loses one that is handed to it and closed at once.
        with short_name(address.path) as name:
            await loop.create_unix_connection(lambda: _Protocol(self), name)

    def connected(self, transport: asyncio.Transport) -> None:
        """Of the protocol: the transport is there."""
        loop = asyncio.get_running_loop()
        if self._closed or self._loop is not loop:
            transport.abort()
            return
        self._transport = transport
        self._gone = loop.create_future()
        self.exchange.connected()
        self._settle()

    def received(self, transport: asyncio.Transport, data: bytes) -> None:
        """Of the protocol: bytes were read."""
        if transport is not self._transport:
            return
        self._wake_all(self.exchange.receive(data, monotonic()))
        if self.exchange.state is State.DOWN:
            transport.abort()
            self._transport = None
        self._settle()

    def lost(self, transport: asyncio.BaseTransport | None) -> None:
        """Of the protocol: the transport is closed."""
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        if transport is not self._transport or transport is None:
            return
        self._transport = None
        self._wake_all(self.exchange.lost(monotonic()))
        self._settle()

    def _wake_all(self, replies: list[AsyncReply]) -> None:
        for reply in replies:
            for waiter in reply.waiter or ():
                if not waiter.done():
                    waiter.set_result(None)

    async def close(self) -> None:
        """Closes the connection. What was in flight fails; whether it was done is open."""
        if self._closed:
            return
        self._closed = True
        gone = self._gone
        self._give_up("the client was closed before the answer came")
        if gone is not None and gone.get_loop() is asyncio.get_running_loop():
            await gone

    def _give_up(self, reason: str) -> None:
        error = LocalProtocolError(reason, "ask again")
        replies = self.exchange.fail_all(lambda: error)
        if self._loop is None or self._loop.is_closed():
            return
        self._wake_all(replies)
        if self._timer is not None:
            self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._transport is not None:
            self._transport.abort()  # `close` waits until the peer has read what stands before it.

    def begin_anew(self) -> None:
        """In a forked child: gives up the parent's name, connection and requests.

        The parent's transport can't be closed here: that would take its socket out of the epoll
        set that both processes share. Its descriptor is pointed elsewhere instead.
        """
        if self._transport is not None:
            connection = self._transport.get_extra_info("socket")
            nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(nowhere, connection.fileno(), inheritable=False)
            os.close(nowhere)
            _parents.append(self._transport)
        self._begin()


class _Protocol(asyncio.Protocol):
    """What asyncio calls, for the link."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one only in deed.
        self._link.connected(self._transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._link.received(self._transport, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.lost(self._transport)


_parents: list[asyncio.Transport] = []
"""Kept, so that the child's collector doesn't close them in the loop they share."""


def _begin_anew_in_child() -> None:
    for link in list(_links):
        link.begin_anew()


os.register_at_fork(after_in_child=_begin_anew_in_child)
