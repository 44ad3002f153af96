"""A `brain.call` read off its bytes, without decoding its arguments: a hot path. Pure.

    [0, id, "brain.call", [op, args, kwargs, options]]
                           `--- params ---'
    94 00 ce<id> aa"brain.call" 94 | op ++ args ++ kwargs | options
                                start                    end

Op and options are decoded and checked; args must be an array and kwargs a map, both whole and at
most NESTING_MAX levels deep. What is in them is the brain's business.

The library's own options have one encoding, of 47 bytes, which is recognised without decoding:

    82  a3"key" 92 c4 10 <client, 16 bytes> cf <number, u64>  a4"seen" cf <seen, u64>

Numbers and marks are compared as signed integers of 2, 4 and 8 bytes, which costs a compiled module
a load each.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from librt.strings import read_i16_be, read_i32_be, read_i64_be

from osupervisor.bridge.call_options import (
    OPTIONS_BYTES_MAX,
    UINT_MAX,
    CallKey,
    Durability,
    read_options,
)
from osupervisor.bridge.errors import RemoteProtocolError, shown
from osupervisor.bridge.frames import PORT_FRAME_BYTES_MAX
from osupervisor.bridge.packing import C_NESTING_MAX, DECODE_ERRORS, Unpacker, new_unpacker
from osupervisor.bridge.skip import IS_COMPILED, skip

if TYPE_CHECKING:
    from mypy_extensions import i64

BRAIN_CALL: Final = "brain.call"
OP_BYTES_MAX: Final = 128
NESTING_MAX: Final = 256
"""Levels of arrays and maps in args, and in kwargs. The brain's encoder stops at 511."""

_HEAD_SIZE: Final = 19
_TAIL_SIZE: Final = 47
_ENDS_SIZE: Final = _HEAD_SIZE + _TAIL_SIZE
_METHOD: Final = b"\xaabrain.call\x94"


def _signed(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


_REQUEST: Final = _signed(b"\x94\x00\xce")
_METHOD_BEGIN: Final["i64"] = _signed(_METHOD[:8])
_METHOD_END: Final = _signed(_METHOD[8:])
_KEY: Final["i64"] = _signed(b"\x82\xa3key\x92\xc4\x10")
_SEEN_BEGIN: Final = _signed(b"\xa4see")
_SEEN_END: Final = _signed(b"n\xcf")
"""The constant bytes of a call as the library packs it: those of the head and of the options."""
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
_ops: Final[dict[bytes, str]] = {}
"""Names that were called, as many as OPS_KEPT: decoding, and hashing anew, cost more than this."""
OPS_KEPT: Final = 1024

_idle: Final[list[Unpacker]] = []
"""Decoders between two calls, empty. Taken and given back whole, so that threads never share one;
one whose body was refused is not given back."""

_SEE: Final = "docs/PROTOCOL.md says what brain.call takes"


@dataclass(slots=True, init=False)
class Call:
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

    def __init__(
        self,
        id: int,
        op: str,
        params: bytes,
        key: CallKey | None,
        seen: int,
        session: str | None,
        timeout_s: float | None,
        durability: Durability | None,
    ) -> None:
        self.id = id
        self.op = op
        self.params = params
        self.key = key
        self.seen = seen
        self.session = session
        self.timeout_s = timeout_s
        self.durability = durability


def parse_call(body: bytes) -> Call | None:
    """The call in a frame's body. None: it is another message, which `messages.parse` reads.

    Raises RemoteProtocolError, with the call's `request_id`.
    """
    size = len(body)
    if not _LIBRARY_BYTES_MIN <= size <= _POOLED_BYTES_MAX or not _is_library(body, size):
        return _parse_any(body)
    tail = size - _TAIL_SIZE
    number: int = read_i64_be(body, tail + 25)
    seen: int = read_i64_be(body, tail + 39)
    params = body[_HEAD_SIZE:tail]
    op_size = params[0] - 0xA0
    if (
        not 0 < op_size < 0x20
        or not 0 <= seen <= number
        or (size > _ENDS_SIZE + NESTING_MAX and _may_be_deep(params))
        or not _are_whole(params, op_size + 1, tail - _HEAD_SIZE)
    ):
        return _parse_any(body)
    name = params[1 : op_size + 1]
    op = _ops.get(name)
    if op is None:
        try:
            op = name.decode()
        except UnicodeDecodeError:
            return _parse_any(body)
        if len(_ops) < OPS_KEPT:
            _ops[name] = op
    call_id: int = read_i32_be(body, 3)
    key = (body[tail + 8 : tail + 24], number)
    return Call(call_id & 0xFFFF_FFFF, op, params, key, seen, None, None, None)


def _is_library(body: bytes, size: int) -> bool:
    """Whether it begins and ends as the library packs a call."""
    tail = size - _TAIL_SIZE
    return (
        read_i32_be(body, 0) >> 8 == _REQUEST
        and read_i64_be(body, 7) == _METHOD_BEGIN
        and read_i32_be(body, 15) == _METHOD_END
        and read_i64_be(body, tail) == _KEY
        and body[tail + 24] == 0xCF
        and read_i32_be(body, tail + 33) == _SEEN_BEGIN
        and read_i16_be(body, tail + 37) == _SEEN_END
    )


def _are_whole(params: bytes, at: int, end: int) -> bool:
    """Whether from `at` to `end` there are an array and a map, and nothing else: what looks like
    the library's options may be the end of something longer."""
    kwargs_at = skip(params, at, end) if IS_COMPILED else _find_kwargs(params, at, end)
    if kwargs_at <= 0 or kwargs_at >= end:
        return False
    args, kwargs = params[at], params[kwargs_at]
    return (
        (0x90 <= args < 0xA0 or args == 0xDC or args == 0xDD)
        and (0x80 <= kwargs < 0x90 or kwargs == 0xDE or kwargs == 0xDF)
        and (not IS_COMPILED or skip(params, kwargs_at, end) == end)
    )


def _find_kwargs(params: bytes, at: int, end: int) -> int:
    """The offset behind the object at `at`, if there is one more and no other behind it. Else 0."""
    unpacker = _take(end)
    base = unpacker.tell() - at
    try:
        unpacker.feed(params[at:])
        unpacker.skip()
        kwargs_at = unpacker.tell() - base
        unpacker.skip()
    except DECODE_ERRORS:
        return 0
    if unpacker.tell() - base != end:
        return 0
    _idle.append(unpacker)
    return kwargs_at


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
        raise RemoteProtocolError(
            f"a call can't be read: {shown(cause, 200)}", _SEE, call_id
        ) from None
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
        return Call(call_id, op, params, *read_options(options))
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
