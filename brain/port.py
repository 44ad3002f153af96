"""The brain's end of its port: messages in, responses out in batches.

A frame is a 4-byte big-endian length and a MessagePack body (docs/PROTOCOL.md). One streaming
decoder is fed with all that was received and reads on where it stopped when more comes; it passes
over the lengths, which say nothing that the bodies don't. Nothing is sent before `flush`.

The peer is the supervisor, which is trusted, but what a client gave it passes through undecoded. A
request that can't be decoded becomes `[0, n, "undecodable", Undecodable]`, and reading goes on
behind it: for that the received bytes are kept until all frames in them are whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from socket import MSG_DONTWAIT, SHUT_RDWR, socket
from typing import Any, Final

from osupervisor.brain.errors import PortError
from osupervisor.brain.packing import DECODE_ERRORS, OutOfData, encode, new_decoder
from osupervisor.bridge.frames import HEADER_SIZE, PORT_FRAME_BYTES_MAX

RECEIVE_BYTES: Final = 64 * 1024
"""Of a larger buffer, malloc gets fresh pages from the kernel each time: 12 us more per read."""
FLUSH_RESPONSES: Final = 32
"""The convoy is cut here, so that brain and supervisor work at the same time (CORE.md)."""
FLUSH_BYTES: Final = 256 * 1024
HELD_BYTES_MAX: Final = PORT_FRAME_BYTES_MAX + HEADER_SIZE + 2 * RECEIVE_BYTES
"""The largest frame, and what came with its beginning and its end."""
DECODER_BYTES_KEPT: Final = 4 * 2**20
"""A decoder that grew beyond this for one frame is given up behind it."""


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A request whose params hold something that can't be decoded; what stands before it could."""

    method: str
    epoch: int
    reason: str


