"""System calls that Python doesn't know, by number; the numbers are those of all 64-bit Linux."""

import ctypes

LANDLOCK_CREATE_RULESET = 444
LANDLOCK_CREATE_RULESET_VERSION = 1
PR_GET_SECCOMP = 21


def landlock_abi() -> int | None:
    """Landlock's version; None where the kernel has none, or it is switched off."""
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (None, ctypes.c_size_t(0), ctypes.c_uint32(LANDLOCK_CREATE_RULESET_VERSION))
    version: int = libc.syscall(ctypes.c_long(LANDLOCK_CREATE_RULESET), *arguments)
    return version if version > 0 else None


def has_seccomp() -> bool:
    """Whether the kernel can filter system calls."""
    libc = ctypes.CDLL(None, use_errno=True)
    mode: int = libc.prctl(PR_GET_SECCOMP, 0, 0, 0, 0)
    return mode >= 0


def clock_state() -> int | None:
    """adjtimex's answer: 5 means that nothing keeps the clock right; None: not to be had."""
    libc = ctypes.CDLL(None, use_errno=True)
    state: int = libc.adjtimex(ctypes.create_string_buffer(512))  # struct timex, modes = 0: read
    return state if state >= 0 else None
