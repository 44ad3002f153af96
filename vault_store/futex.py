"""Waiting for a brain's death on its mutex's word, through a read-only mapping.

The waiter never calls a pthread function on memory that a brain can write: glibc follows pointers
there, and a scribbling child would take the supervisor with it. It compares a 32-bit word and waits
in the kernel (`FUTEX_WAIT`), which needs no more than to read. Nothing that the brain writes there
can do more than make it wait for its pidfd.

    word as the brain leaves it     owner's thread id | FUTEX_WAITERS
    word after the owner's death    FUTEX_OWNER_DIED | FUTEX_WAITERS, stored by the kernel

* Any other word is no death: a mutex not made yet, or scribbled over. Such a brain's death is told
  by its pidfd alone.
* A brain can store the word of a dead one. `exiting` tells that from the truth. Whoever acts on a
  wake kills the brain by its pidfd first: that makes a false alarm true and harms only the liar.
* Works from any thread: the wait releases the GIL.
"""

import ctypes
import errno
import mmap
import os
import platform
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from osupervisor.vault_store.hot_layout import MUTEX_OFFSET
from osupervisor.vault_store.mutex import FUTEX_OWNER_DIED, FUTEX_WAITERS

DEAD: Final = FUTEX_OWNER_DIED | FUTEX_WAITERS

SYS_FUTEX: Final = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221, "s390x": 238}.get(
    platform.machine()
)
_FUTEX_WAIT, _FUTEX_WAKE = 0, 1
_EVERYBODY = 2**31 - 1
# A word that changes under the waiter, or a wake without a death: pause, so that a scribbling
# brain can't make the supervisor spin.
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.001, 0.05
_PF_EXITING = 0x4
_EXIT_TRIES, _EXIT_PAUSE_S = 5, 0.00002


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _PyBuffer(ctypes.Structure):
    """CPython's Py_buffer, to find the address of a mapping that is read-only."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_libc = ctypes.CDLL(None, use_errno=True)
_futex = _libc.syscall
_futex.restype = ctypes.c_long
_futex.argtypes = (
    ctypes.c_long,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_uint32,
    ctypes.POINTER(_Timespec),
    ctypes.c_void_p,
    ctypes.c_uint32,
)


def available() -> bool:
    """Whether this machine's system call is known; else the pidfd is the only watch."""
    return SYS_FUTEX is not None


def wait_for_death(mapping: mmap.mmap, timeout_s: float, offset: int = MUTEX_OFFSET) -> bool:
    """Wait until the word at `offset` says that its owner died; False: not within `timeout_s`.

    Blocks its thread and releases the GIL. `mapping` can't be closed while it waits.
    """
    deadline = time.monotonic() + timeout_s
    pause_s = _PAUSE_S_MIN
    with _address(mapping, offset) as address:
        while True:
            word = _load(mapping, offset)
            if word == DEAD:
                _call(address, _FUTEX_WAKE, _EVERYBODY, None)
                return True
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            _call(address, _FUTEX_WAIT, word, left_s)
            if _load(mapping, offset) != DEAD:
                time.sleep(max(0.0, min(pause_s, deadline - time.monotonic())))
                pause_s = min(pause_s * 2, _PAUSE_S_MAX)


def exiting(pid: int) -> bool:
    """Whether `pid` is on its way out, or gone: tells a true alarm from a lie. About 20 us.

    The link to its program goes when it lets go of its memory, which is the next that it does
    after waking the waiters; a moment is waited for that. Only then its flags are read: whoever
    reads them holds the memory meanwhile, and may find itself tearing down gigabytes.
    The caller holds a pidfd of `pid` that was not readable before, or the number may be another's.
    """
    for _ in range(_EXIT_TRIES):
        try:
            os.readlink(f"/proc/{pid}/exe")
        except (FileNotFoundError, ProcessLookupError):
            return True
        except PermissionError:
            break
        time.sleep(_EXIT_PAUSE_S)
    return _flags(pid) & _PF_EXITING != 0


def _flags(pid: int) -> int:
    """The kernel's flags of a process, all set when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ~0
    # The name, in parentheses, may hold anything; flags are the seventh field behind it.
    return int(stat[stat.rindex(b")") + 2 :].split()[6])


def _call(address: int, operation: int, value: int, timeout_s: float | None) -> int:
    """The system call; its errno, 0: none. Which it was doesn't matter: the word decides."""
    timespec = None
    if timeout_s is not None:
        seconds = int(timeout_s)
        timespec = ctypes.byref(_Timespec(seconds, int((timeout_s - seconds) * 1e9)))
    if SYS_FUTEX is None:
        raise OSError(errno.ENOSYS, "the futex system call of this machine is not known")
    if _futex(SYS_FUTEX, address, operation, value, timespec, None, 0) >= 0:
        return 0
    return ctypes.get_errno()


def _load(mapping: mmap.mmap, offset: int) -> int:
    return int.from_bytes(mapping[offset : offset + 4], sys.byteorder)


@contextmanager
def _address(mapping: mmap.mmap, offset: int) -> Generator[int]:
    """The address of a byte of a mapping, which stays mapped until the end of the block."""
    buffer = _PyBuffer()
    get, release = ctypes.pythonapi.PyObject_GetBuffer, ctypes.pythonapi.PyBuffer_Release
    get(ctypes.py_object(mapping), ctypes.byref(buffer), 0)
    try:
        yield buffer.buf + offset
    finally:
        release(ctypes.byref(buffer))
