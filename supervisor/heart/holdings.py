"""What heart holds for the service: its folder, lock, listening sockets, notify socket, store."""

import os
import socket
import stat
from collections.abc import Sequence

from osupervisor.supervisor.heart import descriptor_name, pid_file
from osupervisor.supervisor.heart.descriptor_store import DescriptorStore
from osupervisor.supervisor.heart.errors import UsageError
from osupervisor.supervisor.heart.listen_environment import is_listener
from osupervisor.supervisor.heart.listeners import listen_tcp, listen_unix, listener_name
from osupervisor.supervisor.heart.options import Options
from osupervisor.supervisor.heart.run_folder import RunFolder

NOTIFY_SOCKET_NAME = "notify.sock"
LOCK_PATIENCE_S = 2.0  # the lock of a heart that was killed is free when the kernel is done with it


class Holdings:
    """Made at the start, or taken over from a supervisor that outlived its heart."""

    def __init__(self, options: Options, inherited: Sequence[tuple[str, int]]) -> None:
        """Raises HeartError where the data folder or an address can't be had."""
        self.store = DescriptorStore()
        self.supervisor_pidfd: int | None = None
        self._listeners: list[tuple[str, socket.socket]] = []
        self._inbox: socket.socket | None = None
        self._take_over(inherited)
        if options.adopt and self.supervisor_pidfd is None:
            raise UsageError("--adopt is for a supervisor alone, which hands its pidfd over")
        self._folder = RunFolder(options.data)
        self._lock_fd = pid_file.acquire(options.data, LOCK_PATIENCE_S if options.adopt else 0.0)
        self._listen(options)
        self.inbox = self._inbox or self._folder.bind(NOTIFY_SOCKET_NAME, socket.SOCK_DGRAM)
        self._self_pidfd = os.pidfd_open(os.getpid())

    def notify_address(self) -> str:
        """NOTIFY_SOCKET for the supervisor."""
        return self._folder.address(NOTIFY_SOCKET_NAME, os.getpid())

    def descriptors(self) -> list[tuple[str, int]]:
        """All that a supervisor inherits, with names: the listeners first, the store last."""
        listening = [(name, listener.fileno()) for name, listener in self._listeners]
        own = (descriptor_name.HEART_PIDFD, self._self_pidfd)
        return [*listening, own, *self.store.items()]

    def stop_listening(self) -> None:
        """New connections are refused, waiting ones are reset."""
        self._folder.unlink(descriptor_name.UNIX_LISTENER)
        for _, listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def close(self) -> None:
        """Let go of everything; what bound a name in the folder is unlinked."""
        self.stop_listening()
        self._folder.unlink(NOTIFY_SOCKET_NAME)
        self.inbox.close()
        self.store.close()
        os.close(self._self_pidfd)
        pid_file.release(self._lock_fd)
        self._folder.close()

    def _take_over(self, inherited: Sequence[tuple[str, int]]) -> None:
        stored: dict[str, list[int]] = {}
        for name, fd in inherited:
            if name == descriptor_name.SUPERVISOR_PIDFD:
                self.supervisor_pidfd = fd
            elif name == descriptor_name.NOTIFY and stat.S_ISSOCK(os.fstat(fd).st_mode):
                self._inbox = socket.socket(fileno=fd)
            elif is_listener(fd):
                self._listeners.append((name, socket.socket(fileno=fd)))
            elif descriptor_name.is_store_name(name):
                stored.setdefault(name, []).append(fd)
            else:
                os.close(fd)
        for name, fds in stored.items():
            self.store.put(name, fds)

    def _listen(self, options: Options) -> None:
        """Bind what was not handed down, be it by systemd or by a supervisor."""
        families = {listener.family for _, listener in self._listeners}
        made: list[socket.socket] = []
        if options.tcp and not families & {socket.AF_INET, socket.AF_INET6}:
            made.append(listen_tcp(options.tcp, options.backlog))
        if socket.AF_UNIX not in families:
            made.append(listen_unix(self._folder, options.backlog))
        self._listeners += [(listener_name(listener), listener) for listener in made]
