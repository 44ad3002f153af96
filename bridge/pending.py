"""One request of a client, from its first sending to its outcome. A value with room for both."""

from typing import Any, Final

from osupervisor.bridge.errors import BridgeError

WAITING: Final = object()
"""The value of what has no outcome yet."""


class Pending:
    """A request in flight. `value` is set, or `fail` called: once, and not both."""

    __slots__ = ("deadline_s", "error", "frame", "number", "value", "waiter")

    def __init__(self, number: int, frame: bytes, deadline_s: float) -> None:
        self.number = number
        """Its id on the wire and, of a call, its key's number."""
        self.frame = frame
        """Its bytes, to be sent again as they are. Empty once it is answered."""
        self.deadline_s = deadline_s
        """Monotonic seconds. Until then it is sent again where that helps."""
        self.value: Any = WAITING
        self.error: BridgeError | None = None
        self.waiter: Any = None
        """Whatever the shell wakes when the outcome is there. None: it looks by itself."""

    @property
    def done(self) -> bool:
        """Whether there is an outcome."""
        return self.value is not WAITING

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
