"""The brain's end of its port: frames in from one buffer, responses out in batches.

A frame is a 4-byte big-endian length and a MessagePack body (docs/PROTOCOL.md). Bytes are received
into one buffer and each body is decoded from it at once; a frame that is larger than the buffer
gets a larger one for as long as it takes. Nothing is sent before `flush`.

The peer is the supervisor, which is trusted, but what a client gave it passes through undecoded:
a body that can't be decoded is salvaged as far as it has to be (`Undecodable`).
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]

from osupervisor.brain.errors import PortError
from osupervisor.bridge.frames import PORT_FRAME_BYTES_MAX

BUFFER_BYTES: Final = 256 * 1024
FLUSH_RESPONSES: Final = 32
"""The convoy is cut here, so that brain and supervisor work at the same time (CORE.md)."""
FLUSH_BYTES: Final = 256 * 1024

_unpackb = msgpack.unpackb
_DECODE_ERRORS: Final = (ValueError, TypeError, RecursionError, msgpack.UnpackException)


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A request whose params hold something that can't be decoded; `n` and `method` could be."""

    n: int
    method: str
    epoch: int
    reason: str


class Port:
    """A connected stream socket. `broken`: the peer is gone, what is queued goes nowhere."""

    __slots__ = (
        "_buffer",
        "_end",
        "_start",
        "_view",
        "broken",
        "parts",
        "queued_bytes",
        "responses",
        "socket",
    )

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(True)
        self.socket = connected
        self.broken = False
        self.parts: list[bytes] = []
        self.responses = 0
        self.queued_bytes = 0
        self._start = self._end = 0
        self._renew(BUFFER_BYTES)

    def receive(self, wait: bool) -> bool | None:
        """Read once. True: there is more to decode. False: end of file. None: nothing is there."""
        self._make_room()
        try:
            size = self.socket.recv_into(
                self._view[self._end :], 0, 0 if wait else socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            return None
        except ConnectionError:
            return False
        self._end += size
        return size > 0

    def messages(self) -> Iterator[Any]:
        """Every whole message in the buffer, decoded one by one as they are asked for.

        Raises PortError for a length over the limit and for a body that is no message.
        """
        view, buffer = self._view, self._buffer
        from_bytes = int.from_bytes
        while self._end - self._start >= 4:
            body = self._start + 4
            end = body + from_bytes(buffer[self._start : body], "big")
            if end > self._end:
                break
            self._start = end
            try:
                message = _unpackb(view[body:end], strict_map_key=False)
            except _DECODE_ERRORS as error:
                message = _salvage(bytes(view[body:end]), error)
            yield message

    def flush(self) -> None:
        """Send what is queued. A peer that is gone is noticed by the next `receive`."""
        parts = self.parts
        if not parts:
            return
        data = b"".join(parts)
        self.drop()
        if self.broken:
            return
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionError):
            self.broken = True

    def send(self, message: object) -> None:
        """Send one message at once, behind what is queued."""
        body: bytes = msgpack.packb(message)
        self.parts += (len(body).to_bytes(4, "big"), body)
        self.flush()

    def drop(self) -> None:
        """Forget what is queued and was not sent."""
        self.parts.clear()
        self.responses = 0
        self.queued_bytes = 0

    def close(self) -> None:
        self.socket.close()

    def _make_room(self) -> None:
        """Room for the frame that is being received, at the buffer's end."""
        held = self._end - self._start
        if held == 0:
            self._start = self._end = 0
            if len(self._buffer) > BUFFER_BYTES:
                self._renew(BUFFER_BYTES)
            return
        wanted = 4
        if held >= 4:
            wanted += int.from_bytes(self._buffer[self._start : self._start + 4], "big")
        if wanted > PORT_FRAME_BYTES_MAX + 4:
            raise PortError(f"a frame of {wanted - 4} bytes, at most {PORT_FRAME_BYTES_MAX}")
        if self._start + wanted > len(self._buffer) or self._end == len(self._buffer):
            self._renew(max(wanted, BUFFER_BYTES))

    def _renew(self, size: int) -> None:
        """A buffer of `size` bytes that begins with what is held."""
        held = bytes(self._view[self._start : self._end]) if self._end else b""
        self._buffer = bytearray(size)
        self._view = memoryview(self._buffer)
        self._view[: len(held)] = held
        self._start, self._end = 0, len(held)


def _salvage(body: bytes, cause: Exception) -> Undecodable:
    """The request's id, method and epoch, read piece by piece in front of what is broken."""
    reason = f"{type(cause).__name__}: {cause}"
    unpacker = msgpack.Unpacker(None, max_buffer_size=len(body) + 1)
    unpacker.feed(body)
    try:
        members = unpacker.read_array_header()
        kind, n, method = unpacker.unpack(), unpacker.unpack(), unpacker.unpack()
        unpacker.read_array_header()
        epoch = unpacker.unpack() if method in ("call", "state") else 0
    except (*_DECODE_ERRORS, msgpack.OutOfData) as error:
        raise PortError(f"a body of {len(body)} bytes that is no message: {reason}") from error
    if members != 4 or kind != 0 or not isinstance(n, int) or not isinstance(epoch, int):
        raise PortError(f"a message that can't be decoded: {reason}") from cause
    return Undecodable(n, str(method), epoch, reason)
