"""Reading a rotated file while it is written, without missing a line or reading one twice.

A file is known by its inode, not by its name: rotation moves it to another name under the
reader's hands. At the end of a file that is no longer the current one, the reader goes on
with the one that followed it. If that is gone already (it was read too slowly), reading
goes on with the oldest that is left, and `missed` says so.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from osupervisor.supervisor.logs.rotated_file import rotated_name

_CHUNK_BYTES = 64 * 1024
# A rotation that falls between two looks at the names is looked at again; so many in a
# row there are only if the names lead nowhere.
_LOOKS_MAX = 10


@dataclass(slots=True)
class _Open:
    """`begun`: what was read of a line that has not ended."""

    fd: int
    inode: int
    offset: int = 0
    begun: bytes = b""


class Follower:
    """To be polled. The file may come into being later, and be replaced at any time."""

    def __init__(self, path: Path, last: int = 0) -> None:
        """`last`: so many of the lines that are there come with the first poll."""
        self.missed = False
        self._path = path
        self._open: _Open | None = None
        self._begin(last)

    def poll(self) -> list[bytes]:
        """The lines that have been added, without their newlines. Does not wait."""
        lines: list[bytes] = []
        if self._open is None:
            # Nothing was there at the beginning: all that is there now is new.
            self._open = _oldest(self._path)
        while self._open is not None:
            lines += _read(self._open)
            following = self._following(self._open)
            if following is None:
                break
            # Its writer was done with it before it was renamed: what came last is there now.
            lines += _read(self._open)
            lines += [self._open.begun] if self._open.begun else []
            os.close(self._open.fd)
            self._open = following
        return [line for line in lines if line]

    def close(self) -> None:
        if self._open is not None:
            os.close(self._open.fd)
            self._open = None

    def _begin(self, last: int) -> None:
        """Stand where exactly the last lines are still to come."""
        for there in _all(self._path):
            self.close()
            self._open = there
            there.offset, found = _offset_of_last(there.fd, last)
            last -= found
            if last <= 0:
                break

    def _following(self, here: _Open) -> _Open | None:
        """The file after this one; None while this is the current one.

        Rotation renames the oldest first. So if this file has its number still after the
        other was opened, that one has not been moved either.
        """
        for _ in range(_LOOKS_MAX):
            number = self._number_of(here.inode)
            if number is None:
                # It fell out of the kept ones: what came between is lost to this reader.
                self.missed = True
                return _oldest(self._path)
            following = self._newer(number)
            if self._number_of(here.inode) == number:
                return following
            if following is not None:
                os.close(following.fd)
        return None

    def _newer(self, number: int) -> _Open | None:
        """The next one that is there: a process that died in a rotation leaves a gap."""
        for newer in range(number - 1, -1, -1):
            there = _open(rotated_name(self._path, newer))
            if there is not None:
                return there
        return None

    def _number_of(self, inode: int) -> int | None:
        """Under which of the names it is now."""
        for number, path in _names(self._path):
            with suppress(FileNotFoundError):
                if os.stat(path).st_ino == inode:
                    return number
        return None


def _names(path: Path) -> Iterator[tuple[int, Path]]:
    """Those that are or might be there, the current one first.

    In a rotation one name after the other is free for a moment: only where two in a row
    are missing is there nothing more.
    """
    missing = 0
    for number in count():
        name = rotated_name(path, number)
        missing = 0 if name.exists() else missing + 1
        if missing > 1:
            return
        yield number, name


def _all(path: Path) -> Iterator[_Open]:
    """Each file that is there, opened, the current one first."""
    for _, name in _names(path):
        there = _open(name)
        if there is not None:
            yield there


def _oldest(path: Path) -> _Open | None:
    *newer, oldest = [None, *_all(path)]
    for there in newer:
        if there is not None:
            os.close(there.fd)
    return oldest


def _open(path: Path) -> _Open | None:
    with suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return _Open(fd, os.fstat(fd).st_ino)
    return None


def _read(here: _Open) -> list[bytes]:
    """All lines that are whole. A file that was cut is read from its beginning."""
    if os.fstat(here.fd).st_size < here.offset:
        here.offset, here.begun = 0, b""
    parts = [here.begun]
    while chunk := os.pread(here.fd, _CHUNK_BYTES, here.offset):
        here.offset += len(chunk)
        parts.append(chunk)
    *lines, here.begun = b"".join(parts).split(b"\n")
    return lines


def _offset_of_last(fd: int, wanted: int) -> tuple[int, int]:
    """Where the last so many lines begin, and how many there are."""
    offset = os.fstat(fd).st_size
    newlines = 0
    if wanted <= 0:
        return offset, 0
    # The newline that ends the last line begins none.
    end = offset - 1 if offset and os.pread(fd, 1, offset - 1) == b"\n" else offset
    while end > 0:
        start = max(0, end - _CHUNK_BYTES)
        chunk = os.pread(fd, end - start, start)
        position = len(chunk)
        while (position := chunk.rfind(b"\n", 0, position)) >= 0:
            newlines += 1
            if newlines == wanted:
                return start + position + 1, wanted
        end = start
    return 0, newlines + 1 if offset else 0
