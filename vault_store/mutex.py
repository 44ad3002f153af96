"""The robust mutex that tells of a brain's death; used in the brain's own process only.

A brain makes a robust, process-shared mutex in its hot segment and holds it for life. When its
main thread ends, however it ends, the kernel walks the thread's robust list *before* it tears
the memory down, sets `FUTEX_OWNER_DIED` in the mutex's first word and wakes whoever waits there.
So a brain of many gigabytes is known to be dead as soon as a small one.

* The kernel wakes only when `FUTEX_WAITERS` is set in the word. glibc sets it when somebody waits
  by `pthread_mutex_lock`; nobody here ever does (see futex.py), so it is set by hand.
* The robust list belongs to a thread: the mutex must be locked by the main thread.
* Forks: the kernel gives a forked child no robust list, and glibc's `fork` empties the one in the
  child's memory before it registers it. So the child holds nothing of its parent's, its death says
  nothing about its parent, and it may lock a mutex of its own in a segment of its own.
"""

import ctypes
import mmap
import threading

from osupervisor.vault_store.errors import RobustMutexError
from osupervisor.vault_store.hot_layout import MUTEX_BYTES

FUTEX_WAITERS = 0x8000_0000
FUTEX_OWNER_DIED = 0x4000_0000
FUTEX_TID_MASK = 0x3FFF_FFFF

# glibc's values; musl has the same for both.
_PTHREAD_PROCESS_SHARED = 1
_PTHREAD_MUTEX_ROBUST = 1
# A mutex attribute is 4 to 8 bytes on every glibc.
_ATTRIBUTE_BYTES = 64


def hold(mapping: mmap.mmap, offset: int) -> None:
    """Make the mutex at `offset` of a shared, writable mapping and lock it until this process ends.

    The mapping is kept for the life of the process: the kernel reads it at the end.
    Raises RobustMutexError where the C library can't do it; the pidfd is then the only watch.
    """
    assert threading.current_thread() is threading.main_thread(), "the list is the thread's"
    mapping[offset : offset + MUTEX_BYTES] = bytes(MUTEX_BYTES)
    area = (ctypes.c_char * MUTEX_BYTES).from_buffer(mapping, offset)
    _make_and_lock(ctypes.addressof(area))
    word = ctypes.c_uint32.from_buffer(mapping, offset)
    if word.value & FUTEX_TID_MASK != threading.get_native_id():
        raise RobustMutexError(f"the mutex's first word is {word.value:#x}, not the thread's id")
    word.value |= FUTEX_WAITERS
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(mapping))


def release_in_child(mapping: mmap.mmap) -> None:
    """After a fork, in the child: drop the reference that `hold` took in the parent."""
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(mapping))


def _make_and_lock(address: int) -> None:
    try:
        libc = ctypes.CDLL(None)
        calls = (
            libc.pthread_mutexattr_init,
            libc.pthread_mutexattr_setpshared,
            libc.pthread_mutexattr_setrobust,
            libc.pthread_mutex_init,
            libc.pthread_mutex_lock,
        )
    except (OSError, AttributeError) as error:
        raise RobustMutexError(f"no robust mutexes in this C library: {error}") from error
    init_attribute, set_shared, set_robust, init, lock = calls
    attribute = ctypes.create_string_buffer(_ATTRIBUTE_BYTES)
    mutex = ctypes.c_void_p(address)
    _check("pthread_mutexattr_init", init_attribute(attribute))
    _check("pthread_mutexattr_setpshared", set_shared(attribute, _PTHREAD_PROCESS_SHARED))
    _check("pthread_mutexattr_setrobust", set_robust(attribute, _PTHREAD_MUTEX_ROBUST))
    _check("pthread_mutex_init", init(mutex, attribute))
    _check("pthread_mutex_lock", lock(mutex))


def _check(call: str, error_number: int) -> None:
    if error_number != 0:
        raise RobustMutexError(f"{call} failed with error {error_number}")
