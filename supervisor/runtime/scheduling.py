"""What the kernel's scheduler is told: who waits must run soon, who dies may take its time.

* Short slices (Linux 6.12 on). A process that wakes takes the CPU from one whose slice is longer,
  or over. With the kernel's 1 to 3 ms a supervisor or a standby that is woken waits for so long
  behind a busy neighbour. Shares of CPU time stay what they were. The supervisor's are shorter than
  those of its brains: one that wakes to die must not take the CPU from whoever is to notice. What
  is started later inherits them.
* A dying brain runs only when nobody else wants to: the kernel tears its memory down in its name,
  for 2 ms per 100 MB, and on the CPU that the standby may have been woken on.

Both are wishes: where the kernel or a sandbox refuses, everything works, and takes longer.
"""

import contextlib
import ctypes
import os
import platform
import struct
from typing import Final

SUPERVISOR_SLICE_NS: Final = 100_000
"""The shortest that the kernel takes."""
BRAIN_SLICE_NS: Final = 300_000
_ATTR: Final = struct.Struct("=IIQiIQQQ")
"""struct sched_attr, version 0: size, policy, flags, nice, priority, runtime, deadline, period."""
_RUNTIME: Final = 5
_SET_GET: Final = {
    "x86_64": (314, 315),
    "aarch64": (274, 275),
    "riscv64": (274, 275),
    "ppc64le": (355, 356),
    "s390x": (345, 346),
}.get(platform.machine())


def shorten_slices(thread: int, slice_ns: int) -> bool:
    """Ask for slices of `slice_ns` for a thread, 0: this one. False: refused.

    Kernels before 6.12 accept it and do nothing. Real-time and batch processes stay as they are.
    """
    if _SET_GET is None:
        return False
    set_attr, get_attr = _SET_GET
    syscall = ctypes.CDLL(None).syscall
    held = ctypes.create_string_buffer(_ATTR.size)
    if syscall(get_attr, thread, held, _ATTR.size, 0) != 0:
        return False
    fields = list(_ATTR.unpack(held.raw))
    if fields[1] != os.SCHED_OTHER:
        return False
    fields[_RUNTIME] = slice_ns
    return bool(syscall(set_attr, thread, _ATTR.pack(*fields), 0) == 0)


def give_way(pid: int) -> None:
    """Let a process that is ending run only where nobody else wants to.

    There is no way back without a privilege: only for what is certain to end, and not yet reaped.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
