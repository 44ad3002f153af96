"""A `brain.call` read off its bytes, without decoding its arguments: a hot path. Pure.

    [0, id, "brain.call", [op, args, kwargs, options]]
                           `--- params ---'
    94 00 ce<id> aa"brain.call" 94 | op ++ args ++ kwargs | options
                                start                    end

Op and options are decoded and checked; args must be an array and kwargs a map, both whole and at
most NESTING_MAX levels deep. What is in them is the brain's business.

The library's own options have one encoding, of 43 bytes, which is recognised without decoding:

    82  a3"key" 92 c4 0c <client, 12 bytes> cf <number, u64>  a4"seen" cf <seen, u64>
"""

import struct
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, NoReturn, TypeAlias, TypeGuard, cast

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
TIMEOUT_S_MAX: Final = 31_536_000
"""A year: what is longer is a mistake in the unit."""
NESTING_MAX: Final = 256
"""Levels of arrays and maps in args, and in kwargs. The brain's encoder stops at 511."""

Durability: TypeAlias = Literal["everysec", "always"]
CallKey: TypeAlias = tuple[str | bytes, int] | str
Options: TypeAlias = tuple[CallKey | None, int, str | None, float | None, Durability | None]

_HEAD: Final = struct.Struct(">3sI12s")
_HEAD_MAGIC: Final = b"\x94\x00\xce"
_HEAD_NAME: Final = b"\xaabrain.call\x94"
_TAIL: Final = struct.Struct(">8s12scQ6sQ")
_TAIL_KEY: Final = b"\x82\xa3key\x92\xc4\x0c"
_TAIL_SEEN: Final = b"\xa4seen\xcf"
_head_at = _HEAD.unpack_from
_tail_at = _TAIL.unpack_from

_CALL_BYTES_MIN: Final = 20
_FIXSTR_BYTES_MAX: Final = 32
_STRINGS: Final = frozenset((*range(0xA1, 0xC0), 0xD9, 0xDA, 0xDB))
_ARRAYS: Final = frozenset((*range(0x90, 0xA0), 0xDC, 0xDD))
_MAPS: Final = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))
_NOT_HEADS: Final = _ARRAYS | _MAPS | frozenset((*range(0xC4, 0xCA), *range(0xD4, 0xD9)))
"""First bytes of arrays, maps, bin and ext: none stands where kind, id or method should."""
_NOT_CONTAINERS: Final = bytes(b for b in range(256) if b not in _ARRAYS and b not in _MAPS)
_SCANNED_BYTES_MAX: Final = 4096
"""Up to here looking for container headers costs less than walking behind NESTING_MAX others."""
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
    if size < _CALL_BYTES_MIN:
        return None
    magic, call_id, name = _head_at(body)
    start = _HEAD.size
    try:
        if name != _HEAD_NAME or magic != _HEAD_MAGIC:
            head = _read_head(body, size)
            if head is None:
                return None
            call_id, start = head
        return _read_call(body, size, call_id, start)
    except DECODE_ERRORS as cause:
        raise RemoteProtocolError(f"a call can't be read: {cause!r:.200}", _SEE, call_id) from None


def _read_call(body: bytes, size: int, call_id: int, start: int) -> Call:
    unpacker = _take(size)
    unpacker.feed(body)
    unpacker.read_bytes(start)
    tell = unpacker.tell
    base = tell() - start
    if body[start] not in _STRINGS:
        _refuse_op(call_id)
    op = cast(str, unpacker.unpack())
    args_at = tell() - base
    unpacker.skip()
    kwargs_at = tell() - base
    unpacker.skip()
    end = tell() - base
    if not op or args_at - start > _FIXSTR_BYTES_MAX and len(op.encode()) > OP_BYTES_MAX:
        _refuse_op(call_id)
    if body[args_at] not in _ARRAYS or body[kwargs_at] not in _MAPS:
        raise RemoteProtocolError("args must be an array and kwargs a map", _SEE, call_id)
    params = body[start:end]
    if end - start > NESTING_MAX:
        _check_depth(params, call_id)
    if size - end == _TAIL.size:
        key_at, client, mark, number, seen_at, seen = _tail_at(body, end)
        if key_at == _TAIL_KEY and seen_at == _TAIL_SEEN and mark == b"\xcf" and seen <= number:
            unpacker.read_bytes(_TAIL.size)
            if size <= _POOLED_BYTES_MAX:
                _idle.append(unpacker)
            return _new_call(Call, (call_id, op, params, (client, number), seen, None, None, None))
    options = _read_options(unpacker, body[end:], call_id)
    if tell() - base != size:
        raise RemoteProtocolError("there are bytes behind the call's message", _SEE, call_id)
    if size <= _POOLED_BYTES_MAX:
        _idle.append(unpacker)
    return Call(call_id, op, params, *options)


