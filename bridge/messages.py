"""MessagePack-RPC messages: encoders give whole frames, decoders take bodies. Pure.

    request       [0, id, method, params]     id: any uint64, the sender's choice
    response      [1, id, error, result]      one of error and result is nil
    notification  [2, method, params]         params: an array

`parse` decodes a whole message. `parse_call` is the hot path of the supervisor: of a
`brain.call`, `[0, id, "brain.call", [op, args, kwargs, options]]`, it decodes op and options, and
finds where the bytes of op, args and kwargs lie without decoding args and kwargs. Those bytes are
the *params* of the call: they go into the request, the log and the brain as they came.

    params    op ++ args ++ kwargs, as the client packed them
    request   [op, args, kwargs, t_us, seed]: 0x95 ++ params ++ 0xcf t_us ++ 0xcf seed
    outcome   error ++ result, the last two members of a response: nil ++ result or error ++ nil
"""

import struct
from typing import Final, NamedTuple, TypeAlias, cast

from librt.strings import BytesWriter, write_i32_be

from osupervisor.bridge.call import Call, parse_call
from osupervisor.bridge.call_options import UINT_MAX
from osupervisor.bridge.errors import ErrorMap, RemoteProtocolError, shown
from osupervisor.bridge.frames import FRAME_BYTES_MAX, frame
from osupervisor.bridge.packing import DECODE_ERRORS, pack, unpack

__all__ = [
    "NOTIFICATION",
    "REQUEST",
    "RESPONSE",
    "Call",
    "Message",
    "Notification",
    "Request",
    "Response",
    "answer",
    "failure",
    "notification",
    "outcome_of_error",
    "outcome_of_result",
    "parse",
    "parse_call",
    "read_outcome",
    "request",
    "response",
]

REQUEST: Final = 0
RESPONSE: Final = 1
NOTIFICATION: Final = 2

METHOD_BYTES_MAX: Final = 128

_NIL: Final = b"\xc0"
_SEE: Final = "docs/PROTOCOL.md says what a message looks like"

_answer_head_wide: Final = struct.Struct(">IBBBQ").pack


# Annotations of the tuples stand in quotes: mypyc 2.4 finds no `object` where it evaluates them.


class Request(NamedTuple):
    """A request, decoded."""

    id: int
    method: str
    params: "list[object]"


class Response(NamedTuple):
    """A response, decoded. `error` None: `result` is the answer."""

    id: int
    error: "object"
    result: "object"


class Notification(NamedTuple):
    """A notification, decoded."""

    method: str
    params: "list[object]"


Message: TypeAlias = Request | Response | Notification


def request(
    request_id: int,
    method: str,
    params: list[object],
    frame_bytes_max: int = FRAME_BYTES_MAX,
) -> bytes:
    """The frame of a request. Raises LocalProtocolError when it is too long."""
    return frame(pack([REQUEST, request_id, method, params]), frame_bytes_max)


def response(request_id: int, result: object, frame_bytes_max: int = FRAME_BYTES_MAX) -> bytes:
    """The frame of a response with a result. Raises LocalProtocolError when it is too long."""
    return frame(pack([RESPONSE, request_id, None, result]), frame_bytes_max)


def failure(request_id: int, error: ErrorMap) -> bytes:
    """The frame of a response with an error."""
    return frame(pack([RESPONSE, request_id, error, None]))


def notification(
    method: str, params: list[object], frame_bytes_max: int = FRAME_BYTES_MAX
) -> bytes:
    """The frame of a notification. Raises LocalProtocolError when it is too long."""
    return frame(pack([NOTIFICATION, method, params]), frame_bytes_max)


def answer(request_id: int, outcome: bytes) -> bytes:
    """The frame of the response whose error and result are the bytes of `outcome`."""
    writer = BytesWriter()
    write_answer(writer, request_id, outcome)
    return writer.getvalue()


def write_answer(writer: BytesWriter, request_id: int, outcome: bytes) -> None:
    """Write the frame of the response whose error and result are the bytes of `outcome`."""
    if request_id <= 0xFFFF_FFFF:
        write_i32_be(writer, len(outcome) + 7)
        writer.write(b"\x94\x01\xce")
        write_i32_be(writer, request_id if request_id < 0x8000_0000 else request_id - 0x1_0000_0000)
    else:
        writer.write(_answer_head_wide(len(outcome) + 11, 0x94, RESPONSE, 0xCF, request_id))
    writer.write(outcome)


def outcome_of_result(result: object) -> bytes:
    """The outcome of a success."""
    return _NIL + pack(result)


def outcome_of_error(error: ErrorMap) -> bytes:
    """The outcome of a failure."""
    return pack(error) + _NIL


def read_outcome(outcome: bytes) -> tuple[object, object]:
    """Error and result of an outcome; error None: the result counts.

    Raises RemoteProtocolError when it is not exactly two values.
    """
    try:
        error, result = unpack(b"\x92" + outcome)
    except DECODE_ERRORS as cause:
        raise RemoteProtocolError(f"an outcome can't be read: {shown(cause, 200)}", _SEE) from None
    return error, result


def parse(body: bytes) -> Message:
    """The message in a frame's body, decoded whole.

    Raises RemoteProtocolError; `request_id` is set as soon as the id could be read.
    """
    try:
        value = unpack(body)
    except DECODE_ERRORS as cause:
        raise RemoteProtocolError(f"a body is not MessagePack: {shown(cause, 200)}", _SEE) from None
    message = cast("list[object]", value) if type(value) is list else []
    kind = message[0] if message else None
    if type(kind) is int and kind == NOTIFICATION and len(message) == 3:
        return Notification(*_method(message[1], message[2], None))
    if type(kind) is not int or kind not in (REQUEST, RESPONSE) or len(message) != 4:
        raise RemoteProtocolError(
            f"a message is none of request, response and notification: {shown(value, 100)}", _SEE
        )
    _, request_id, third, fourth = message
    if type(request_id) is not int or not 0 <= request_id <= UINT_MAX:
        raise RemoteProtocolError(f"an id is a uint64, found {shown(request_id, 100)}", _SEE)
    if kind == RESPONSE:
        return Response(request_id, third, fourth)
    return Request(request_id, *_method(third, fourth, request_id))


def _method(method: object, params: object, request_id: int | None) -> tuple[str, list[object]]:
    if type(method) is not str or not 0 < len(method.encode()) <= METHOD_BYTES_MAX:
        raise RemoteProtocolError(
            f"a method is a string of 1 to {METHOD_BYTES_MAX} bytes, found {shown(method, 100)}",
            _SEE,
            request_id,
        )
    if type(params) is not list:
        raise RemoteProtocolError(
            f"params of {method} must be an array, found {type(params).__name__}",
            _SEE,
            request_id,
        )
    return method, cast("list[object]", params)
