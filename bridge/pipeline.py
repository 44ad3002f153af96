"""Many calls in flight from one thread: `Client.pipeline`.

A call is encoded and gathered; when enough are, they are written together. When the window is full
the oldest is waited for, which reads whatever has come. So a call costs a share of a write, of a
read and of nothing else.
"""

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Final

from osupervisor.bridge.call_encoder import CallOptions
from osupervisor.bridge.errors import BridgeError, LocalProtocolError
from osupervisor.bridge.pending import WAITING, Reply
from osupervisor.bridge.wire import Wire

WINDOW: Final = 128
"""Calls in flight of a pipeline: enough to keep supervisor and brain busy at once."""
_GATHERED: Final = 32
"""Calls that are gathered before they are written: as many as the service answers in one piece."""
_now: Final = monotonic


class Pipeline:
    """Calls in flight together. For one thread; others make their own from the same client."""

    def __init__(self, link: Wire, options: CallOptions | None, window: int, raising: bool) -> None:
        self._link = link
        self._options = options
        self._window = window
        self._raising = raising
        self._replies: list[Reply] = []
        """In order of the calls; the first of them has no outcome, or nobody has looked."""
        self._error: BridgeError | None = None

    # Compiled, a positional parameter's name is taken from the keywords: so it is one of nobody's.
    def call(self, __op: Any, /, *args: Any, **kwargs: Any) -> Reply:
        """Asks, and returns at once, or when there is room. Ask the reply for its `result()`."""
        link = self._link
        replies = self._replies
        reply = Reply()
        with link.lock:  # What `Wire.call` does, without the cost of calling it.
            if link.closed:
                raise LocalProtocolError("the client is closed", "make a new Client")
            exchange = link.exchange
            exchange.enter(reply, __op, args, kwargs, _now(), self._options)
            reply.link = link
            if len(exchange.out) > _GATHERED:
                link.write()
        replies.append(reply)
        if len(replies) >= self._window:
            self._make_room()
        return reply

    def __getattr__(self, op: str) -> Callable[..., Reply]:
        if op.startswith("_"):
            raise AttributeError(f"ops with a leading underscore are reached by call: {op}")
        return partial(self.call, op)

    def flush(self) -> None:
        """Writes what was gathered. Nothing is written before the first wait connects."""
        self._link.flush()

    def drain(self) -> None:
        """Waits until every call has its outcome. Raises the first error, when `raising`."""
        while self._replies:
            self._make_room()
        error, self._error = self._error, None
        if error is not None and self._raising:
            raise error

    def _make_room(self) -> None:
        replies = self._replies
        self._link.wait(replies[0])
        done = 0
        for reply in replies:
            if reply.value is WAITING:
                break
            done += 1
            if reply.error is not None and self._error is None:
                self._error = reply.error
        del replies[:done]

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.drain()
