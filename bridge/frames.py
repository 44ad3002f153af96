"""Frames: a stream of bytes cut into bodies. Pure.

        byte  0                4
              +----------------+-----------------------+
              | length, u32 BE | body: `length` bytes  |
              +----------------+-----------------------+

This is what an Erlang port opened with `{packet, 4}` speaks. A length over the limit is refused
when its four bytes are there: nothing is allocated for it, and the stream can't be read on. A
stream that ends inside a frame has lost that frame and no other.
"""

import struct
from typing import Final

from librt.strings import read_i32_be

from osupervisor.bridge.errors import FrameTooLargeError, LocalProtocolError

FRAME_BYTES_MAX: Final = 16 * 2**20
"""Longest body between a client and the service."""
PORT_FRAME_BYTES_MAX: Final = 65 * 2**20
"""Longest body between supervisor and brain: a record of 64 MiB, which a control record may have,
and what stands around it."""
HEADER_SIZE: Final = 4

_header: Final = struct.Struct(">I").pack


def frame(body: bytes, frame_bytes_max: int = FRAME_BYTES_MAX) -> bytes:
    """`body` behind its length. Raises LocalProtocolError over the limit."""
    size = len(body)
    if size > frame_bytes_max:
        raise LocalProtocolError(
            f"a message has {size} bytes, a frame takes {frame_bytes_max}",
            "send less at once, or store it elsewhere and send where it is",
        )
    return _header(size) + body


def split(data: bytes, frame_bytes_max: int = FRAME_BYTES_MAX) -> tuple[list[bytes], int]:
    """The bodies of the whole frames in `data`, and the offset where the first cut frame begins.

    Raises FrameTooLargeError (with the bodies before it) at a length over the limit, also when
    nothing but that length is there.
    """
    bodies: list[bytes] = []
    size = len(data)
    start = HEADER_SIZE
    while start <= size:
        length: int = read_i32_be(data, start - HEADER_SIZE)
        if not 0 <= length <= frame_bytes_max:
            length &= 0xFFFF_FFFF
            raise FrameTooLargeError(length, frame_bytes_max, tuple(bodies))
        end = start + length
        if end > size:
            break
        bodies.append(data[start:end])
        start = end + HEADER_SIZE
    return bodies, start - HEADER_SIZE


class FrameDecoder:
    """Bytes in as they come, bodies out. Holds at most one cut frame.

    After FrameTooLargeError the stream is lost: every later `feed` raises it again.
    """

    __slots__ = ("_cut", "_error", "_needed", "frame_bytes_max")

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.frame_bytes_max = frame_bytes_max
        self._cut = bytearray()
        """The beginning of a frame whose end is still to come."""
        self._needed = HEADER_SIZE
        """Bytes that `_cut` must have before it is worth looking at again."""
        self._error: FrameTooLargeError | None = None

    @property
    def pending_bytes(self) -> int:
        """Bytes held of a frame that is not whole. Not 0 at end of file: that frame is lost."""
        return len(self._cut)

    def feed(self, data: bytes | bytearray | memoryview) -> list[bytes]:
        """The bodies that `data` completes, in order.

        Raises FrameTooLargeError, with the bodies before it, at a length over the limit.
        """
        if self._error is not None:
            raise self._error
        if not self._cut:
            return self._split(data if type(data) is bytes else bytes(data))
        self._cut += data
        if len(self._cut) < self._needed:
            return []
        held = bytes(self._cut)
        self._cut.clear()
        return self._split(held)

    def _split(self, data: bytes) -> list[bytes]:
        try:
            bodies, offset = split(data, self.frame_bytes_max)
        except FrameTooLargeError as error:
            self._error = FrameTooLargeError(error.found_bytes, error.bytes_max)
            raise
        if offset < len(data):
            self._hold(data, offset)
        return bodies

    def _hold(self, data: bytes, offset: int) -> None:
        self._cut += memoryview(data)[offset:]
        self._needed = HEADER_SIZE
        if len(self._cut) >= HEADER_SIZE:
            self._needed += int.from_bytes(self._cut[:HEADER_SIZE], "big")
