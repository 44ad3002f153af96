"""The notify socket's receiving end: datagrams, who sent them, the descriptors they carry."""

import socket
import struct

from osupervisor.supervisor.heart.descriptor_store import close_all
from osupervisor.supervisor.heart.named_tuple import NamedTuple
from osupervisor.supervisor.heart.notification import DATAGRAM_BYTES_MAX

SCM_MAX_FD = 253  # the kernel's bound for one message
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_ANCILLARY_BYTES = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(4 * SCM_MAX_FD)


class Datagram(NamedTuple):
    """A message. The kernel vouches for `pid`; the descriptors are the receiver's to close."""

    pid: int
    content: bytes
    fds: tuple[int, ...]


def receive(inbox: socket.socket) -> Datagram | None:
    """The next datagram; None: none is there. One too large, or without a sender, comes empty."""
    flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
    try:
        content, ancillary, truncated, _ = inbox.recvmsg(
            DATAGRAM_BYTES_MAX, _ANCILLARY_BYTES, flags
        )
    except BlockingIOError:
        return None
    pid, fds = _unpack(ancillary)
    if truncated & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or pid is None:
        close_all(fds)
        return Datagram(pid or 0, b"", ())
    return Datagram(pid, content, fds)


def _unpack(ancillary: list[tuple[int, int, bytes]]) -> tuple[int | None, tuple[int, ...]]:
    pid: int | None = None
    fds: tuple[int, ...] = ()
    for level, kind, data in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            whole = data[: len(data) // 4 * 4]
            fds += struct.unpack(f"{len(whole) // 4}i", whole)
        elif kind == socket.SCM_CREDENTIALS and len(data) >= _CREDENTIALS.size:
            pid = _CREDENTIALS.unpack_from(data)[0]
    return pid, fds
