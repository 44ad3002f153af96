"""Heart is dead: the supervisor starts another and hands it what heart held.

The notify socket is bound here and given away: what is sent between the spawn and the new heart's
first look waits in it. The new heart can't be this process's parent; it watches it by pidfd.
"""

import fcntl
import os
import signal
import socket
from dataclasses import replace

from osupervisor.supervisor.heart import descriptor_name
from osupervisor.supervisor.heart.command import heart_command
from osupervisor.supervisor.heart.errors import FolderError
from osupervisor.supervisor.heart.holdings import NOTIFY_SOCKET_NAME
from osupervisor.supervisor.heart.launch import HeartLink, Inheritance
from osupervisor.supervisor.heart.listen_environment import FIRST_FD
from osupervisor.supervisor.heart.options import Options
from osupervisor.supervisor.heart.run_folder import RunFolder


def revive(inheritance: Inheritance) -> Inheritance:
    """Start a new heart, with the listening sockets and all that `notify.stored` names.

    To be called when `inheritance.heart.pidfd` is readable; the answer has a new one in its place,
    the old one is closed. A heart that can't start ends, and the new pidfd tells: a caller that
    tries again waits in between. Raises OSError with nothing changed.
    """
    link = inheritance.heart
    assert link is not None, "there was no heart"
    try:
        folder = RunFolder(link.options.data)
    except FolderError as error:
        raise OSError(str(error)) from error
    try:
        with folder.bind(NOTIFY_SOCKET_NAME, socket.SOCK_DGRAM) as inbox:
            pid = _spawn(link.options, inheritance, inbox)
        inheritance.notify.renew(folder.address(NOTIFY_SOCKET_NAME))
    except FolderError as error:
        raise OSError(str(error)) from error
    finally:
        folder.close()
    pidfd = os.pidfd_open(pid)
    _bury(link)
    return replace(inheritance, heart=HeartLink(pidfd, link.options))


def _spawn(options: Options, inheritance: Inheritance, inbox: socket.socket) -> int:
    listeners = [(name, sock.fileno()) for name, sock in inheritance.listeners.items()]
    itself = os.pidfd_open(os.getpid())
    handed = [
        *listeners,
        (descriptor_name.SUPERVISOR_PIDFD, itself),
        (descriptor_name.NOTIFY, inbox.fileno()),
        *inheritance.notify.stored.items(),
    ]
    end = FIRST_FD + len(handed)
    above: list[int] = []
    try:
        above += [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, end) for _, fd in handed]
        command = heart_command(options._replace(adopt=os.getpid()))
        return os.posix_spawn(
            command[0],
            command,
            {
                **os.environ,
                "LISTEN_FDS": str(len(handed)),
                "LISTEN_FDNAMES": descriptor_name.join(name for name, _ in handed),
            },
            file_actions=[
                (os.POSIX_SPAWN_DUP2, fd, target) for target, fd in enumerate(above, FIRST_FD)
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD),
        )
    finally:
        for fd in (itself, *above):
            os.close(fd)


def _bury(link: HeartLink) -> None:
    """Close the dead heart's pidfd, and reap a revived one: those are our children."""
    try:
        os.waitid(os.P_PIDFD, link.pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        pass  # the first heart was our parent
    os.close(link.pidfd)
