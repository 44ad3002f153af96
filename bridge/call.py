"""A `brain.call` read off its bytes, without decoding its arguments: a hot path. Pure.

    [0, id, "brain.call", [op, args, kwargs, options]]
                           `--- params ---'
    94 00 ce<id> aa"brain.call" 94 | op ++ args ++ kwargs | options
                                start                    end

Op and options are decoded and checked; args must be an array and kwargs a map, both whole and at
most NESTING_MAX levels deep. What is in them is the brain's business.

The library's own options have one encoding, of 47 bytes, which is recognised without decoding:

    82  a3"key" 92 c4 10 <client, 16 bytes> cf <number, u64>  a4"seen" cf <seen, u64>
"""

import struct
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeGuard, cast

from osupervisor.bridge.errors import RemoteProtocolError
from osupervisor.bridge.frames import PORT_FRAME_BYTES_MAX
from osupervisor.bridge.packing import C_NESTING_MAX, DECODE_ERRORS, Unpacker, new_unpacker

BRAIN_CALL: Final = "brain.call"
ID_MAX: Final = 2**64 - 1
OP_BYTES_MAX: Final = 128
STRING_KEY_BYTES_MAX: Final = 128
CLIENT_BYTES_MAX: Final = 64
SESSION_BYTES_MAX: Final = 128
OPTIONS_BYTES_MAX: Final = 1024
"""All options at their longest take about 450 bytes."""
TIMEOUT_S_MAX: Final = 86_400
"""A day: what is longer is a mistake in the unit."""
NESTING_MAX: Final = 256
"""Levels of arrays and maps in args, and in kwargs. The brain's encoder stops at 511."""

Durability: TypeAlias = Literal["everysec", "always"]
CallKey: TypeAlias = tuple[str | bytes, int] | str
Options: TypeAlias = tuple[CallKey | None, int, str | None, float | None, Durability | None]

_HEAD_SIZE: Final = 19
_TAIL_SIZE: Final = 47
_ENDS_SIZE: Final = _HEAD_SIZE + _TAIL_SIZE
_head_at = struct.Struct(">3sI12s").unpack_from
_tail_at = struct.Struct(">8s16scQ6sQ").unpack_from
_METHOD: Final = b"\xaabrain.call\x94"
_LIBRARY: Final = (
    b"\x94\x00\xce",
    _METHOD,
    b"\x82\xa3key\x92\xc4\x10",
    b"\xcf",
    b"\xa4seen\xcf",
)
"""The constant bytes of a call as the library packs it: two of the head, three of the options."""
_LIBRARY_BYTES_MIN: Final = _ENDS_SIZE + 4

_STRINGS: Final = frozenset((*range(0xA1, 0xC0), 0xD9, 0xDA, 0xDB))
_ARRAYS: Final = frozenset((*range(0x90, 0xA0), 0xDC, 0xDD))
_MAPS: Final = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))
_NOT_SCALARS: Final = _ARRAYS | _MAPS | frozenset((*range(0xC4, 0xCA), *range(0xD4, 0xD9)))
"""First bytes of arrays, maps, bin and ext: none stands where kind, id or method should."""
_NOT_CONTAINERS: Final = bytes(b for b in range(256) if b not in _ARRAYS and b not in _MAPS)
_SCANNED_BYTES_MAX: Final = 4096
"""Up to here counting container headers costs less than following them (2.5 us)."""
_NEST: Final = b"\x91" * (C_NESTING_MAX - NESTING_MAX - 1) + b"\x93"
"""Array headers that leave the C decoder NESTING_MAX levels for the three objects of params."""

_POOLED_BYTES_MAX: Final = 65_536
"""Decoders that held longer bodies are not kept: their buffers never shrink."""
_idle: list[Unpacker] = []
"""Decoders between two calls, empty. Taken and given back whole, so that threads never share one;
one whose body was refused is not given back."""

_OPTIONS: Final = frozenset({"key", "seen", "session", "timeout_s", "durability"})
_NO_OPTIONS: Final[Options] = (None, 0, None, None, None)
_SEE: Final = "docs/PROTOCOL.md says what brain.call takes"


class Call(NamedTuple):
    """One `brain.call`, checked, its args and kwargs undecoded."""

    id: int
    op: str
    params: bytes
    """op ++ args ++ kwargs as they came."""
    key: CallKey | None
    """None: executed once per arrival."""
    seen: int
    """The client has every answer below this number. 0 where it says nothing."""
    session: str | None
    timeout_s: float | None
    durability: Durability | None


