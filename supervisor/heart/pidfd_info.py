"""How a process ended that is not our child: PIDFD_GET_INFO, from Linux 6.15 on.

    struct pidfd_info, 64 bytes: mask u64 | cgroup id u64 | 11 ids u32 | exit code i32

The kernel knows it once the process has been reaped by its parent, which a pidfd tells by POLLHUP.
"""

import fcntl
import os
import select
import struct

PIDFD_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, 64 bytes)
PIDFD_INFO_EXIT = 1 << 3
REAPING_S = 0.01  # how long a parent may take to reap: a new supervisor waits that long for it
_INFO = struct.Struct("=QQ11Ii")


def exit_status(pidfd: int) -> int | None:
    """Exit status or minus the signal; None where the kernel doesn't tell, or not yet."""
    poll = select.poll()
    poll.register(pidfd, 0)  # POLLHUP alone
    poll.poll(int(REAPING_S * 1000))
    try:
        answer = fcntl.ioctl(pidfd, PIDFD_GET_INFO, _INFO.pack(PIDFD_INFO_EXIT, *[0] * 13))
    except OSError:
        return None
    mask, *_, status = _INFO.unpack(answer)
    return os.waitstatus_to_exitcode(status) if mask & PIDFD_INFO_EXIT else None
