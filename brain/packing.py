"""MessagePack for results and effects: what can't be carried is refused, and its place is named.

A value is packed by C code; only when that fails is it walked, to find the path. What was packed
and holds a container is read back, because a map key such as a tuple packs and then can't be read.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol

import msgpack  # type: ignore[import-untyped]

from osupervisor.brain.errors import Path, UnpackableError

NESTING_MAX = 500
"""So deep a value is looked through that could not be packed."""
_CARRIED: Final = b"\x91" * 8
"""What a value may stand in where it is read: an answer, the outcome of a retry. Array headers."""
LEVELS_MAX: Final = 1024 - len(_CARRIED)
"""Of arrays and maps in a value, so that a reader of 1,024 levels, as msgpack's is, can read it."""
INT_MIN, INT_MAX = -(2**63), 2**64 - 1
_SCALARS = (bool, int, float, str, bytes, type(None))

NO_EFFECTS: Final = b"\x90"
"""An empty array, in the place of a commit's effects."""

_msgpack: Any = msgpack
"""It has no type information: its names are typed here, once for this folder."""


def new_encode() -> Callable[[object], bytes]:
    """What packs as it is, without a check. For one thread, and not for the handler of a signal
    that may come while it packs: a subclass of dict runs its author's code there."""
    pack_any: Callable[[object], bytes] = _msgpack.Packer(autoreset=True).pack
    return pack_any


encode: Final[Callable[[object], bytes]] = new_encode()
decode: Final[Callable[[bytes | memoryview], Any]] = partial(_msgpack.unpackb, strict_map_key=False)
"""Unpacks one whole value; raises one of DECODE_ERRORS."""
OutOfData: Final[type[Exception]] = _msgpack.OutOfData
DECODE_ERRORS: Final[tuple[type[Exception], ...]] = (
    ValueError,
    TypeError,
    RecursionError,
    _msgpack.UnpackException,
)


class Decoder(Protocol):
    """msgpack's streaming decoder, as far as it is used here."""

    def feed(self, data: bytes, /) -> None: ...
    def unpack(self) -> Any: ...
    def skip(self) -> None: ...
    def read_array_header(self) -> int: ...
    def read_bytes(self, size: int, /) -> bytes: ...
    def tell(self) -> int: ...


def new_decoder(bytes_max: int) -> Decoder:
    """A streaming decoder that holds at most `bytes_max` undecoded bytes."""
    decoder: Decoder = _msgpack.Unpacker(None, strict_map_key=False, max_buffer_size=bytes_max)
    return decoder


def array_header(length: int) -> bytes:
    """The MessagePack header of an array of `length` members."""
    if length < 16:
        return bytes((0x90 | length,))
    if length < 65_536:
        return b"\xdc" + length.to_bytes(2, "big")
    return b"\xdd" + length.to_bytes(4, "big")


def pack(value: object, name: str) -> bytes:
    """`value` as MessagePack that any peer can read back.

    Raises UnpackableError with the path to the culprit, which begins with `name`.
    """
    try:
        packed = encode(value)
        if type(value) not in _SCALARS:  # each level takes a byte at least
            decode(packed if len(packed) <= LEVELS_MAX else _CARRIED + packed)
    except (TypeError, ValueError, OverflowError, UnicodeError, RecursionError) as error:
        raise _find_unpackable(value, name, error) from None
    return packed


def _find_unpackable(value: object, name: str, cause: Exception) -> UnpackableError:
    """The error that names the first place in `value` which can't be packed or read back."""
    found = _find(value, (name,), set())
    if found is not None:
        return found
    return UnpackableError((name,), f"{type(value).__name__}: {cause}", "use plain data instead")


def _find(value: Any, path: Path, above: set[int]) -> UnpackableError | None:
    if len(path) > NESTING_MAX or id(value) in above:
        reason = "contains itself" if id(value) in above else f"over {NESTING_MAX} levels deep"
        hint = f"a value is a tree of plain data, of at most {LEVELS_MAX} levels"
        return UnpackableError(path[:8], reason, hint)
    is_map = issubclass(type(value), Mapping)
    if is_map or issubclass(type(value), list | tuple):
        above.add(id(value))
        items: Any = value.items() if is_map else enumerate(value)
        for key, item in items:
            refused = _find_key(key, path) if is_map else None
            found = refused or _find(item, (*path, key), above)
            if found is not None:
                return found
        above.discard(id(value))
        return None
    return _find_scalar(value, path)


def _find_key(key: object, path: Path) -> UnpackableError | None:
    if isinstance(key, str | int | bytes):
        return None
    return UnpackableError(
        path, f"found the key {key!r} ({type(key).__name__})", "keys are str, int or bytes"
    )


def _find_scalar(value: object, path: Path) -> UnpackableError | None:
    if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
        return UnpackableError(path, f"found {value.bit_length()} bits", "integers have 64 bits")
    try:
        encode(value)
    except (TypeError, ValueError, OverflowError, UnicodeError) as error:
        found = f"found {type(value).__name__}" if isinstance(error, TypeError) else str(error)
        return UnpackableError(
            path, found, "wanted None, bool, int, float, str, bytes, list or dict: convert it"
        )
    return None
