"""Where segments live: the operations that the log needs of a directory, and the real one.

`Storage` and `LogFile` are protocols, so that tests and the simulator can put a disk with a page
cache, a platter and faults in the place of `DirectoryStorage`. What is durable when:

    LogFile.sync          the file's bytes and size
    Storage.sync_dir      which names exist, and which file each of them is

Everything else is in the kernel alone when it returns. All operations raise OSError when they
fail. Nothing here retries: an fsync that failed once fails for ever on that file, because the
kernel marks the pages clean and a second call would succeed without having written them.

Descriptors are never inherited by a program that is executed.
"""

import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class LogFile(Protocol):
    """One open file. Only `sync` may run in a thread beside the others."""

    @property
    def name(self) -> str: ...

    def size(self) -> int:
        """Bytes, preallocated ones included."""
        ...

    def data_end(self) -> int:
        """An offset from which on there is nothing but preallocated zeros, or the size."""
        ...

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`; fewer only at the end of the file."""
        ...

    def write(self, offset: int, data: bytes | memoryview) -> int:
        """How many bytes of `data`, from its first one, are in the kernel now: at least 1."""
        ...

    def allocate(self, size: int) -> None:
        """Take room for `size` bytes, zeros where nothing was written."""
        ...

    def truncate(self, size: int) -> None: ...

    def sync(self) -> None:
        """Make the file's bytes durable. Once it has failed it always fails."""
        ...

    def close(self) -> None:
        """Close it; waits for a `sync` under way. A later one fails unless all is durable."""
        ...


class Storage(Protocol):
    """A flat directory of files."""

    def names(self) -> Sequence[str]:
        """Every file's name, sorted."""
        ...

    def path(self, name: str) -> str:
        """What to call the file in a message."""
        ...

    def create(self, name: str) -> LogFile:
        """A new, empty, writable file. Raises FileExistsError when the name is taken."""
        ...

    def open(self, name: str, writable: bool = False) -> LogFile: ...

    def rename(self, old: str, new: str) -> None:
        """Give the file another name, in one step; a file that had it loses it."""
        ...

    def link(self, old: str, new: str) -> None:
        """A second name for a file. Raises FileExistsError when the name is taken."""
        ...

    def remove(self, name: str) -> None: ...

    def sync_dir(self) -> None:
        """Make durable which names exist."""
        ...


class DescriptorFile:
    """A LogFile over a descriptor, which it owns."""

    def __init__(self, name: str, fd: int) -> None:
        self._name = name
        self._fd = fd
        self._lock = threading.Lock()
        self._sync_error: OSError | None = None
        self._clean = False

    @property
    def name(self) -> str:
        return self._name

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def data_end(self) -> int:
        size = self.size()
        hole = 0
        while (data := _seek(self._fd, hole, os.SEEK_DATA)) is not None:
            end = _seek(self._fd, data, os.SEEK_HOLE)
            if end is None or end >= size:
                return size
            hole = end
        return hole

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def write(self, offset: int, data: bytes | memoryview) -> int:
        written = os.pwrite(self._fd, data, offset)
        if written == 0:
            raise OSError(errno.EIO, "the kernel took no byte", self._name)
        self._clean = False
        return written

    def allocate(self, size: int) -> None:
        os.posix_fallocate(self._fd, 0, size)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def sync(self) -> None:
        with self._lock:
            if self._sync_error is not None:
                raise OSError(self._sync_error.errno, f"an earlier sync failed: {self._sync_error}")
            if self._fd == -1:
                if self._clean:
                    return
                raise OSError(errno.EBADF, "closed before it was synced", self._name)
            try:
                self._clean = True
                os.fdatasync(self._fd)
            except OSError as error:
                self._sync_error = error
                raise

    def close(self) -> None:
        with self._lock:
            if self._fd != -1:
                os.close(self._fd)
                self._fd = -1


class DirectoryStorage:
    """The real directory, which must exist; the first `sync_dir` makes its own name durable."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._named = False

    def names(self) -> Sequence[str]:
        return sorted(os.listdir(self._directory))

    def path(self, name: str) -> str:
        return str(self._directory / name)

    def create(self, name: str) -> LogFile:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return DescriptorFile(name, os.open(self.path(name), flags, 0o600))

    def open(self, name: str, writable: bool = False) -> LogFile:
        return DescriptorFile(name, self.open_fd(name, writable))

    def open_fd(self, name: str, writable: bool = False) -> int:
        """A descriptor of the file, to hand to a follower; whoever asks closes it."""
        flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC
        return os.open(self.path(name), flags)

    def rename(self, old: str, new: str) -> None:
        os.rename(self.path(old), self.path(new))

    def link(self, old: str, new: str) -> None:
        os.link(self.path(old), self.path(new))

    def remove(self, name: str) -> None:
        os.unlink(self.path(name))

    def sync_dir(self) -> None:
        _sync_directory(self._directory)
        if not self._named:
            _sync_directory(self._directory.resolve().parent)
            self._named = True


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _seek(fd: int, offset: int, whence: int) -> int | None:
    """The next data or hole at or behind `offset`. None: nothing but a hole to the end."""
    try:
        return os.lseek(fd, offset, whence)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):  # a filesystem that can't tell holes
            return offset if whence == os.SEEK_DATA else None
        raise
