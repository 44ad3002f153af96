"""MessagePack as this folder uses it: msgpack's C coder behind precise types.

msgpack ships no type information, so that its names are typed here once. Values are what a
decoder can return: nil, bool, int, float, str, bytes, list, dict. Every limit on what is
decoded is the length of the buffer: nothing is allocated for a length that the bytes at hand
can't hold. Map keys are any scalar, as a brain's state may have integers there.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgpack  # type: ignore[import-untyped]

C_NESTING_MAX: Final = 1024
"""Levels of arrays and maps that msgpack's C decoder follows before it raises StackError."""


class Unpacker(Protocol):
    """The streaming decoder, as far as it is used here."""

    def feed(self, data: bytes, /) -> None: ...
    def unpack(self) -> Any: ...
    def skip(self) -> None: ...
    def tell(self) -> int: ...
    def read_array_header(self) -> int: ...
    def read_bytes(self, size: int, /) -> bytes: ...


class Packer(Protocol):
    """The reusable encoder, as far as it is used here. One per thread."""

    def pack(self, value: object, /) -> bytes: ...


_msgpack: Any = msgpack

DECODE_ERRORS: Final[tuple[type[Exception], ...]] = (
    ValueError,
    TypeError,
    _msgpack.UnpackException,
)
"""All that decoding bytes can raise: bad format, depth, UTF-8, an unhashable map key, extra or
missing bytes."""

pack: Callable[[object], bytes] = _msgpack.packb


def unpack(data: bytes | memoryview) -> Any:
    """The one value in `data`, map keys of any scalar type. Raises one of DECODE_ERRORS."""
    return _msgpack.unpackb(data, strict_map_key=False)


def new_packer() -> Packer:
    """An encoder with a small buffer of its own; it grows to the largest value packed."""
    packer: Packer = _msgpack.Packer(buf_size=4096)
    return packer


def new_unpacker(bytes_max: int, read_size: int = 4096) -> Unpacker:
    """A streaming decoder that holds at most `bytes_max` undecoded bytes."""
    unpacker: Unpacker = _msgpack.Unpacker(
        None, read_size=min(read_size, bytes_max), max_buffer_size=bytes_max, strict_map_key=False
    )
    return unpacker
