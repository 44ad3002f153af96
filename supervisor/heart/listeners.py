"""The listening sockets: made once, kept for the life of the service.

They outlive every supervisor: a connection that is made while none lives waits in the backlog,
and the next one answers it.
"""

import os
import socket

from osupervisor.supervisor.heart.descriptor_name import TCP_LISTENER, UNIX_LISTENER
from osupervisor.supervisor.heart.errors import AddressError, AlreadyRunningError
from osupervisor.supervisor.heart.notification import number
from osupervisor.supervisor.heart.run_folder import RunFolder

PORT_MAX = 65_535


def listen_unix(folder: RunFolder, backlog: int) -> socket.socket:
    """The Unix socket that clients connect to, mode 0600.

    The socket file of a dead service is replaced; raises AlreadyRunningError where somebody
    listens on it. The caller holds the lock of `pid_file`, so nobody else does this beside us.
    """
    if somebody_listens(folder.address(UNIX_LISTENER)):
        raise AlreadyRunningError(os.path.dirname(folder.path), None)
    listener = folder.bind(UNIX_LISTENER, socket.SOCK_STREAM)
    listener.listen(backlog)
    return listener


def listen_tcp(address: str, backlog: int) -> socket.socket:
    """A listener on `host:port` or `[v6 address]:port`; the kernel chooses where the port is 0.
    Raises AddressError."""
    host, colon, digits = address.rpartition(":")
    port = number(digits)
    if not colon or port is None or port > PORT_MAX:
        raise AddressError(address, "wanted HOST:PORT")
    name = host.removeprefix("[").removesuffix("]").encode("ascii", "replace")
    try:
        # The name as bytes: as text, `socket` would load the idna codec, 1 MB, for good.
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, where = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressError(address, str(error)) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise AddressError(address, str(error)) from error
    return listener


def somebody_listens(address: str) -> bool:
    """Whether a process answers at this Unix socket; a full backlog is an answer too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address)
        except BlockingIOError:
            return True
        except (FileNotFoundError, ConnectionRefusedError, OSError):
            return False
    return True


def listener_name(listener: socket.socket) -> str:
    """The name under which it is handed on."""
    return UNIX_LISTENER if listener.family == socket.AF_UNIX else TCP_LISTENER
