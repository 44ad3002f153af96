"""What the C library keeps of the memory that this process gave back, and how much of that it may.

Python takes objects of up to 512 bytes from its own arenas, all else from malloc. Left alone, glibc
learns from the first large buffer that is freed to take such buffers from the heap, where whatever
is allocated behind one pins it: after commits of 4 MB the process stayed 30 MB larger. So:

    from BUFFER_BYTES on   a mapping of its own, which goes back to the kernel when it is freed
    smaller                the heap; free pages in the middle of it go back at a quiet moment

Where the C library is another one, all this does nothing.
"""

import ctypes
from typing import Final

MIB: Final = 1024 * 1024
BUFFER_BYTES: Final = 256 * 1024
"""Four times what is read from a socket at once, so that no read maps memory."""
HEAP_END_BYTES: Final = MIB
"""Free bytes at the end of the heap that stay for the next turn."""
LOOK_S: Final = 0.5
QUIET_BYTES: Final = MIB // 2
"""What is appended between two looks at a quiet moment: giving pages back takes 2 ms for 10 MB."""
WORTH_BYTES: Final = 4 * MIB
"""What has to be appended before it is worth while: half of what the log's end in memory holds."""
LOOKS_MAX: Final = 120
"""Without a quiet moment it is done each minute."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_libc: Final = ctypes.CDLL(None)


def set_bounds() -> bool:
    """To be called once, before anything large is allocated. False: another C library."""
    if not hasattr(_libc, "mallopt"):
        return False
    large = _libc.mallopt(_M_MMAP_THRESHOLD, BUFFER_BYTES)
    end = _libc.mallopt(_M_TRIM_THRESHOLD, HEAP_END_BYTES)
    return bool(large and end)


def give_back() -> None:
    """Free pages of the heap go back to the kernel."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


class Slack:
    """When to give memory back, told by what the log took meanwhile."""

    def __init__(self) -> None:
        self._given_back_at = 0
        self._seen = 0
        self._looks = 0

    def is_due(self, appended_bytes: int) -> bool:
        """To be asked each LOOK_S with the bytes appended so far; True: now."""
        appended, self._seen = appended_bytes - self._seen, appended_bytes
        self._looks += 1
        if appended_bytes - self._given_back_at < WORTH_BYTES:
            return False
        if appended > QUIET_BYTES and self._looks < LOOKS_MAX:
            return False
        self._given_back_at, self._looks = appended_bytes, 0
        return True

    def look(self, appended_bytes: int) -> None:
        if self.is_due(appended_bytes):
            give_back()
