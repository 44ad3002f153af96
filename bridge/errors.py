"""What can go wrong between processes: the service's answers, and faults of either peer.

    BridgeError
    ├── ServiceError             an answer of the service: code, message, hint, data
    │   ├── OpNotFound  InvalidArguments  OpFailed  Quarantined  ProtocolError    final
    │   ├── Timeout                                                               see below
    │   └── Overloaded  ReadOnly  Unavailable               nothing was done: try the same key again
    ├── RemoteProtocolError      the peer broke the protocol
    │   └── FrameTooLargeError   it announced a frame over the limit
    ├── LocalProtocolError       we were about to break it
    ├── AddressError             a socket's address can't be used
    └── NotRunningError          nobody listens there

The class of a `ServiceError` has the name of its code. A `Timeout` raised by the library itself,
because no answer came in time, has `data["where"] == "client"`; whether the call ran is then
open, and a repetition under the same key finds out.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, cast

OP_NOT_FOUND: Final = "OpNotFound"
INVALID_ARGUMENTS: Final = "InvalidArguments"
OP_FAILED: Final = "OpFailed"
TIMEOUT: Final = "Timeout"
OVERLOADED: Final = "Overloaded"
QUARANTINED: Final = "Quarantined"
READ_ONLY: Final = "ReadOnly"
UNAVAILABLE: Final = "Unavailable"
PROTOCOL_ERROR: Final = "ProtocolError"

CODES: Final = frozenset(
    {
        OP_NOT_FOUND,
        INVALID_ARGUMENTS,
        OP_FAILED,
        TIMEOUT,
        OVERLOADED,
        QUARANTINED,
        READ_ONLY,
        UNAVAILABLE,
        PROTOCOL_ERROR,
    }
)
RETRYABLE: Final = frozenset({OVERLOADED, READ_ONLY, UNAVAILABLE})
"""Answers that promise that this delivery did nothing. All others but `Timeout` are final."""

ErrorMap = dict[str, object]
"""`{"code": str, "message": str, "hint": str, "data": map}`."""


class BridgeError(Exception):
    """Base of all that this folder raises for the world's faults."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class ServiceError(BridgeError):
    """An answer that is not a result. `code` is of CODES, or one that a newer service knows."""

    code: str = ""
    default_hint: ClassVar[str] = ""

    def __init__(
        self, message: str, hint: str = "", data: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message, hint or self.default_hint)
        self.data: dict[str, object] = dict(data or {})
        self.args = (message, self.hint, self.data)

    def to_map(self) -> ErrorMap:
        return error_map(self.code, self.message, self.hint, self.data)


class OpNotFound(ServiceError):
    """The brain has no op or query of that name."""

    code = OP_NOT_FOUND
    default_hint = "kernel.api lists the ops and their arguments"


class InvalidArguments(ServiceError):
    """The arguments don't fit the op's annotations; nothing was executed."""

    code = INVALID_ARGUMENTS
    default_hint = "kernel.api gives the JSON schema of each op"


class OpFailed(ServiceError):
    """The op raised. Its changes were undone; `data` has `type`, `message` and `traceback`."""

    code = OP_FAILED


class Timeout(ServiceError, TimeoutError):
    """The call was not answered in its time. The hint says what is known of its execution."""

    code = TIMEOUT


class Overloaded(ServiceError):
    """The queue is full; the call was not taken."""

    code = OVERLOADED
    default_hint = "try again under the same key, later"


class Quarantined(ServiceError):
    """The call killed its brain three times; it stands among the dead letters."""

    code = QUARANTINED
    default_hint = "osupervisor deadletter show tells what happened"


class ReadOnly(ServiceError):
    """The disk takes no writes; queries are still served."""

    code = READ_ONLY
    default_hint = "make room on the disk; it heals by itself"


class Unavailable(ServiceError):
    """No brain can take the call now, or the service is stopping."""

    code = UNAVAILABLE
    default_hint = "try again under the same key, later"


class ProtocolError(ServiceError):
    """The service refused our message: it breaks a rule of docs/PROTOCOL.md."""

    code = PROTOCOL_ERROR


class RemoteProtocolError(BridgeError):
    """The peer sent what docs/PROTOCOL.md doesn't allow.

    `request_id` is the id of the request to blame, where its message could be read so far: then
    it is answered with `ProtocolError` and the connection may live on. None: close it.
    """

    def __init__(self, message: str, hint: str = "", request_id: int | None = None) -> None:
        super().__init__(message, hint)
        self.request_id = request_id
        self.args = (message, hint, request_id)

    def to_map(self) -> ErrorMap:
        return error_map(PROTOCOL_ERROR, self.message, self.hint)


class FrameTooLargeError(RemoteProtocolError):
    """A frame's header announced more than the limit; nothing of it was read or allocated.

    `frames` holds the whole frames that came before it in the same bytes.
    """

    def __init__(self, found_bytes: int, bytes_max: int, frames: tuple[bytes, ...] = ()) -> None:
        super().__init__(
            f"a frame of {found_bytes} bytes was announced, at most {bytes_max} are taken",
            "send less at once; if that length makes no sense, the peer speaks another protocol",
        )
        self.found_bytes = found_bytes
        self.bytes_max = bytes_max
        self.frames = frames
        self.args = (found_bytes, bytes_max, frames)


class LocalProtocolError(BridgeError):
    """We were asked to send what docs/PROTOCOL.md doesn't allow; nothing was sent."""


class AddressError(BridgeError):
    """A socket's address is malformed, too long, or in a folder that can't be used."""


class NotRunningError(BridgeError, ConnectionError):
    """Nobody listens at the address; what was asked has not been done."""


SERVICE_ERRORS: Final[Mapping[str, type[ServiceError]]] = {
    kind.code: kind
    for kind in (
        OpNotFound,
        InvalidArguments,
        OpFailed,
        Timeout,
        Overloaded,
        Quarantined,
        ReadOnly,
        Unavailable,
        ProtocolError,
    )
}


def error_map(
    code: str, message: str, hint: str = "", data: Mapping[str, object] | None = None
) -> ErrorMap:
    """The error as it stands in an answer."""
    return {"code": code, "message": message, "hint": hint, "data": dict(data or {})}


def shown(value: Any, size: int) -> str:
    """How a value that a peer sent begins, for a message: at most `size` characters.

    Python's `repr` goes less deep than the decoder.
    """
    try:
        return f"{value!r:.{size}}"
    except RecursionError:
        return f"a {type(value).__name__} of too many levels"[:size]


def from_map(value: object) -> ServiceError:
    """The exception for an answer's error. Never raises: what is missing is left empty."""
    fields = cast("dict[object, object]", value) if isinstance(value, dict) else {}
    code = fields.get("code")
    data = fields.get("data")
    kind = SERVICE_ERRORS.get(code, ServiceError) if isinstance(code, str) else ServiceError
    error = kind(
        _text(fields.get("message")) or f"the service answered {shown(value, 200)}",
        _text(fields.get("hint")),
        {str(key): item for key, item in cast("dict[object, object]", data).items()}
        if isinstance(data, dict)
        else None,
    )
    if kind is ServiceError:
        error.code = _text(code)
    return error


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