class Port:
    """A connected stream socket. `broken`: the peer is gone, what is queued goes nowhere."""

    __slots__ = (
        "_cause",
        "_chunks",
        "_decoded",
        "_decoder",
        "_first",
        "_held_bytes",
        "_missing",
        "_peak_bytes",
        "_received",
        "broken",
        "connection",
        "parts",
        "queued_bytes",
        "responses",
    )

    def __init__(self, connection: socket) -> None:
        connection.setblocking(True)
        self.connection = connection
        self.broken = False
        self.parts: list[bytes] = []
        self.responses = 0
        self.queued_bytes = 0
        self._cause: Exception | None = None
        """What broke the decoder, until the frame that did has come whole."""
        self._missing = HEADER_SIZE
        """Bytes of the next frame's length still to be passed over."""
        self._chunks: list[bytes] = []
        """All that was received from the last frame boundary known on, and some before it."""
        self._held_bytes = 0
        self._first = 0
        """Where that boundary is in the first chunk."""
        self._decoded = 0
        """Frames behind it that have been decoded."""
        self._received = 0
        """Bytes that the decoder was given."""
        self._peak_bytes = 0
        self._decoder = new_decoder(HELD_BYTES_MAX)

    def receive(self, wait: bool) -> bool | None:
        """Read once. True: there is more to decode. False: end of file. None: nothing is there.

        Raises PortError when a frame is longer than the limit.
        """
        try:
            data = self.connection.recv(RECEIVE_BYTES, 0 if wait else MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except ConnectionError:
            return False
        if not data:
            return False
        self._chunks.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > self._peak_bytes:
            self._peak_bytes = self._held_bytes
        if self._held_bytes > HELD_BYTES_MAX:
            raise PortError(f"found a frame of more than {PORT_FRAME_BYTES_MAX} bytes")
        if self._cause is None:
            self._received += len(data)
            self._decoder.feed(data)
        return True

    def messages(self) -> Iterator[list[Any]]:
        """Every whole message received, decoded one by one as they are asked for.

        To be used up before the next `receive`. Raises PortError for what is no message.
        """
        decoder, missing = self._decoder, self._missing
        found_any = False
        while True:
            try:
                if self._cause is not None:
                    raise self._cause
                if missing:
                    missing -= len(decoder.read_bytes(missing))
                    if missing:
                        break
                message: list[Any] = decoder.unpack()
            except OutOfData:
                break
            except DECODE_ERRORS as error:
                salvaged = self._salvage(error)
                if salvaged is None:
                    return
                message = salvaged
                decoder, found_any = self._decoder, True
            else:
                if found_any:
                    self._decoded += 1
                else:
                    found_any = True
                    self._begin_behind(decoder.tell())
            missing = HEADER_SIZE
            yield message
        self._missing = missing
        if missing == HEADER_SIZE:
            self._forget_chunks()

    def flush(self) -> None:
        """Send what is queued. A peer that is gone is noticed by the next `receive`.

        Whatever else is raised meanwhile, by a handler of the author's say, may leave half a frame
        behind: it ends the connection, as nothing may follow on that.
        """
        parts = self.parts
        if not parts:
            return
        data = b"".join(parts)
        self.drop()
        if self.broken:
            return
        try:
            self.connection.sendall(data)
        except ConnectionError:
            self.broken = True
        except BaseException:
            self.broken = True
            self.connection.shutdown(SHUT_RDWR)
            raise

    def send(self, message: object) -> None:
        """Send one message at once, behind what is queued."""
        body = encode(message)
        self.parts += (len(body).to_bytes(HEADER_SIZE, "big"), body)
        self.flush()

    def drop(self) -> None:
        """Forget what is queued and was not sent."""
        self.parts.clear()
        self.responses = 0
        self.queued_bytes = 0

    def close(self) -> None:
        self.connection.close()

    def _begin_behind(self, offset: int) -> None:
        """The first message of a read ends at `offset` of the stream, in the newest chunk."""
        last = self._chunks[-1]
        self._chunks = [last]
        self._held_bytes = len(last)
        self._first = offset - (self._received - len(last))
        self._decoded = 0

    def _forget_chunks(self) -> None:
        """Between two frames: nothing received is needed any more."""
        if self._peak_bytes > DECODER_BYTES_KEPT:
            self._renew_decoder(b"")
        self._chunks = []
        self._first = self._decoded = self._held_bytes = 0

    def _salvage(self, cause: Exception) -> list[Any] | None:
        """What can be read of the frame that broke the decoder; a new one goes on behind it.

        None: the frame has not come whole.
        """
        held = b"".join(self._chunks)
        start = self._first
        for _ in range(self._decoded):
            start += HEADER_SIZE + int.from_bytes(held[start : start + HEADER_SIZE], "big")
        body = start + HEADER_SIZE
        end = body + int.from_bytes(held[start:body], "big")
        if end > len(held):
            self._cause = cause
            return None
        self._cause = None
        self._chunks = [held[end:]]
        self._held_bytes = len(held) - end
        self._first = self._decoded = 0
        self._renew_decoder(held[end:])
        return _readable_part(held[body:end], cause)

    def _renew_decoder(self, data: bytes) -> None:
        self._decoder = new_decoder(HELD_BYTES_MAX)
        self._decoder.feed(data)
        self._received = self._peak_bytes = len(data)


def _readable_part(body: bytes, cause: Exception) -> list[Any]:
    """Id, method and epoch of a request, read piece by piece in front of what is broken."""
    reason = f"{type(cause).__name__}: {cause}"
    decoder = new_decoder(len(body) + 1)
    decoder.feed(body)
    try:
        members = decoder.read_array_header()
        kind, n, method = decoder.unpack(), decoder.unpack(), decoder.unpack()
        decoder.read_array_header()
        epoch = decoder.unpack() if method in ("call", "state") else 0
    except (*DECODE_ERRORS, OutOfData) as error:
        raise PortError(f"a body of {len(body)} bytes that is no message: {reason}") from error
    if members != 4 or kind != 0 or not isinstance(n, int) or not isinstance(epoch, int):
        raise PortError(f"a message that can't be decoded: {reason}") from cause
    return [0, n, "undecodable", Undecodable(str(method), epoch, reason)]
