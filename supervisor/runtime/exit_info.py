"""How a process ended, asked of its pidfd: also of one that is not our child. Linux 6.15 on.

The answer is there once the process was reaped, by whoever is its parent.
"""

import fcntl
import struct

_INFO = struct.Struct("=QQ11Ii")
_EXIT = 1 << 3  # PIDFD_INFO_EXIT
_GET_INFO = (3 << 30) | (_INFO.size << 16) | (0xFF << 8) | 11


def exit_status(pidfd: int) -> int | None:
    """As os.waitpid gives it; None where the kernel doesn't tell, or not yet."""
    request = bytearray(_INFO.size)
    struct.pack_into("=Q", request, 0, _EXIT)
    try:
        fcntl.ioctl(pidfd, _GET_INFO, request)
    except OSError:
        return None
    fields = _INFO.unpack(request)
    return int(fields[-1]) if fields[0] & _EXIT else None
