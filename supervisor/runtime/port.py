"""A brain's port in the supervisor: frames out without blocking, frames in as they come.

The supervisor never stops reading it, and reads it to the end when the brain has died: what it
sent before is still there. A brain that floods harms itself: one read per turn of the loop.
"""

import asyncio
import socket
from typing import Final, NamedTuple, Protocol, cast

from librt.strings import read_i16_be, read_i32_be, read_i64_be

from osupervisor.bridge import packing
from osupervisor.bridge.errors import FrameTooLargeError
from osupervisor.bridge.frames import PORT_FRAME_BYTES_MAX, FrameDecoder
from osupervisor.supervisor.core.pending import NO_EFFECTS
from osupervisor.supervisor.core.response import Response
from osupervisor.supervisor.runtime.outgoing import Outgoing

READ_BYTES: Final = 64 * 1024
"""A larger buffer is fresh pages from malloc at each read, which costs more than it saves."""
RUN_RESPONSES: Final = 32
"""The engine takes a turn behind each run: supervisor and brain work at the same time instead of
handing one convoy back and forth."""
LAGGING_BYTES: Final = 16 * 2**20
"""With more unsent than this a follower is taken off the stream until it has read it."""


POOLED_BYTES_MAX: Final = 65_536
"""A decoder that held a longer message is not kept: its buffer never shrinks."""


class Note(NamedTuple):
    """[2, method, params], or [1, id, nil, map] as the method "pong"."""

    method: str
    params: "list[object]"  # in quotes for mypyc, as in bridge/messages.py


class PortEvents(Protocol):
    """Who is told what a port brings."""

    def responded(self, brain: int, responses: list[Response]) -> None: ...
    def noted(self, brain: int, note: Note) -> None: ...
    def broken(self, brain: int, reason: str) -> None: ...
    def closed(self, brain: int) -> None: ...
    def lagging(self, brain: int) -> None: ...
    def drained(self, brain: int) -> None: ...


class BrainPort:
    """One stream socket to one brain."""

    def __init__(
        self, brain: int, sock: socket.socket, loop: asyncio.AbstractEventLoop, events: PortEvents
    ) -> None:
        sock.setblocking(False)
        self._brain = brain
        self._sock = sock
        self._loop = loop
        self._events = events
        self._decoder = FrameDecoder(PORT_FRAME_BYTES_MAX)
        self._lagging = False
        self._outgoing = Outgoing(sock, loop, self._sent_all, lambda: None)
        self._open = True
        loop.add_reader(sock.fileno(), self._readable)

    def send(self, frames: list[bytes]) -> None:
        """In order, behind what is still unsent. To a dead brain: nowhere."""
        if not self._open:
            return
        self._outgoing.send(b"".join(frames))
        if self._outgoing.unsent_bytes > LAGGING_BYTES and not self._lagging:
            self._lagging = True
            self._events.lagging(self._brain)

    def _sent_all(self) -> None:
        if self._lagging:
            self._lagging = False
            self._events.drained(self._brain)

    def drain(self) -> None:
        """Read all that a dead brain has sent; half a frame at the end is dropped."""
        while self._open and self._read():
            pass

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._sock.fileno())
            self._outgoing.close()
            self._sock.close()

    def _readable(self) -> None:
        self._read()

    def _read(self) -> bool:
        """One read. False: nothing is there, or the end is reached."""
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._sock.fileno())
            self._events.closed(self._brain)
            return False
        try:
            bodies = self._decoder.feed(data)
        except FrameTooLargeError as error:
            self._events.broken(self._brain, str(error))
            return False
        try:
            self._take(bodies)
        except _Undecodable as error:
            self._events.broken(self._brain, f"its port: {error}")
            return False
        return True

    def _take(self, bodies: list[bytes]) -> None:
        """Hand on what came, in order: responses in runs of at most RUN_RESPONSES.

        Raises _Undecodable. What those raise who are handed it is a fault of ours, and no brain's.
        """
        run: list[Response] = []
        try:
            for body in bodies:
                response = read_quickly(body)
                if response is None:
                    message = _decoded(body)
                    if not isinstance(message, Response):
                        run = self._hand_on(run)
                        self._events.noted(self._brain, message)
                        continue
                    response = message
                run.append(response)
                if len(run) >= RUN_RESPONSES:
                    run = self._hand_on(run)
        finally:
            self._hand_on(run)

    def _hand_on(self, run: list[Response]) -> list[Response]:
        if run:
            self._events.responded(self._brain, run)
        return []


