"""The line: datagrams that carry descriptors, over a SOCK_SEQPACKET socket pair.

    datagram   MessagePack array [name, argument...], at most DATAGRAM_BYTES_MAX
    control    one SCM_RIGHTS message of at most DESCRIPTORS_MAX descriptors

A datagram arrives whole or not at all, so that a line may change hands between two of them. Every
descriptor is close-on-exec from its first moment. Whatever goes wrong while receiving, the
descriptors that did arrive are closed: none leaks. Sending leaves the sender's copies open; they
are the caller's.
"""

import array
import os
import socket
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

from osupervisor.bridge.errors import LocalProtocolError, RemoteProtocolError, shown
from osupervisor.bridge.packing import DECODE_ERRORS, pack, unpack

DATAGRAM_BYTES_MAX: Final = 65_536
"""Far over what is ever said here, under what a socket's buffer takes in one datagram."""
DESCRIPTORS_MAX: Final = 253
"""SCM_MAX_FD of Linux."""

_DESCRIPTOR_BYTES: Final = array.array("i").itemsize


class Datagram(NamedTuple):
    """What came over the line. The receiver owns the descriptors and closes them."""

    name: str
    arguments: list[object]
    descriptors: list[int]


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, close-on-exec, blocking."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(line: socket.socket, message: Sequence[object], descriptors: Sequence[int] = ()) -> None:
    """One datagram. Taken by the kernel when this returns, read by the peer when it likes.

    Raises LocalProtocolError when it is too long or has too many descriptors, OSError (EPIPE,
    ECONNRESET: the peer is gone; EAGAIN on a non-blocking line: its queue is full).
    """
    data = pack(list(message))
    if len(data) > DATAGRAM_BYTES_MAX or len(descriptors) > DESCRIPTORS_MAX:
        raise LocalProtocolError(
            f"a datagram has {len(data)} bytes and {len(descriptors)} descriptors",
            f"a line takes {DATAGRAM_BYTES_MAX} bytes and {DESCRIPTORS_MAX} descriptors",
        )
    rights = array.array("i", descriptors).tobytes()
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if descriptors else []
    line.sendmsg([data], control, socket.MSG_NOSIGNAL)


def receive(line: socket.socket) -> Datagram | None:
    """The next datagram; None: end of file, nobody holds the far end any more.

    An empty datagram can't be told from end of file, and counts as one.
    Raises RemoteProtocolError at a datagram that is cut, has its descriptors cut off or is not an
    array that begins with a name; BlockingIOError where the line is non-blocking and empty.
    """
    data, ancillary, flags, _ = line.recvmsg(
        DATAGRAM_BYTES_MAX,
        socket.CMSG_SPACE(DESCRIPTORS_MAX * _DESCRIPTOR_BYTES),
        socket.MSG_CMSG_CLOEXEC,
    )
    descriptors = _descriptors(ancillary)
    if not data:
        _close(descriptors)
        return None
    try:
        return _read(data, flags, descriptors)
    except BaseException:
        _close(descriptors)
        raise


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            # A cut control message can end inside a descriptor's number: that one wasn't made.
            found.frombytes(data[: len(data) - len(data) % _DESCRIPTOR_BYTES])
    return found.tolist()


def _read(data: bytes, flags: int, descriptors: list[int]) -> Datagram:
    if flags & socket.MSG_CTRUNC:
        raise RemoteProtocolError(
            f"descriptors of a datagram were cut off, {len(descriptors)} arrived",
            "raise the limit of open files (ulimit -n)",
        )
    if flags & socket.MSG_TRUNC:
        raise RemoteProtocolError(f"a datagram has more than {DATAGRAM_BYTES_MAX} bytes")
    try:
        value = unpack(data)
    except DECODE_ERRORS as cause:
        raise RemoteProtocolError(f"a datagram is not MessagePack: {shown(cause, 200)}") from None
    message = cast("list[object]", value) if type(value) is list else []
    if not message or type(message[0]) is not str:
        raise RemoteProtocolError(f"a datagram is not [name, ...]: {shown(value, 200)}")
    return Datagram(message[0], message[1:], descriptors)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
