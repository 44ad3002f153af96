"""What is known of the service and outlives its supervisors: a file in memory that heart keeps.

Each supervisor stores its descriptor with heart, and the next one inherits it. It ends with the
service: with heart and supervisor both, or by a stop. Little-endian:

    byte  0       8            16            24             32     40     48      64
          +-------+------------+-------------+--------------+------+------+-------+-----------
          | magic | started_ns | supervisors | brain deaths | pid  | rung | zeros | last words
          +-------+------------+-------------+--------------+------+------+-------+-----------

`started_ns`: CLOCK_MONOTONIC when the first supervisor began. `supervisors`: how many have begun.
`pid`: of the last one. `rung`: of the ladder that brains are started by, 0 for the first: no
supervisor has to go down all of it again. Last words: what the last one said while it died, as
text: the traceback of an error, or what faulthandler writes on a fatal signal. One process writes,
the supervisor that lives; no brain has the descriptor.
"""

import faulthandler
import fcntl
import mmap
import os
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass

STORE_NAME = "service.history"
MAGIC = int.from_bytes(b"osuhist1", "little")
HEAD_BYTES = 64
WORDS_BYTES_MAX = 64 * 1024
"""Of one saying, and of what is read: a traceback of a thousand lines fits."""
_NUMBERS = struct.Struct("<6Q")


@dataclass(frozen=True, slots=True)
class LastWords:
    """What the supervisor with this pid said while it died; mostly nothing. 0: there was none."""

    pid: int
    text: str


class History:
    """The numbers, as of now. Owns the descriptor."""

    def __init__(self, fd: int) -> None:
        """`fd`: a file in memory that holds the numbers; it is mapped."""
        self.fd = fd
        self._map = mmap.mmap(fd, HEAD_BYTES)
        numbers: tuple[int, ...] = _NUMBERS.unpack_from(self._map)
        _, self._started_ns, self._supervisors, self._brain_deaths, pid, self._rung = numbers
        words = os.pread(fd, WORDS_BYTES_MAX, HEAD_BYTES)
        self.last_words = LastWords(pid, words.decode("utf-8", "replace"))
        """Of the supervisor before this one."""

    @property
    def supervisor_deaths(self) -> int:
        """Supervisors that ended before this one."""
        return self._supervisors - 1

    @property
    def brain_deaths(self) -> int:
        """Brains that ended since the service was started, also while no supervisor lived."""
        return self._brain_deaths

    @property
    def rung(self) -> int:
        """Of the ladder, counted from 0; what was kept last."""
        return self._rung

    def keep_rung(self, rung: int) -> None:
        if rung != self._rung:
            self._rung = rung
            self._write()

    def uptime_s(self) -> float:
        """Seconds since the service's first supervisor began."""
        return (time.monotonic_ns() - self._started_ns) / 1e9

    def count_brain_death(self) -> None:
        self._brain_deaths += 1
        self._write()

    def begin(self) -> None:
        """Another supervisor has begun, this process: its words take the place of the last ones."""
        self._supervisors += 1
        os.ftruncate(self.fd, HEAD_BYTES)
        self._write()

    def say(self, text: str) -> None:
        """Last words: this process is about to end. Raises OSError."""
        os.write(self.fd, text.encode("utf-8", "replace")[-WORDS_BYTES_MAX:])

    def listen(self) -> None:
        """From now on a fatal signal leaves the tracebacks of all threads here."""
        faulthandler.enable(file=self.fd, all_threads=True)

    def _write(self) -> None:
        counts = (self._started_ns, self._supervisors, self._brain_deaths)
        _NUMBERS.pack_into(self._map, 0, MAGIC, *counts, os.getpid(), self._rung)


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
    os.write(fd, _NUMBERS.pack(MAGIC, time.monotonic_ns(), 0, 0, 0, 0).ljust(HEAD_BYTES, b"\0"))
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)  # for all who hold it: words never meet the head
    return fd


def _is_history(fd: int) -> bool:
    """Whether it is ours: another version of the supervisor may have written another form."""
    try:
        head = os.pread(fd, HEAD_BYTES, 0)
    except OSError:
        return False
    return len(head) == HEAD_BYTES and _NUMBERS.unpack_from(head)[0] == MAGIC
