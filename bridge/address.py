"""Where a service listens, and sockets bound and connected there.

    unix:/path/to.sock, or a path     a Unix socket
    tcp:host:port, tcp:[::1]:port     TCP, where the service was configured for it
    host:port, [::1]:port             the same: a text with a colon and without a slash

A path of one part with a colon in it is written `./a:b` or `unix:a:b`, or given as a Path, which is
never anything but a path.

A Unix socket's address holds 107 bytes of path. A longer path is reached through its folder: the
folder is opened and the socket named as `/proc/self/fd/<number>/<name>`, which the kernel resolves
during bind and connect alike, whatever the working directory. Only the last part must then be
short. This needs /proc; without it a long path is an AddressError.

A listening socket appears under its path by a rename, ready and with its final mode: a client
finds the old socket or the new one and never none, and nobody connects in between who may not.
"""

import os
import re
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from osupervisor.bridge.errors import AddressError

SUN_PATH_BYTES_MAX: Final = 107
"""sun_path has 108 bytes, the last of them 0."""
SOCKET: Final = Path("run", "osupervisor.sock")
"""Within a service's data directory."""
BACKLOG: Final = 4096
"""The kernel takes the smaller of this and net.core.somaxconn."""
PORT_MAX: Final = 65_535
LABEL_BYTES_MAX: Final = 63
"""Of each part of a host's name, in DNS."""

_HOST_AND_PORT: Final = re.compile(r"(?:\[([^][/\0]+)\]|([^]:[/\0]+)):([0-9]{1,5})", re.ASCII)
_WANTED: Final = (
    f'wanted a data directory, a socket, "host:port" or "[::1]:port", port up to {PORT_MAX}; '
    "a path with a colon is written ./a:b or unix:a:b"
)


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket's path."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP endpoint."""

    host: str
    port: int

    def __str__(self) -> str:
        return (
            f"tcp:[{self.host}]:{self.port}" if ":" in self.host else f"tcp:{self.host}:{self.port}"
        )


Address: TypeAlias = UnixAddress | TcpAddress


def parse_address(text: str | os.PathLike[str] | Address) -> Address:
    """The address in a text. Raises AddressError."""
    if isinstance(text, TcpAddress):
        return _checked(text)
    if isinstance(text, UnixAddress):
        return _unix(text, str(text.path))
    if not isinstance(text, str):
        return _unix(text, os.fspath(text))
    if text.startswith("unix:"):
        return _unix(text, text.removeprefix("unix:"))
    if text.startswith("tcp:") or (":" in text and "/" not in text):
        return _tcp(text)
    return _unix(text, text)


def _unix(text: object, path: object) -> UnixAddress:
    if not isinstance(path, str) or not path or "\0" in path:
        raise AddressError(f"found the address {str(text)!r}", _WANTED)
    return UnixAddress(Path(path).absolute())


def _tcp(text: str) -> TcpAddress:
    match = _HOST_AND_PORT.fullmatch(text.removeprefix("tcp:").removeprefix("//"))
    if match is None or int(match[3]) > PORT_MAX:
        raise AddressError(f"found the address {text!r}", _WANTED)
    return _checked(TcpAddress(match[1] or match[2], int(match[3])))


def _checked(address: TcpAddress) -> TcpAddress:
    """Refuse what the resolver does not take: it would raise what is no OSError, at each try."""
    if not _is_host(address.host) or not _is_port(address.port):
        raise AddressError(f"found the address {address!r:.300}", _WANTED)
    labels = address.host.removesuffix(".").split(".")
    if address.host.isascii() and all(0 < len(label) <= LABEL_BYTES_MAX for label in labels):
        return address
    try:
        address.host.encode("idna")
    except UnicodeError as error:
        raise AddressError(f"found the address {str(address)!r:.300}: {error}", _WANTED) from None
    return address


def _is_host(host: object) -> bool:
    return isinstance(host, str) and host != ""


def _is_port(port: object) -> bool:
    return isinstance(port, int) and 0 <= port <= PORT_MAX


def service_address(address: Address) -> Address:
    """Where to connect for an address: a folder stands for the service whose data directory it is.

    To be asked at each try, as the folder may come into being after its client. Raises OSError
    where the path can't be looked at.
    """
    if isinstance(address, UnixAddress) and address.path.is_dir():
        return UnixAddress(address.path / SOCKET)
    return address


def listen_unix(path: Path, mode: int = 0o600, backlog: int = BACKLOG) -> socket.socket:
    """A listening socket at `path`, non-blocking, close-on-exec; it replaces what was there.

    Whoever calls this knows that no other service uses the path: it holds the data directory's
    lock. Raises AddressError when the folder isn't there or the path can't be used.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        listener.setblocking(False)
        with short_name(draft) as name:
            with suppress(FileNotFoundError):
                draft.unlink()
            listener.bind(name)
        draft.chmod(mode)
        listener.listen(backlog)
        draft.rename(path)
    except BaseException as error:
        listener.close()
        with suppress(OSError):
            draft.unlink()
        if isinstance(error, OSError):
            raise AddressError(
                f"can't listen at {path}: {error}",
                "see that its folder is there, is writable, and its file system takes sockets",
            ) from error
        raise
    return listener


def connect(address: Address, timeout_s: float) -> socket.socket:
    """A connected socket in blocking mode, close-on-exec.

    Raises AddressError when the address can never work, else OSError: nobody there
    (FileNotFoundError, ConnectionRefusedError), its backlog full (BlockingIOError), TimeoutError.
    """
    if isinstance(address, TcpAddress):
        connection = socket.create_connection((address.host, address.port), timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.settimeout(None)
        return connection
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        with short_name(address.path) as name:
            connection.connect(name)
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def short_name(path: Path) -> Generator[str]:
    """A name for `path` that fits into a socket's address while the context lasts.

    Raises AddressError when there is none, OSError when the folder isn't there.
    """
    if len(os.fsencode(path)) <= SUN_PATH_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        name = f"/proc/self/fd/{folder}/{path.name}"
        if len(os.fsencode(name)) > SUN_PATH_BYTES_MAX or not os.path.isdir("/proc/self/fd"):
            raise AddressError(
                f"the socket's path is too long: {len(os.fsencode(path))} bytes, {path}",
                f"wanted at most {SUN_PATH_BYTES_MAX}: use a shorter data directory or file name",
            )
        yield name
    finally:
        os.close(folder)
