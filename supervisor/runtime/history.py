"""What is known of the service and outlives its supervisors: a few numbers that heart keeps.

They stand in a memfd, which each supervisor stores with heart, and the next one inherits. They end
with the service: with heart and supervisor both, or by a stop. Little-endian:

    byte  0         8            16            24             32
          +---------+------------+-------------+--------------+
          | magic   | started_ns | supervisors | brain deaths |
          +---------+------------+-------------+--------------+

`started_ns`: CLOCK_MONOTONIC when the first supervisor began. `supervisors`: how many have begun.
One process writes, the supervisor that lives; no brain has the descriptor.
"""

import mmap
import os
import struct
import time
from collections.abc import Mapping

STORE_NAME = "service.history"
MAGIC = int.from_bytes(b"osuhist1", "little")
_NUMBERS = struct.Struct("<4Q")


class History:
    """The numbers, as of now. Owns the descriptor."""

    def __init__(self, fd: int) -> None:
        """`fd`: a file that holds the numbers; it is mapped."""
        self.fd = fd
        self._map = mmap.mmap(fd, _NUMBERS.size)
        numbers: tuple[int, ...] = _NUMBERS.unpack_from(self._map)
        _, self._started_ns, self._supervisors, self._brain_deaths = numbers

    @property
    def supervisor_deaths(self) -> int:
        """Supervisors that ended before this one."""
        return self._supervisors - 1

    @property
    def brain_deaths(self) -> int:
        """Brains that ended since the service was started, also while no supervisor lived."""
        return self._brain_deaths

    def uptime_s(self) -> float:
        """Seconds since the service's first supervisor began."""
        return (time.monotonic_ns() - self._started_ns) / 1e9

    def count_brain_death(self) -> None:
        self._brain_deaths += 1
        self._write()

    def begin(self) -> None:
        """Another supervisor has begun: this one."""
        self._supervisors += 1
        self._write()

    def _write(self) -> None:
        numbers = (MAGIC, self._started_ns, self._supervisors, self._brain_deaths)
        _NUMBERS.pack_into(self._map, 0, *numbers)


def inherit(stored: Mapping[str, int]) -> History:
    """The history that an earlier supervisor of this service left, or a new one. Raises OSError."""
    fd = stored.get(STORE_NAME)
    if fd is None or not _is_history(fd):
        fd = _create()
    history = History(fd)
    history.begin()
    return history


def _create() -> int:
    fd = os.memfd_create("osupervisor-history", os.MFD_CLOEXEC)
    os.write(fd, _NUMBERS.pack(MAGIC, time.monotonic_ns(), 0, 0))
    return fd


def _is_history(fd: int) -> bool:
    """Whether it is ours: another version of the supervisor may have written another form."""
    try:
        head = os.pread(fd, _NUMBERS.size, 0)
    except OSError:
        return False
    return len(head) == _NUMBERS.size and _NUMBERS.unpack(head)[0] == MAGIC
