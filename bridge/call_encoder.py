"""Frames of `brain.call`, and of other requests, as the library sends them. Pure; the clients' hot
path.

    length u32 | 94 00 ce<number> aa"brain.call" 94 | op args kwargs | options

Under a library key the options have the one encoding that `call` recognises without decoding. A
frame is made once: it is sent again as it is, so that the service finds the same bytes under the
same key.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from osupervisor.bridge.call import BRAIN_CALL, OP_BYTES_MAX
from osupervisor.bridge.call_options import read_options
from osupervisor.bridge.errors import LocalProtocolError, RemoteProtocolError
from osupervisor.bridge.frames import FRAME_BYTES_MAX, HEADER_SIZE
from osupervisor.bridge.identity import CLIENT_BYTES
from osupervisor.bridge.messages import request
from osupervisor.bridge.packing import DECODE_ERRORS, new_packer, pack, unpack
from osupervisor.bridge.session import CONTROL_BYTES_MAX

_METHOD: Final = b"\xaabrain.call\x94"
_KEY: Final = b"\x82\xa3key\x92\xc4\x10"
_SEEN: Final = b"\xa4seen\xcf"
_KEYED_SIZE: Final = 47
"""The options of a call under a library key that have nothing else."""
_NARROW_MAX: Final = 2**32 - 1
_CALL_BYTES_MAX: Final = FRAME_BYTES_MAX - 4
_BYTES: Final = [bytes((byte,)) for byte in range(256)]
_LENGTHS_COUNT: Final = 1024
_LENGTHS: Final = [size.to_bytes(HEADER_SIZE, "big") for size in range(_LENGTHS_COUNT)]
"""Those of most calls: looking one up costs a tenth of packing it."""
_OPS_CACHED_MAX: Final = 1024
_TEXT: Final = "keys and sessions are text that can be encoded"
_PACK_ERRORS: Final = (TypeError, ValueError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a caller may say about a call beside its arguments.

    Raises LocalProtocolError at a value that the service would refuse; that is why what is checked
    here can be anything, also where it is compiled.
    """

    key: Any = None
    """The caller's own idempotency key. None: the library's, unless `keyless`."""
    keyless: bool = False
    """Executed once per arrival, so more than once when it is sent again: for queries."""
    session: Any = None
    timeout_s: Any = None
    durability: Any = None
    packed: bytes = field(init=False, compare=False, repr=False)
    """Names and values of what is said, one behind the other, without a map's header."""
    count: int = field(init=False, compare=False, repr=False)
    """How many pairs those are."""

    def __post_init__(self) -> None:
        key: object = self.key
        if isinstance(key, tuple):
            key = list(cast("tuple[object, ...]", key))
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
        except UnicodeEncodeError as error:
            raise LocalProtocolError(f"found {error.object!r:.200}: {error}", _TEXT) from None
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


def request_frame(request_id: int, method: str, params: list[object]) -> bytes:
    """The frame of a request of any method. Raises LocalProtocolError, also at what the service
    would close the connection for, and whatever else is in flight on it."""
    try:
        frame = request(request_id, method, params)
    except _PACK_ERRORS as error:
        raise _unpackable("params", method, error) from None
    size = len(frame) - HEADER_SIZE
    if size > CONTROL_BYTES_MAX and method != BRAIN_CALL:
        raise LocalProtocolError(
            f"a request of {method} has {size} bytes",
            f"all but {BRAIN_CALL} have at most {CONTROL_BYTES_MAX}",
        )
    try:
        if method != BRAIN_CALL:  # of a call the service decodes no arguments
            unpack(frame[HEADER_SIZE:])
    except DECODE_ERRORS as error:  # a key that is an array
        raise _unpackable("params", method, error) from None
    return frame


