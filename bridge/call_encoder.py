"""Frames of `brain.call` as the library sends them. Pure; the clients' hot path.

    length u32 | 94 00 ce<number> aa"brain.call" 94 | op args kwargs | options

Under a library key the options have the one encoding that `call` recognises without decoding. A
frame is made once: it is sent again as it is, so that the service finds the same bytes under the
same key.
"""

import struct
from dataclasses import dataclass, field, replace
from typing import Any, Final

from osupervisor.bridge.call import OP_BYTES_MAX, parse_call
from osupervisor.bridge.call_options import Durability, read_options
from osupervisor.bridge.errors import LocalProtocolError, RemoteProtocolError
from osupervisor.bridge.frames import FRAME_BYTES_MAX, HEADER_SIZE
from osupervisor.bridge.identity import CLIENT_BYTES
from osupervisor.bridge.packing import new_packer, pack

_head = struct.Struct(">I3sI12s").pack
_head_wide = struct.Struct(">I3sQ12s").pack
_tail = struct.Struct(">25sQ6sQ").pack
_METHOD: Final = b"\xaabrain.call\x94"
_HEAD_SIZE: Final = 19
_NARROW_MAX: Final = 2**32 - 1
_CALL_BYTES_MAX: Final = FRAME_BYTES_MAX - 4
_OPS_CACHED_MAX: Final = 1024
_PACK_ERRORS: Final = (TypeError, ValueError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a caller may say about a call beside its arguments.

    Raises LocalProtocolError at a value that the service would refuse.
    """

    key: str | tuple[str | bytes, int] | None = None
    """The caller's own idempotency key. None: the library's, unless `keyless`."""
    keyless: bool = False
    """Executed once per arrival, so more than once when it is sent again: for queries."""
    session: str | None = None
    timeout_s: float | None = None
    durability: Durability | None = None
    packed: bytes = field(init=False, compare=False, repr=False)
    """Names and values of what is said, one behind the other, without a map's header."""
    count: int = field(init=False, compare=False, repr=False)
    """How many pairs those are."""

    def __post_init__(self) -> None:
        key = list(self.key) if isinstance(self.key, tuple) else self.key
        named: dict[object, object] = {
            "key": key,
            "session": self.session,
            "timeout_s": self.timeout_s,
            "durability": self.durability,
        }
        said = {name: value for name, value in named.items() if value is not None}
        try:
            read_options(said)
        except RemoteProtocolError as error:
            raise LocalProtocolError(error.message, error.hint) from None
        object.__setattr__(self, "packed", pack(said)[1:])
        object.__setattr__(self, "count", len(said))

    @property
    def own_key(self) -> bool:
        """Whether a call with these options does without the library's key."""
        return self.keyless or self.key is not None


def merge(options: CallOptions | None, **changes: Any) -> CallOptions:
    """The options with those changes that are not None. Raises LocalProtocolError."""
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(options or CallOptions(), **given)


def none_if_silent(options: CallOptions) -> CallOptions | None:
    """None where they say nothing: then a call takes the shortest way."""
    return options if options.count or options.keyless else None


class CallEncoder:
    """Makes the frames of one client. Not for several threads at once."""

    __slots__ = ("_client", "_key", "_ops", "_pack")

    def __init__(self, client: bytes) -> None:
        self._pack = new_packer().pack
        self._ops: dict[str, bytes] = {}
        """Packed names of ops that were called before."""
        self.rename(client)

    def rename(self, client: bytes) -> None:
        """From now on calls are of this client."""
        assert len(client) == CLIENT_BYTES, "the library's names have one length"
        self._client = client
        self._key = b"\x82\xa3key\x92\xc4\x10" + client + b"\xcf"

    def renamed(self, frame: bytes) -> bytes:
        """A frame of the library under another name, as one of this client. The number stays."""
        call = parse_call(frame[HEADER_SIZE:])
        assert call is not None and isinstance(call.key, tuple), "a call under a library key"
        name = call.key[0]
        assert isinstance(name, bytes) and len(name) == CLIENT_BYTES, "a name of the library"
        at = frame.rindex(name)  # The options stand last; in them it stands once.
        return frame[:at] + self._client + frame[at + CLIENT_BYTES :]

    def frame(
        self,
        op: str,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        number: int,
        seen: int,
        options: CallOptions | None = None,
    ) -> bytes:
        """The frame of a call. Raises LocalProtocolError."""
        pack = self._pack
        try:
            packed_op = self._ops[op]
        except (KeyError, TypeError):
            packed_op = self._pack_op(op)
        try:
            packed_args = pack(args) if args else b"\x90"
            packed_kwargs = pack(kwargs) if kwargs else b"\x80"
        except _PACK_ERRORS as error:
            raise _unpackable(op, error) from None
        if options is None:
            tail = _tail(self._key, number, b"\xa4seen\xcf", seen)
        else:
            tail = self._tail_with(number, seen, options)
        size = _HEAD_SIZE + len(packed_op) + len(packed_args) + len(packed_kwargs) + len(tail)
        if size > _CALL_BYTES_MAX:
            raise _too_long(op, size)
        if number > _NARROW_MAX:
            head = _head_wide(size + 4, b"\x94\x00\xcf", number, _METHOD)
        else:
            head = _head(size, b"\x94\x00\xce", number, _METHOD)
        return b"".join((head, packed_op, packed_args, packed_kwargs, tail))

    def _tail_with(self, number: int, seen: int, options: CallOptions) -> bytes:
        if options.own_key:
            return bytes((0x80 + options.count,)) + options.packed
        key = bytes((0x82 + options.count,)) + self._key[1:]
        return _tail(key, number, b"\xa4seen\xcf", seen) + options.packed

    def _pack_op(self, op: str) -> bytes:
        wanted = f"wanted a string of 1 to {OP_BYTES_MAX} bytes"
        try:
            size = len(op.encode())
        except (AttributeError, UnicodeEncodeError) as error:
            raise LocalProtocolError(f"found the op {op!r:.200}: {error}", wanted) from None
        if not 0 < size <= OP_BYTES_MAX:
            raise LocalProtocolError(f"found the op {op!r:.200}", wanted)
        packed = self._pack(op)
        if len(self._ops) < _OPS_CACHED_MAX:
            self._ops[op] = packed
        return packed


def _unpackable(op: object, error: Exception) -> LocalProtocolError:
    return LocalProtocolError(
        f"the arguments of {op!r:.200} can't be packed: {error}",
        "pass None, bool, int of 64 bits, float, str, bytes, list, dict",
    )


def _too_long(op: str, size: int) -> LocalProtocolError:
    return LocalProtocolError(
        f"a call of {op} has {size} bytes, a frame takes {FRAME_BYTES_MAX}",
        "send less at once, or store it elsewhere and send where it is",
    )
