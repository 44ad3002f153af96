"""The client library, for asyncio: `AsyncClient`. What `client` says holds here, with `await`.

    async with AsyncClient("data") as client:
        await client.add("hits", n=3)
        async with client.pipeline() as pipeline:        # many in flight from one task
            replies = [await pipeline.add("hits") for _ in range(1000)]
        print(await replies[-1])

Calls of one turn of the loop are sent together, so that tasks which call at once share a write. A
pipeline costs no future and no task per call: awaiting its call only waits for room. A task that is
cancelled abandons its call; whether it is done is open. A pipeline's calls are the pipeline's: it
waits for each, whatever becomes of a task that awaits a reply.
"""

import os
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, cast

from osupervisor.bridge.address import Address, parse_address
from osupervisor.bridge.async_link import AsyncLink
from osupervisor.bridge.call_encoder import CallOptions, merge, none_if_silent
from osupervisor.bridge.call_options import Durability
from osupervisor.bridge.client import PathKey
from osupervisor.bridge.client_options import check_pipeline
from osupervisor.bridge.errors import BridgeError
from osupervisor.bridge.exchange import CONNECT_TIMEOUT_S, DEADLINE_S
from osupervisor.bridge.methods import (
    BRAIN_STATE,
    KERNEL_API,
    KERNEL_PING,
    SYSTEM_GET_METRICS,
    SYSTEM_STATUS,
)
from osupervisor.bridge.pending import WAITING, AsyncReply
from osupervisor.bridge.pipeline import WINDOW


class AsyncClient:
    """A connection to a service, made when it is first needed, for the tasks of an event loop.

    The arguments, and the names that ops must not have, are those of `Client`.
    """

    def __init__(
        self,
        address: str | os.PathLike[str] | Address = "data",
        *,
        token: str | None = None,
        timeout_s: float | None = None,
        retries: bool = True,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        self._options = none_if_silent(CallOptions(timeout_s=timeout_s))
        self._link = AsyncLink(
            parse_address(address),
            token=token,
            retries=retries,
            connect_timeout_s=connect_timeout_s,
        )

    async def call(self, op: str, /, *args: Any, **kwargs: Any) -> Any:
        """The result of an op or query. Raises what `errors` lists."""
        return await self._link.outcome(self._link.call(op, args, kwargs, self._options))

    async def query(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """The result of a query, asked without a key: lighter, and possibly asked twice."""
        options = merge(self._options, keyless=True)
        return await self._link.outcome(self._link.call(name, args, kwargs, options))

    def __getattr__(self, op: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        if op.startswith("_"):
            raise AttributeError(f"ops with a leading underscore are reached by call: {op}")
        return partial(self.call, op)

    def with_options(
        self,
        *,
        key: str | tuple[str | bytes, int] | None = None,
        session: str | None = None,
        timeout_s: float | None = None,
        durability: Durability | None = None,
    ) -> "AsyncClient":
        """A client whose calls have these options too; it shares this one's connection.

        Under a `key` of your own all calls of the client that is returned are one call: make one
        per call. Raises LocalProtocolError at a value that the service would refuse.
        """
        client = object.__new__(AsyncClient)
        client._link = self._link
        client._options = none_if_silent(
            merge(
                self._options, key=key, session=session, timeout_s=timeout_s, durability=durability
            )
        )
        return client

    def pipeline(self, window: int = WINDOW, *, raising: bool = True) -> "AsyncPipeline":
        """Calls that don't wait for each other, at most `window` of them in flight.

        Leaving its block waits for every reply and, when `raising`, raises the first error.
        """
        check_pipeline(window, raising)
        return AsyncPipeline(self._link, self._options, window, raising)

    async def state(self, path: Sequence[PathKey] = ()) -> Any:
        """The brain's state at a path of keys, all of it without one."""
        return await self.request(BRAIN_STATE, [list(path)])

    async def status(self) -> dict[str, Any]:
        """What runs, and how far it is."""
        return cast("dict[str, Any]", await self.request(SYSTEM_STATUS))

    async def api(self) -> dict[str, Any]:
        """Every method and op with its JSON schema."""
        return cast("dict[str, Any]", await self.request(KERNEL_API))

    async def metrics(self) -> str:
        """The metrics in Prometheus' text format."""
        return cast(str, await self.request(SYSTEM_GET_METRICS))

    async def ping(self) -> str:
        """ "pong", from the supervisor."""
        return cast(str, await self.request(KERNEL_PING))

    async def request(self, method: str, params: Sequence[object] = ()) -> Any:
        """The result of a method of docs/PROTOCOL.md. Raises what `errors` lists."""
        timeout_s = self._options.timeout_s if self._options else None
        link = self._link
        return await link.outcome(link.request(method, list(params), timeout_s or DEADLINE_S))

    async def close(self) -> None:
        """Closes the connection, also of clients made by `with_options`. May be called again."""
        await self._link.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncPipeline:
    """Calls in flight together, from one task."""

    def __init__(
        self, link: AsyncLink, options: CallOptions | None, window: int, raising: bool
    ) -> None:
        self._link = link
        self._options = options
        self._window = window
        self._raising = raising
        self._replies: deque[AsyncReply] = deque()
        """In order of the calls; the first of them has no outcome, or nobody has looked."""
        self._error: BridgeError | None = None

    async def call(self, op: str, /, *args: Any, **kwargs: Any) -> AsyncReply:
        """Asks, and returns at once, or when there is room. Await the reply for its result."""
        replies = self._replies
        reply = self._link.call(op, args, kwargs, self._options)
        replies.append(reply)
        if len(replies) >= self._window:
            await self._make_room()
        return reply

    def __getattr__(self, op: str) -> Callable[..., Coroutine[Any, Any, AsyncReply]]:
        if op.startswith("_"):
            raise AttributeError(f"ops with a leading underscore are reached by call: {op}")
        return partial(self.call, op)

    async def drain(self) -> None:
        """Waits until every call has its outcome. Raises the first error, when `raising`."""
        while self._replies:
            await self._make_room()
        error, self._error = self._error, None
        if error is not None and self._raising:
            raise error

    async def _make_room(self) -> None:
        replies = self._replies
        if replies[0].value is WAITING:
            await self._link.wait(replies[0])
        while replies and replies[0].value is not WAITING:
            reply = replies.popleft()
            if reply.error is not None and self._error is None:
                self._error = reply.error

    async def __aenter__(self) -> "AsyncPipeline":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self.drain()