_HEAD_BYTES: Final = 14
_QUICK_BYTES_MIN: Final = _HEAD_BYTES + 7
_RESPONSE: Final = int.from_bytes(b"\x94\x01\xcf", "big", signed=True)
_NIL_AND_FOUR: Final = int.from_bytes(b"\xc0\x94", "big", signed=True)
_NO_EFFECTS_BIN: Final = b"\xc4\x01\x90"


def read_quickly(body: bytes) -> Response | None:
    """A commit without effects as our own brains pack it, which nearly every message is.

        94 01 cf<n> c0 94 <epoch, up to 16 bits> <outcome, bin 8> <ops, bin 8 or 16> c4 01 90

    None: `read_message` reads it.
    """
    size = len(body)
    if (
        size < _QUICK_BYTES_MIN
        or read_i32_be(body, 0) >> 8 != _RESPONSE
        or read_i16_be(body, 11) != _NIL_AND_FOUR
        or body[size - 3 :] != _NO_EFFECTS_BIN
    ):
        return None
    epoch, start = body[13], _HEAD_BYTES
    if epoch > 0x7F:
        if epoch == 0xCC:
            epoch, start = body[14], 15
        elif epoch == 0xCD:
            epoch, start = body[14] << 8 | body[15], 16
        else:
            return None
    ops_at = start + 2 + body[start + 1]
    if body[start] != 0xC4 or ops_at + 3 > size:
        return None
    if body[ops_at] == 0xC4:
        end = ops_at + 2 + body[ops_at + 1]
    elif body[ops_at] == 0xC5:
        end = ops_at + 3 + (body[ops_at + 1] << 8 | body[ops_at + 2])
    else:
        return None
    n: int = read_i64_be(body, 3)
    if end + 3 != size or n < 0:
        return None
    return Response(n, epoch, body[start + 2 : ops_at], NO_EFFECTS, body[start:])


class _Undecodable(Exception):
    """It is no message."""


def _decoded(body: bytes) -> Response | Note:
    try:
        return read_message(body)
    except packing.DECODE_ERRORS as error:
        raise _Undecodable(str(error)) from error


_idle: Final[list[packing.Unpacker]] = []
"""A decoder between two messages, empty. One whose message was refused is not given back."""


def read_message(body: bytes) -> Response | Note:
    """A brain's message. Raises one of packing.DECODE_ERRORS where it is none."""
    if body[:2] != b"\x94\x01":
        return _read_note(body)
    unpacker = _idle.pop() if _idle else packing.new_unpacker(PORT_FRAME_BYTES_MAX)
    base = unpacker.tell()
    unpacker.feed(body)
    unpacker.read_array_header()
    unpacker.unpack()
    message_id = unpacker.unpack()
    if unpacker.unpack() is not None or not isinstance(message_id, int):
        raise ValueError(f"a response with an error: {body[:80]!r}")
    at = unpacker.tell() - base
    if at >= len(body):
        raise ValueError(f"a response that ends before its result: {body[:80]!r}")
    if body[at] & 0xF0 != 0x90:
        return Note("pong", [message_id, unpacker.unpack()])
    members = unpacker.read_array_header()
    epoch = unpacker.unpack()
    start = unpacker.tell() - base
    outcome = unpacker.unpack()
    effects = None
    if members == 4:
        unpacker.skip()
        effects = unpacker.unpack()
        if not isinstance(effects, bytes):
            raise ValueError("effects are not bin")
    elif members != 2:
        raise ValueError(f"a response of {members} members")
    if not isinstance(epoch, int) or not isinstance(outcome, bytes):
        raise ValueError(f"a response that is none: {body[:80]!r}")
    if unpacker.tell() - base != len(body):
        raise ValueError("there are bytes behind a response")
    if len(body) <= POOLED_BYTES_MAX:
        _idle.append(unpacker)
    return Response(message_id, epoch, outcome, effects, body[start:])


def _read_note(body: bytes) -> Note:
    value = packing.unpack(body)
    if not isinstance(value, list):
        raise ValueError(f"a message that is none: {body[:80]!r}")
    message = cast("list[object]", value)
    if len(message) != 3 or message[0] != 2 or not isinstance(message[2], list):
        raise ValueError(f"a notification that is none: {body[:80]!r}")
    method = message[1]
    if not isinstance(method, str):
        raise ValueError(f"a notification whose method is no name: {body[:80]!r}")
    return Note(method, cast("list[object]", message[2]))
