"""The client library, for programs that wait: `Client`.

    with Client("data") as client:
        client.add("hits", n=3)                          # an op of the brain, as a method
        client.call("status", "a name of the client's own")
        client.with_options(session="s1", timeout_s=2).add("hits")
        with client.pipeline() as pipeline:              # many in flight
            replies = [pipeline.add("hits") for _ in range(1000)]
        print(replies[-1].result())

A call is sent under a key of the library. When the connection breaks it is sent again under that
key, and when the service can't take it now, until its deadline; it takes effect once. Errors are
those of `errors`. A client may be used by several threads, and in a forked child, which gets a name
and a connection of its own.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from osupervisor.bridge.address import Address, parse_address
from osupervisor.bridge.call_encoder import CallOptions, merge, none_if_silent
from osupervisor.bridge.call_options import Durability
from osupervisor.bridge.client_options import check_pipeline
from osupervisor.bridge.exchange import CONNECT_TIMEOUT_S, DEADLINE_S
from osupervisor.bridge.link import Link
from osupervisor.bridge.methods import (
    BRAIN_STATE,
    KERNEL_API,
    KERNEL_PING,
    SYSTEM_GET_METRICS,
    SYSTEM_STATUS,
)
from osupervisor.bridge.pipeline import WINDOW, Pipeline

PathKey = str | int | bytes


class Client:
    """A connection to a service, made when it is first needed, for any number of threads.

    `address`: the service's data directory, its socket, or "host:port" with `token`. A directory or
    socket that isn't there yet is looked for at each try to connect. A path with a colon and no
    slash is written `./a:b`. Raises AddressError.
    `timeout_s`: goes with every call that has none of its own, and bounds it here too: a call
    returns or raises at most a second after it. None: the service's own settings, 90 s here.
    `retries`: whether calls that the service can't take now are sent again until their deadline.
    `connect_timeout_s`: how long a service that was never there is waited for.

    Not called ops, because the client has methods of these names, which `call` reaches: `api`,
    `call`, `close`, `metrics`, `ping`, `pipeline`, `query`, `request`, `state`, `status`,
    `with_options`.
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
        self._link = Link(
            parse_address(address),
            token=token,
            retries=retries,
            connect_timeout_s=connect_timeout_s,
        )

    def call(self, op: str, /, *args: Any, **kwargs: Any) -> Any:
        """The result of an op or query. Raises what `errors` lists."""
        link = self._link
        reply = link.call(op, args, kwargs, self._options)
        link.wait(reply)
        return reply.outcome()

    def query(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """The result of a query, asked without a key: lighter, and possibly asked twice."""
        options = merge(self._options, keyless=True)
        reply = self._link.call(name, args, kwargs, options)
        return reply.result()

    def __getattr__(self, op: str) -> Callable[..., Any]:
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
    ) -> "Client":
        """A client whose calls have these options too; it shares this one's connection.

        Under a `key` of your own all calls of the client that is returned are one call: make one
        per call. Raises LocalProtocolError at a value that the service would refuse.
        """
        client = object.__new__(Client)
        client._link = self._link
        client._options = none_if_silent(
            merge(
                self._options, key=key, session=session, timeout_s=timeout_s, durability=durability
            )
        )
        return client

    def pipeline(self, window: int = WINDOW, *, raising: bool = True) -> Pipeline:
        """Calls that don't wait for each other, at most `window` of them in flight.

        Leaving its block waits for every reply and, when `raising`, raises the first error.
        """
        check_pipeline(window, raising)
        return Pipeline(self._link, self._options, window, raising)

    def state(self, path: Sequence[PathKey] = ()) -> Any:
        """The brain's state at a path of keys, all of it without one."""
        return self.request(BRAIN_STATE, [list(path)])

    def status(self) -> dict[str, Any]:
        """What runs, and how far it is."""
        return cast("dict[str, Any]", self.request(SYSTEM_STATUS))

    def api(self) -> dict[str, Any]:
        """Every method and op with its JSON schema."""
        return cast("dict[str, Any]", self.request(KERNEL_API))

    def metrics(self) -> str:
        """The metrics in Prometheus' text format."""
        return cast(str, self.request(SYSTEM_GET_METRICS))

    def ping(self) -> str:
        """ "pong", from the supervisor."""
        return cast(str, self.request(KERNEL_PING))

    def request(self, method: str, params: Sequence[object] = ()) -> Any:
        """The result of a method of docs/PROTOCOL.md. Raises what `errors` lists."""
        timeout_s = self._options.timeout_s if self._options else None
        reply = self._link.request(method, list(params), timeout_s or DEADLINE_S)
        return reply.result()

    def close(self) -> None:
        """Closes the connection, also of clients made by `with_options`. May be called again."""
        self._link.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
