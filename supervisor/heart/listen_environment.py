"""Descriptors that a process was started with: systemd's LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID.

They are the descriptors from 3 on, LISTEN_FDS of them. LISTEN_PID says whom they are meant for; a
child that merely inherited the variables must not touch them.
"""

import os
import socket
import stat

from osupervisor.supervisor.heart import descriptor_name
from osupervisor.supervisor.heart.notification import number

FIRST_FD = 3


def take(any_pid: bool = False) -> list[tuple[str, int]]:
    """Names and descriptors meant for this process, now close-on-exec; the variables are removed.

    `any_pid`: they are ours by agreement, for a parent that could not know our process id.
    """
    pid = os.environ.pop("LISTEN_PID", None)
    count = number(os.environ.pop("LISTEN_FDS", None)) or 0
    names = os.environ.pop("LISTEN_FDNAMES", "")
    if not any_pid and pid != str(os.getpid()):
        return []
    fds = range(FIRST_FD, FIRST_FD + count)
    for fd in fds:
        os.set_inheritable(fd, False)
    return list(zip(descriptor_name.split(names, count), fds, strict=True))


def is_listener(fd: int) -> bool:
    """Whether a descriptor is a socket that listens: those are told from stored ones so."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return False
    found = socket.socket(fileno=fd)
    try:
        return found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    finally:
        found.detach()
