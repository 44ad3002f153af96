"""The few things that the checkpoint store does to a disk, behind one Protocol.

So a test can put a disk in its place that records each step and then loses what was not synced.
Rule: a method returns when its effect is in the kernel; only those that say so make it durable.
"""

import os
import shutil
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """What the store needs. Every method raises OSError."""

    def make_folder(self, path: Path) -> None:
        """Make a folder (mode 0700) and those above it; one that is there is no error."""
        ...

    def names(self, path: Path) -> list[str]:
        """The names in a folder."""
        ...

    def open_new(self, path: Path) -> int:
        """A descriptor for reading and writing on a new file (mode 0600), close-on-exec."""
        ...

    def write_synced(self, path: Path, content: bytes) -> None:
        """A new file with this content; the content is durable, its name is not yet."""
        ...

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Rename in one step; `new` must not be there."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a folder and what is in it."""
        ...


class RealDisk:
    """The file system."""

    def make_folder(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def names(self, path: Path) -> list[str]:
        return os.listdir(path)

    def open_new(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write_synced(self, path: Path, content: bytes) -> None:
        fd = self.open_new(path)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync_folder(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def remove(self, path: Path) -> None:
        shutil.rmtree(path)
