"""A supervisor that has done its imports and waits to be woken.

The contract: it is started with OSUPERVISOR_SPARE_FD=<n>, a SOCK_SEQPACKET socket. One datagram
comes over it, {"listen_fdnames": [name, ...], "predecessor": "..."}, with as many descriptors
(SCM_RIGHTS): from then on it is the supervisor, and they are what LISTEN_FDS would have given it.
`predecessor` is what OSUPERVISOR_PREDECESSOR would have said. End of file: it is not needed and
exits with status 0.
"""

import os
import socket
import struct
from collections.abc import Mapping, Sequence

from osupervisor.supervisor.heart import descriptor_name
from osupervisor.supervisor.heart.listen_environment import FIRST_FD
from osupervisor.supervisor.heart.process import Process, spawn

SPARE_FD = "OSUPERVISOR_SPARE_FD"


class Spare:
    """The waiting process."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Starts it; raises OSError when the kernel refuses."""
        self._socket, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.process = spawn(command, {**environ, SPARE_FD: str(FIRST_FD)}, [far.fileno()])
        except OSError:
            self._socket.close()
            raise
        finally:
            far.close()

    def wake(self, descriptors: Sequence[tuple[str, int]], predecessor: str) -> Process:
        """Make it the supervisor, with these descriptors; raises OSError where it is dead."""
        names = [name for name, _ in descriptors]
        fds = struct.pack(f"{len(names)}i", *(fd for _, fd in descriptors))
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
        message = descriptor_name.as_json(names, predecessor)
        self._socket.sendmsg([message], rights, socket.MSG_DONTWAIT)
        self._socket.close()
        return self.process

    def close(self) -> None:
        """Let go of it: it reads end of file and exits."""
        self._socket.close()
        os.close(self.process.pidfd)
