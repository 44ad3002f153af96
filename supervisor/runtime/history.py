"""What is known of the service and outlives its supervisors: a file in memory that heart keeps.

Each supervisor stores its descriptor with heart, and the next one inherits it. It ends with the
service: with heart and supervisor both, or by a stop. Little-endian:

    byte  0       8            16            24             32     40     48     56       64
          +-------+------------+-------------+--------------+------+------+------+--------+-------
          | magic | started_ns | supervisors | brain deaths | pid  | rung | dead | status | words
          +-------+------------+-------------+--------------+------+------+------+--------+-------

`started_ns`: CLOCK_MONOTONIC when the first supervisor began. `supervisors`: how many have begun.
`pid`: of the last one. `rung`: of the ladder that brains are started by, 0 for the first: no
supervisor has to go down all of it again. Last words: what a supervisor said while it died, as
text: the traceback of an error, or what faulthandler writes on a fatal signal. One process writes,
the supervisor that lives; no brain has the descriptor.

A death waits for its report until a supervisor has come so far that it can write one. `dead`: the
first that waits, 0: none; `status`: its exit code, minus the signal, or the least number for what
nobody knows. Its words are then what stands before a zero byte, and the living one's come behind.
"""

import faulthandler
import fcntl
import mmap
import os
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass

from osupervisor.supervisor.heart.launch import Predecessor

STORE_NAME = "service.history"
MAGIC = int.from_bytes(b"osuhist1", "little")
HEAD_BYTES = 64
WORDS_BYTES_MAX = 64 * 1024
"""Of one saying, and of what is read: a traceback of a thousand lines fits."""
UNKNOWN = -(2**63)
_NUMBERS = struct.Struct("<7Qq")


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
        _, self._started_ns, self._supervisors, self._brain_deaths, pid, self._rung = numbers[:6]
        self._dead, self._status = numbers[6:]
        words = os.pread(fd, 2 * WORDS_BYTES_MAX, HEAD_BYTES)
        self._first_words, _, last = words.rpartition(b"\0")
        self.last_words = LastWords(pid, last[:WORDS_BYTES_MAX].decode("utf-8", "replace"))
        """Of the supervisor before this one."""
        self.waiting: list[tuple[Predecessor, LastWords]] = []
        """Deaths that have no report yet, and what was said: the first of them, and the last."""

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

    def begin(self, predecessor: Predecessor | None) -> None:
        """Another supervisor has begun, this process, behind the end of `predecessor`."""
        self._supervisors += 1
        if self._dead:
            status = None if self._status == UNKNOWN else self._status
            words = LastWords(self._dead, self._first_words.decode("utf-8", "replace"))
            self.waiting.append((Predecessor(self._dead, status), words))
        if predecessor is not None:
            self.waiting.append((predecessor, self.last_words))
        os.ftruncate(self.fd, HEAD_BYTES)
        self._dead = 0
        if self.waiting:
            dead, words = self.waiting[0]
            self._dead, self._status = dead.pid, UNKNOWN if dead.status is None else dead.status
            own = words.text if words.pid == dead.pid else ""
            os.write(self.fd, own.encode("utf-8", "replace")[:WORDS_BYTES_MAX] + b"\0")
        self._write()

    def reported(self) -> None:
        """What `waiting` has was reported."""
        self._dead = 0
        os.ftruncate(self.fd, HEAD_BYTES)
        self._write()

    def say(self, text: str) -> None:
        """Last words: this process is about to end. Raises OSError."""
        words = text.replace("\0", "\\0").encode("utf-8", "replace")
        os.write(self.fd, words[-WORDS_BYTES_MAX:])

    def listen(self) -> None:
        """From now on a fatal signal leaves the tracebacks of all threads here."""
        faulthandler.enable(file=self.fd, all_threads=True)

    def _write(self) -> None:
        counts = (self._started_ns, self._supervisors, self._brain_deaths)
        waiting = (self._dead, self._status)
        _NUMBERS.pack_into(self._map, 0, MAGIC, *counts, os.getpid(), self._rung, *waiting)


def inherit(stored: Mapping[str, int], predecessor: Predecessor | None = None) -> History:
    """The history that an earlier supervisor of this service left, or a new one. Raises OSError."""
    fd = stored.get(STORE_NAME)
    if fd is None or not _is_history(fd):
        fd = _create()
    history = History(fd)
    history.begin(predecessor)
    return history


def _create() -> int:
    fd = os.memfd_create("osupervisor-history", os.MFD_CLOEXEC)
    os.write(fd, _NUMBERS.pack(MAGIC, time.monotonic_ns(), 0, 0, 0, 0, 0, 0))
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)  # for all who hold it: words never meet the head
    return fd


def _is_history(fd: int) -> bool:
    """Whether it is ours: another version of the supervisor may have written another form."""
    try:
        head = os.pread(fd, HEAD_BYTES, 0)
    except OSError:
        return False
    return len(head) == HEAD_BYTES and _NUMBERS.unpack_from(head)[0] == MAGIC