_new_call: Callable[[type[Call], tuple[object, ...]], Call] = cast(Any, tuple).__new__


def parse_call(body: bytes) -> Call | None:
    """The call in a frame's body. None: it is another message, which `messages.parse` reads.

    Raises RemoteProtocolError, with the call's `request_id`.
    """
    size = len(body)
    if not _LIBRARY_BYTES_MIN <= size <= _POOLED_BYTES_MAX:
        return _parse_any(body)
    magic, call_id, method = _head_at(body)
    key_at, client, mark, number, seen_at, seen = _tail_at(body, size - _TAIL_SIZE)
    params = body[_HEAD_SIZE : size - _TAIL_SIZE]
    first = params[0]
    if (
        (magic, method, key_at, mark, seen_at) != _LIBRARY
        or not 0xA0 < first < 0xC0
        or seen > number
        or (size > _ENDS_SIZE + NESTING_MAX and _may_be_deep(params))
    ):
        return _parse_any(body)
    try:
        unpacker = _idle.pop()
    except IndexError:
        unpacker = new_unpacker(PORT_FRAME_BYTES_MAX)
    try:
        base = unpacker.tell()
        unpacker.feed(params)
        op = unpacker.unpack()
        unpacker.skip()
        kwargs_at = unpacker.tell() - base
        unpacker.skip()
        # What looks like the library's options may be the end of something longer.
        whole = unpacker.tell() - base == size - _ENDS_SIZE
    except DECODE_ERRORS:
        return _parse_any(body)
    if not whole or params[first - 0x9F] not in _ARRAYS or params[kwargs_at] not in _MAPS:
        return _parse_any(body)
    _idle.append(unpacker)
    return _new_call(Call, (call_id, op, params, (client, number), seen, None, None, None))


def _parse_any(body: bytes) -> Call | None:
    """The call, in whatever encoding and with whatever options."""
    unpacker = new_unpacker(PORT_FRAME_BYTES_MAX)
    call_id: int | None = None
    try:
        unpacker.feed(body)
        call_id = _read_head(unpacker, body)
        if call_id is None:
            return None
        return _read_call(unpacker, body, call_id)
    except DECODE_ERRORS as cause:
        raise RemoteProtocolError(f"a call can't be read: {cause!r:.200}", _SEE, call_id) from None


def _read_head(unpacker: Unpacker, body: bytes) -> int | None:
    """The id, with the decoder left before the op. None: not a request for brain.call.

    Only scalars are decoded, so that another method's params are never built here.
    """
    if not body or body[0] not in _ARRAYS or unpacker.read_array_header() != 4:
        return None
    head: list[object] = []
    for _ in range(3):
        at = unpacker.tell()
        if at == len(body) or body[at] in _NOT_SCALARS:
            return None
        head.append(unpacker.unpack())
    kind, call_id, method = head
    if type(kind) is not int or kind != 0 or method != BRAIN_CALL:
        return None
    if not _is_uint(call_id):
        raise RemoteProtocolError(f"an id is a uint64, found {call_id!r:.100}", _SEE)
    at = unpacker.tell()
    if at == len(body) or body[at] not in _ARRAYS or unpacker.read_array_header() != 4:
        raise RemoteProtocolError(
            "params of brain.call must be [op, args, kwargs, options]", _SEE, call_id
        )
    return call_id


def _read_call(unpacker: Unpacker, body: bytes, call_id: int) -> Call:
    start = unpacker.tell()
    op = _read_op(unpacker, body, call_id)
    args_at = unpacker.tell()
    unpacker.skip()
    kwargs_at = unpacker.tell()
    unpacker.skip()
    end = unpacker.tell()
    if body[args_at] not in _ARRAYS or body[kwargs_at] not in _MAPS:
        raise RemoteProtocolError("args must be an array and kwargs a map", _SEE, call_id)
    params = body[start:end]
    if _may_be_deep(params) and _is_deep(params):
        raise RemoteProtocolError(
            f"args or kwargs are more than {NESTING_MAX} levels deep",
            "send a flatter value, or one packed into bytes",
            call_id,
        )
    if len(body) - end > OPTIONS_BYTES_MAX:
        raise RemoteProtocolError(
            f"options are at most {OPTIONS_BYTES_MAX} bytes, found {len(body) - end}", "", call_id
        )
    options = unpacker.unpack()
    if unpacker.tell() != len(body):
        raise RemoteProtocolError("there are bytes behind the call's message", _SEE, call_id)
    try:
        return Call(call_id, op, params, *read_options(options))
    except RemoteProtocolError as error:
        error.request_id = call_id
        raise


