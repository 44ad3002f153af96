"""One request of a client, from its first sending to its outcome. A value with room for both."""

from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from osupervisor.bridge.errors import BridgeError

WAITING: Final = object()
"""The value of what has no outcome yet."""


@dataclass(slots=True)
class Trouble:
    """What was not as usual with a request so far. Most have none."""

    once: bool = False
    """It must not be sent a second time."""
    broken: bool = False
    """It was sent on a connection that broke before the answer: it may have been done."""
    refusals: int = 0
    """How often the service couldn't take it."""
    own_key: bool = False
    """Its key is the caller's, or none: the library can't give it another."""
    renamed: bool = False
    """It goes under another name than the one it was first sent with."""


class Pending:
    """A request in flight. `value` is set, or `fail` called: once, and not both."""

    __slots__ = ("deadline_s", "error", "frame", "number", "trouble", "value", "waiter")

    def __init__(self) -> None:
        self.number = 0
        """Its id on the wire and, of a call, its key's number."""
        self.frame = b""
        """Its bytes, to be sent again as they are. Empty once there is an outcome."""
        self.deadline_s = 0.0
        """Monotonic seconds. Until then it is sent again where that helps."""
        self.value: Any = WAITING
        self.error: BridgeError | None = None
        self.trouble: Trouble | None = None
        self.waiter: Any = None
        """Whatever the shell wakes when the outcome is there. None: it looks by itself."""

    @property
    def done(self) -> bool:
        """Whether there is an outcome."""
        return self.value is not WAITING

    def troubled(self) -> Trouble:
        """Its troubles, to be added to."""
        if self.trouble is None:
            self.trouble = Trouble()
        return self.trouble

    def fail(self, error: BridgeError) -> None:
        """The outcome is an error."""
        self.error = error
        self.value = None
        self.frame = b""

    def outcome(self) -> Any:
        """The result. Raises the error; only when `done`."""
        assert self.done, "asked for the outcome of a request before it was there"
        if self.error is not None:
            raise self.error
        return self.value


class Waiting(Protocol):
    """What a thread waits at."""

    def wait(self, reply: "Reply", /) -> None: ...


class AsyncWaiting(Protocol):
    """What a task waits at."""

    def wait(self, reply: "AsyncReply", /) -> Coroutine[Any, Any, None]: ...


class Reply(Pending):
    """What will come of one request."""

    __slots__ = ("link",)

    link: Waiting

    def result(self) -> Any:
        """Waits for the outcome: the result. Raises the error that came instead."""
        if not self.done:
            self.link.wait(self)
        return self.outcome()


class AsyncReply(Pending):
    """What will come of one request. `await` it for the result, or the error that came instead."""

    __slots__ = ("link",)

    link: AsyncWaiting

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.done:
            yield from self.link.wait(self).__await__()
        return self.outcome()
