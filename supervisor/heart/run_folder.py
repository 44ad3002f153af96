"""`<data>/run`: the folder of the sockets, and addresses in it that are short enough to bind.

A Unix socket's path has room for 107 bytes (`sun_path`). A longer one is reached through a
descriptor of the folder, as /proc/self/fd/<n>/<name>, which names the same file.
"""

import os
import socket
import stat

from osupervisor.supervisor.heart.errors import FolderError

SUN_PATH_BYTES_MAX = 107


class RunFolder:
    """The folder, made 0700 and held open; `address` is where a socket in it can be reached."""

    def __init__(self, data: str) -> None:
        """Raises FolderError where the folder can't be made, or isn't ours."""
        self.path = os.path.join(data, "run")
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            self.fd = os.open(self.path, flags)
        except OSError as error:
            raise FolderError(self.path, str(error), "a folder to write in") from error
        found = os.fstat(self.fd)
        if found.st_uid != os.geteuid():
            os.close(self.fd)
            raise FolderError(self.path, f"owned by user {found.st_uid}", "one's own folder")
        if stat.S_IMODE(found.st_mode) != 0o700:
            os.fchmod(self.fd, 0o700)

    def address(self, name: str, pid: int | None = None) -> str:
        """Where the socket `name` can be bound and reached by this process.

        With `pid`, this process's own id: an address that other processes can use too, as long as
        this one lives. Raises FolderError where the path is too long and /proc isn't there.
        """
        path = os.path.join(self.path, name)
        if len(os.fsencode(path)) <= SUN_PATH_BYTES_MAX:
            return path
        short = f"/proc/{pid or 'self'}/fd/{self.fd}"
        if not os.path.exists(short):
            length = len(os.fsencode(path))
            raise FolderError(
                path,
                f"{length} bytes, and no /proc to shorten it",
                f"{SUN_PATH_BYTES_MAX} bytes at most, or a mounted /proc",
            )
        return f"{short}/{name}"

    def unlink(self, name: str) -> None:
        """Remove a file of the folder, if it is there."""
        try:
            os.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:
            pass

    def bind(self, name: str, kind: socket.SocketKind) -> socket.socket:
        """A new socket of mode 0600, bound to `name`, in place of whatever bore that name."""
        self.unlink(name)
        bound = socket.socket(socket.AF_UNIX, kind)
        if kind is socket.SOCK_DGRAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # before anyone can send
        umask = os.umask(0o177)
        try:
            bound.bind(self.address(name))
        except OSError as error:
            bound.close()
            raise FolderError(self.path, str(error), "a folder for sockets") from error
        finally:
            os.umask(umask)
        return bound

    def close(self) -> None:
        """Give the folder's descriptor back."""
        os.close(self.fd)