def _take(size: int) -> Unpacker:
    if size <= _POOLED_BYTES_MAX:
        try:
            return _idle.pop()
        except IndexError:
            pass
    return new_unpacker(PORT_FRAME_BYTES_MAX)


def _read_head(body: bytes, size: int) -> tuple[int, int] | None:
    """Id and offset of the op, where the head is not in the library's own encoding.

    None: not a request for brain.call. Only scalars are decoded.
    """
    unpacker = new_unpacker(PORT_FRAME_BYTES_MAX)
    unpacker.feed(body)
    if body[0] not in _ARRAYS or unpacker.read_array_header() != 4:
        return None
    head: list[object] = []
    for _ in range(3):
        if body[unpacker.tell()] in _NOT_HEADS:
            return None
        head.append(unpacker.unpack())
    kind, call_id, method = head
    if kind != 0 or type(kind) is not int or method != BRAIN_CALL:
        return None
    if type(call_id) is not int or not 0 <= call_id <= ID_MAX:
        raise RemoteProtocolError(f"an id is a uint64, found {call_id!r:.100}", _SEE)
    at = unpacker.tell()
    if at == size or body[at] not in _ARRAYS or unpacker.read_array_header() != 4:
        raise RemoteProtocolError(
            "params of brain.call must be [op, args, kwargs, options]", _SEE, call_id
        )
    return call_id, unpacker.tell()


def _refuse_op(call_id: int) -> NoReturn:
    raise RemoteProtocolError(f"an op is a string of 1 to {OP_BYTES_MAX} bytes", _SEE, call_id)


def _check_depth(params: bytes, call_id: int) -> None:
    if (
        len(params) <= _SCANNED_BYTES_MAX
        and len(params.translate(None, _NOT_CONTAINERS)) <= NESTING_MAX
    ):
        return
    unpacker = new_unpacker(PORT_FRAME_BYTES_MAX)
    unpacker.feed(_NEST)
    unpacker.feed(params)
    try:
        unpacker.skip()
    except DECODE_ERRORS:
        raise RemoteProtocolError(
            f"args or kwargs are more than {NESTING_MAX} levels deep",
            "send a flatter value, or one packed into bytes",
            call_id,
        ) from None


def _read_options(unpacker: Unpacker, packed: bytes, call_id: int) -> Options:
    if packed == b"\x80":
        unpacker.skip()
        return _NO_OPTIONS
    if len(packed) > OPTIONS_BYTES_MAX:
        raise RemoteProtocolError(
            f"options have {len(packed)} bytes, at most {OPTIONS_BYTES_MAX} are taken", "", call_id
        )
    options = unpacker.unpack()
    if type(options) is not dict:
        raise RemoteProtocolError(f"options must be a map, found {options!r:.100}", _SEE, call_id)
    try:
        return read_options(cast("dict[object, object]", options))
    except RemoteProtocolError as error:
        error.request_id = call_id
        raise


def read_options(options: dict[object, object]) -> Options:
    """Key, seen, session, timeout and durability, checked. Raises RemoteProtocolError."""
    unknown = options.keys() - _OPTIONS
    if unknown:
        raise RemoteProtocolError(
            f"unknown option {min(map(repr, unknown)):.100}",
            f"there are {', '.join(sorted(_OPTIONS))}",
        )
    key = _read_key(options["key"]) if "key" in options else None
    seen = _read_seen(options["seen"], key) if "seen" in options else 0
    session = _read_session(options["session"]) if "session" in options else None
    timeout_s = _read_timeout_s(options["timeout_s"]) if "timeout_s" in options else None
    durability = _read_durability(options["durability"]) if "durability" in options else None
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