def _read_op(unpacker: Unpacker, body: bytes, call_id: int) -> str:
    at = unpacker.tell()
    if at < len(body) and body[at] in _STRINGS:
        op: str = unpacker.unpack()
        if 0 < len(op.encode()) <= OP_BYTES_MAX:
            return op
    raise RemoteProtocolError(f"an op is a string of 1 to {OP_BYTES_MAX} bytes", _SEE, call_id)


def _may_be_deep(params: bytes) -> bool:
    """Whether there are more container headers, or bytes that look like some, than levels."""
    if len(params) <= NESTING_MAX:
        return False
    if len(params) > _SCANNED_BYTES_MAX:
        return True
    return len(params.translate(None, _NOT_CONTAINERS)) > NESTING_MAX


def _is_deep(params: bytes) -> bool:
    unpacker = new_unpacker(PORT_FRAME_BYTES_MAX)
    unpacker.feed(_NEST)
    unpacker.feed(params)
    try:
        unpacker.skip()
    except DECODE_ERRORS:
        return True
    return False


def read_options(options: object) -> Options:
    """Key, seen, session, timeout and durability, checked. Raises RemoteProtocolError."""
    if type(options) is not dict:
        raise RemoteProtocolError(f"options must be a map, found {options!r:.100}", _SEE)
    given = cast("dict[object, object]", options)
    if not given:
        return _NO_OPTIONS
    unknown = given.keys() - _OPTIONS
    if unknown:
        raise RemoteProtocolError(
            f"unknown option {min(map(repr, unknown)):.100}",
            f"there are {', '.join(sorted(_OPTIONS))}",
        )
    key = _read_key(given["key"]) if "key" in given else None
    seen = _read_seen(given["seen"], key) if "seen" in given else 0
    session = _read_session(given["session"]) if "session" in given else None
    timeout_s = _read_timeout_s(given["timeout_s"]) if "timeout_s" in given else None
    durability = _read_durability(given["durability"]) if "durability" in given else None
    return key, seen, session, timeout_s, durability


def _read_key(value: object) -> CallKey:
    match value:
        case str() if 0 < len(value.encode()) <= STRING_KEY_BYTES_MAX:
            return value
        case [str() | bytes() as client, int() as number] if _is_uint(number):
            size = len(client.encode() if isinstance(client, str) else client)
            if 0 < size <= CLIENT_BYTES_MAX:
                return client, number
        case _:
            pass
    raise RemoteProtocolError(
        f"found the key {value!r:.200}",
        f"a key is a string of 1 to {STRING_KEY_BYTES_MAX} bytes, or [client, number] with a "
        f"client of 1 to {CLIENT_BYTES_MAX} bytes and a uint64",
    )


def _read_seen(value: object, key: CallKey | None) -> int:
    if isinstance(key, tuple) and _is_uint(value) and value <= key[1]:
        return value
    raise RemoteProtocolError(
        f"found seen {value!r:.100}",
        "it goes with a key [client, number] and is a uint64 that is at most that number",
    )


def _read_session(value: object) -> str:
    if isinstance(value, str) and 0 < len(value.encode()) <= SESSION_BYTES_MAX:
        return value
    raise RemoteProtocolError(
        f"found the session {value!r:.200}", f"it is a string of 1 to {SESSION_BYTES_MAX} bytes"
    )


def _read_timeout_s(value: object) -> float:
    if type(value) in (int, float) and 0 < cast(float, value) <= TIMEOUT_S_MAX:
        return float(cast(float, value))
    raise RemoteProtocolError(
        f"found timeout_s {value!r:.100}", f"it is a number over 0 and at most {TIMEOUT_S_MAX}"
    )


def _read_durability(value: object) -> Durability:
    if value in ("everysec", "always"):
        return value
    raise RemoteProtocolError(f"found durability {value!r:.100}", "it is everysec or always")


def _is_uint(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= ID_MAX
