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
from typing import Any, Final, NamedTuple, cast

from osupervisor.bridge.call_options import (
    OPTIONS_BYTES_MAX,
    UINT_MAX,
    CallKey,
    Durability,
    read_options,
)
from osupervisor.bridge.errors import RemoteProtocolError
from osupervisor.bridge.frames import PORT_FRAME_BYTES_MAX
from osupervisor.bridge.packing import C_NESTING_MAX, DECODE_ERRORS, Unpacker, new_unpacker

BRAIN_CALL: Final = "brain.call"
OP_BYTES_MAX: Final = 128
NESTING_MAX: Final = 256
"""Levels of arrays and maps in args, and in kwargs. The brain's encoder stops at 511."""

_HEAD_SIZE: Final = 19
_TAIL_SIZE: Final = 47
_ENDS_SIZE: Final = _HEAD_SIZE + _TAIL_SIZE
_head_at: Final = struct.Struct(">3sI12s").unpack_from
_tail_at: Final = struct.Struct(">8s16scQ6sQ").unpack_from
_METHOD: Final = b"\xaabrain.call\x94"
_LIBRARY: Final = (
    b"\x94\x00\xce",
    _METHOD,
    b"\x82\xa3key\x92\xc4\x10",
    b"\xcf",
    b"\xa4seen\xcf",
)
"""The constant bytes of a call as the library packs it: two of the head, three of the options."""
_CALL_BYTES_MIN: Final = 20
_ID_ENDS: Final = {0xCC: 4, 0xCD: 5, 0xCE: 7, 0xCF: 11}
"""Where an id ends that begins with that byte."""
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
    unpacker = _take(len(body))
    base = unpacker.tell()
    call_id: int | None = None
    try:
        unpacker.feed(body)
        head = _find_head(body)
        if head is not None:
            call_id, start = head
            unpacker.read_bytes(start)
        else:
            call_id = _read_head(unpacker, body, base)
            if call_id is None:
                return None
        call = _read_call(unpacker, body, base, call_id)
    except DECODE_ERRORS as cause:
        raise RemoteProtocolError(f"a call can't be read: {cause!r:.200}", _SEE, call_id) from None
    if len(body) <= _POOLED_BYTES_MAX:
        _idle.append(unpacker)
    return call


def _take(size: int) -> Unpacker:
    """A decoder without a byte in it."""
    if size <= _POOLED_BYTES_MAX:
        try:
            return _idle.pop()
        except IndexError:
            pass
    return new_unpacker(PORT_FRAME_BYTES_MAX)


def _find_head(body: bytes) -> tuple[int, int] | None:
    """Id and offset of the op where all before is packed in its shortest form. Else None."""
    if body[:2] != b"\x94\x00" or len(body) < _CALL_BYTES_MIN:
        return None
    mark = body[2]
    at = 3 if mark < 0x80 else _ID_ENDS.get(mark, 0)
    if body[at : at + len(_METHOD)] != _METHOD:
        return None
    return mark if at == 3 else int.from_bytes(body[3:at], "big"), at + len(_METHOD)


def _read_head(unpacker: Unpacker, body: bytes, base: int) -> int | None:
    """The id, with the decoder left before the op. None: not a request for brain.call.

    Only scalars are decoded, so that another method's params are never built here.
    """
    if not body or body[0] not in _ARRAYS or unpacker.read_array_header() != 4:
        return None
    head: list[object] = []
    for _ in range(3):
        at = unpacker.tell() - base
        if at == len(body) or body[at] in _NOT_SCALARS:
            return None
        head.append(unpacker.unpack())
    kind, call_id, method = head
    if type(kind) is not int or kind != 0 or method != BRAIN_CALL:
        return None
    if type(call_id) is not int or not 0 <= call_id <= UINT_MAX:
        raise RemoteProtocolError(f"an id is a uint64, found {call_id!r:.100}", _SEE)
    at = unpacker.tell() - base
    if at == len(body) or body[at] not in _ARRAYS or unpacker.read_array_header() != 4:
        raise RemoteProtocolError(
            "params of brain.call must be [op, args, kwargs, options]", _SEE, call_id
        )
    return call_id


def _read_call(unpacker: Unpacker, body: bytes, base: int, call_id: int) -> Call:
    tell = unpacker.tell
    start = tell() - base
    op = unpacker.unpack() if start < len(body) and body[start] in _STRINGS else ""
    if not 0 < len(op.encode()) <= OP_BYTES_MAX:
        raise RemoteProtocolError(f"an op is a string of 1 to {OP_BYTES_MAX} bytes", _SEE, call_id)
    args_at = tell() - base
    unpacker.skip()
    kwargs_at = tell() - base
    unpacker.skip()
    end = tell() - base
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
    if tell() - base != len(body):
        raise RemoteProtocolError("there are bytes behind the call's message", _SEE, call_id)
    try:
        return _new_call(Call, (call_id, op, params, *read_options(options)))
    except RemoteProtocolError as error:
        error.request_id = call_id
        raise


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
