"""A file that lines are appended to and that never grows beyond its bound: rotation.

    supervisor.log      the current one
    supervisor.log.1    the one before it
    ...
    supervisor.log.5    the oldest that stays, with `kept` 5

A write lies in one file. Nothing is synced: a log is for people, and what a power cut
takes of it is not missed.
"""

import os
from contextlib import suppress
from itertools import count
from pathlib import Path


class RotatedFile:
    """Made if it is not there, and readable by its owner alone."""

    def __init__(self, path: Path, bytes_max: int, kept: int) -> None:
        """Raises OSError."""
        self._path = path
        self._bytes_max = bytes_max
        self._kept = kept
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_beyond()
        self._fd = _open(path)
        self._size = os.fstat(self._fd).st_size
        # Whoever wrote here before may have died in the middle of a line.
        self._is_torn = self._size > 0 and os.pread(self._fd, 1, self._size - 1) != b"\n"

    def append(self, lines: bytes) -> None:
        """Write whole lines. Raises OSError; then part of them may stand there, torn."""
        if self._size > 0 and self._size + len(lines) > self._bytes_max:
            # Without room for another file (descriptors, the disk) this one goes on.
            with suppress(OSError):
                self._rotate()
        rest = memoryview(b"\n" + lines if self._is_torn else lines)
        while rest:
            written = os.write(self._fd, rest)
            self._size += written
            rest = rest[written:]
            self._is_torn = bool(rest)

    def close(self) -> None:
        os.close(self._fd)

    def detach(self) -> int:
        """The current file's descriptor, which is the caller's from now on, for one who appends
        without asking: a child's output. `rotate_shared` bounds it."""
        return self._fd

    def _rotate(self) -> None:
        """The new file first: nothing is moved unless there is one. Raises OSError."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        fd = _open(fresh)
        try:
            _shift(self._path, self._kept, 0)
            os.replace(fresh, self._path)
        except OSError:
            os.close(fd)
            raise
        os.close(self._fd)
        self._fd = fd
        self._size = 0
        self._is_torn = False

    def _remove_beyond(self) -> None:
        """More stayed with an earlier setting."""
        for number in count(self._kept + 1):
            try:
                rotated_name(self._path, number).unlink()
            except FileNotFoundError:
                return


def rotate_shared(path: Path, bytes_max: int, kept: int) -> bool:
    """Rotate a file that somebody else appends to, and goes on appending to: its end is copied, and
    it is cut. What is written between the two is lost. False: it is not too large. Raises OSError.
    """
    fd = _open(path)
    try:
        size = os.fstat(fd).st_size
        if size <= bytes_max:
            return False
        with suppress(OSError):  # a full disk gets room all the same
            _copy(fd, size - bytes_max, size, path.with_name(f"{path.name}.new"))
            _shift(path, kept, 1)
            os.replace(path.with_name(f"{path.name}.new"), rotated_name(path, 1))
        os.ftruncate(fd, 0)
        return True
    finally:
        os.close(fd)


def _copy(source: int, start: int, end: int, path: Path) -> None:
    """In the kernel: it may be much, and nobody here wants to see it."""
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        while start < end:
            copied = os.sendfile(target, source, start, end - start)
            if not copied:
                return
            start += copied
    finally:
        os.close(target)


def _shift(path: Path, kept: int, first: int) -> None:
    """From the number `first` on every file gets the next one, up to the first that nothing has, or
    else the last: that file goes."""
    free = next((n for n in range(1, kept) if not rotated_name(path, n).exists()), kept)
    for number in range(free, first, -1):
        _rename(rotated_name(path, number - 1), rotated_name(path, number))


def rotated_name(path: Path, number: int) -> Path:
    """Number 0 is the current file."""
    return path if number == 0 else path.with_name(f"{path.name}.{number}")


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _rename(source: Path, target: Path) -> None:
    try:
        os.replace(source, target)
    except FileNotFoundError:
        return  # there are fewer than are kept