class CallEncoder:
    """Makes the frames of one client. Not for several threads at once."""

    __slots__ = (
        "_client",
        "_high",
        "_id_begins",
        "_key_begins",
        "_ops",
        "_pack",
        "_seen",
        "_seen_packed",
        "_widening",
    )

    def __init__(self, client: bytes) -> None:
        self._pack = new_packer().pack
        self._ops: dict[str, bytes] = {}
        """Method and packed name of ops that were called before."""
        self._seen = -1
        self._seen_packed = b""
        self.rename(client)

    def rename(self, client: bytes) -> None:
        """From now on calls are of this client."""
        assert len(client) == CLIENT_BYTES, "the library's names have one length"
        self._client = client
        self._count_on(0)

    def _count_on(self, number: int) -> None:
        """Packs what 256 calls with numbers like this one have in common: all but its last byte."""
        self._high = number >> 8
        high = self._high.to_bytes(7, "big")
        self._key_begins = _KEY + self._client + b"\xcf" + high
        wide = number > _NARROW_MAX
        self._id_begins = b"\x94\x00\xcf" + high if wide else b"\x94\x00\xce" + high[4:]
        self._widening = 4 if wide else 0

    def renamed(self, frame: bytes, number: int) -> bytes:
        """The library's frame of call `number` under another name, as one of this client.

        The call may be one that the service will refuse: it is not read.
        """
        # The options stand last; no text that may follow in them holds these bytes.
        at = frame.rindex(b"\xcf" + number.to_bytes(8, "big") + _SEEN) - CLIENT_BYTES
        return frame[:at] + self._client + frame[at + CLIENT_BYTES :]

    def frame(
        self,
        op: Any,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        number: int,
        seen: int,
        options: CallOptions | None = None,
    ) -> bytes:
        """The frame of a call. Raises LocalProtocolError."""
        pack = self._pack
        try:
            method = self._ops[op]
        except (KeyError, TypeError):
            method = self._pack_op(op)
        try:
            packed_args = pack(args) if args else b"\x90"
            packed_kwargs = pack(kwargs) if kwargs else b"\x80"
        except _PACK_ERRORS as error:
            raise _unpackable("arguments", op, error) from None
        if number >> 8 != self._high:
            self._count_on(number)
        if seen != self._seen:
            self._seen = seen
            self._seen_packed = _SEEN + seen.to_bytes(8, "big")
        low = _BYTES[number & 0xFF]
        begins = self._id_begins
        size = len(begins) + len(method) + len(packed_args) + len(packed_kwargs)
        if options is None:
            size += 1 + _KEYED_SIZE
            length = _LENGTHS[size] if size < _LENGTHS_COUNT else self._length(op, size)
            return b"".join(
                (
                    length,
                    begins,
                    low,
                    method,
                    packed_args,
                    packed_kwargs,
                    self._key_begins,
                    low,
                    self._seen_packed,
                )
            )
        packed_options = self._options(low, options)
        length = self._length(op, size + 1 + len(packed_options))
        return b"".join((length, begins, low, method, packed_args, packed_kwargs, packed_options))

    def _length(self, op: Any, size: int) -> bytes:
        if size - self._widening > _CALL_BYTES_MAX:
            raise _too_long(op, size)
        return size.to_bytes(HEADER_SIZE, "big")

    def _options(self, low: bytes, options: CallOptions) -> bytes:
        if options.own_key:
            return bytes((0x80 + options.count,)) + options.packed
        key = bytes((0x82 + options.count,)) + self._key_begins[1:] + low
        return key + self._seen_packed + options.packed

    def _pack_op(self, op: Any) -> bytes:
        wanted = f"wanted a string of 1 to {OP_BYTES_MAX} bytes"
        try:
            size = len(op.encode())
        except (AttributeError, UnicodeEncodeError) as error:
            raise LocalProtocolError(f"found the op {op!r:.200}: {error}", wanted) from None
        if not 0 < size <= OP_BYTES_MAX:
            raise LocalProtocolError(f"found the op {op!r:.200}", wanted)
        method = _METHOD + self._pack(op)
        if len(self._ops) < _OPS_CACHED_MAX:
            self._ops[op] = method
        return method


def _unpackable(what: str, of: object, error: Exception) -> LocalProtocolError:
    return LocalProtocolError(
        f"the {what} of {of!r:.200} can't be packed: {error}",
        "pass None, bool, int of 64 bits, float, str, bytes, list, dict",
    )


def _too_long(op: object, size: int) -> LocalProtocolError:
    return LocalProtocolError(
        f"a call of {op} has {size} bytes, a frame takes {FRAME_BYTES_MAX}",
        "send less at once, or store it elsewhere and send where it is",
    )
