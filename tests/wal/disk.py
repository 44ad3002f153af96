"""A disk in memory with a page cache, a platter and faults: a `Storage` to crash at any step.

What a program reads and writes is the cache. `sync` and `sync_dir` carry it to the platter. After
a power cut each 512-byte sector holds any version that it had since its file was last synced, the
size any that it had, and each name any file that it named since the directory was last synced:
every legal subset of what was not synced, and some that no real filesystem leaves.

A sync that fails loses what it was to carry: some of it arrives, the rest is clean in the cache
and never goes to the platter, however often the file is synced after that.
"""

import errno
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

SECTOR = 512

Fault = Literal["crash", "crash after", "EIO", "ENOSPC", "short"]


class Crash(BaseException):
    """The process, or the power, ended at this step."""


@dataclass(slots=True)
class Change:
    """Something done to a file since its last sync: bytes put at an offset, or a new size."""

    offset: int
    data: bytes
    size: int


@dataclass(slots=True)
class Inode:
    cache: bytearray = field(default_factory=bytearray)
    platter: bytearray = field(default_factory=bytearray)
    changes: list[Change] = field(default_factory=list[Change])
    written: int = 0
    """Behind this offset there is nothing but what was allocated and never written."""

    def put(self, offset: int, data: bytes, size: int) -> None:
        _put(self.cache, offset, data, size)
        self.changes.append(Change(offset, data, size))

    def synced(self) -> None:
        self.platter = bytearray(self.cache)
        self.changes = []

    def survive(self, rng: random.Random) -> bytearray:
        """What is on the platter after a power cut: any legal subset of the changes."""
        left = bytearray(self.platter)
        sizes = [len(self.platter), *(change.size for change in self.changes)]
        for start, touching in self._by_sector().items():
            for change in touching[: rng.randint(0, len(touching))]:
                low = max(start, change.offset)
                high = min(start + SECTOR, change.offset + len(change.data))
                piece = change.data[low - change.offset : high - change.offset]
                _put(left, low, piece, max(len(left), high))
        size = rng.choice(sizes)
        del left[size:]
        left.extend(bytes(size - len(left)))
        return left

    def _by_sector(self) -> dict[int, list[Change]]:
        sectors: dict[int, list[Change]] = {}
        for change in self.changes:
            first = change.offset - change.offset % SECTOR
            for start in range(first, change.offset + len(change.data), SECTOR):
                sectors.setdefault(start, []).append(change)
        return sectors


def _put(content: bytearray, offset: int, data: bytes, size: int) -> None:
    content.extend(bytes(max(offset + len(data) - len(content), 0)))
    content[offset : offset + len(data)] = data
    content.extend(bytes(max(size - len(content), 0)))
    del content[size:]


class Disk:
    """A Storage. `faults` says what goes wrong at which step; steps count from 1."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self.faults: dict[int, Fault] = {}
        self.steps = 0
        self.trace: list[str] = []
        self.full = False
        self.syncs_fail = False
        self.truncates_fail = False
        self.process = 0
        self._names: dict[str, Inode] = {}
        self._histories: dict[str, list[Inode | None]] = {}

    # What happens to the machine.

    def kill(self) -> None:
        """The process dies: the cache stays, its open files are gone."""
        self.process += 1
        self.faults = {}

    def cut_power(self) -> None:
        """The machine dies: what was not synced survives in some legal subset."""
        self.kill()
        names: dict[str, Inode] = {}
        for name, history in self._histories.items():
            inode = self.rng.choice(history)
            if inode is not None:
                names[name] = inode
        for inode in {id(inode): inode for inode in names.values()}.values():
            inode.cache = inode.survive(self.rng)
            inode.synced()
        self._names = names
        self._histories = {name: [inode] for name, inode in names.items()}

    def settle(self) -> None:
        """Everything goes to the platter, damage done to the cache included."""
        for name, inode in self._names.items():
            inode.synced()
            self._histories[name] = [inode]

    def content(self, name: str) -> bytearray:
        """The file's bytes in the cache, to be damaged."""
        return self._names[name].cache

    def step(self, what: str) -> Fault | None:
        """Count a step; the fault that is planned for it, unless that is to crash before it."""
        self.steps += 1
        self.trace.append(f"{self.steps} {what}")
        fault = self.faults.get(self.steps)
        if fault == "crash":
            raise Crash(what)
        if fault in ("EIO", "ENOSPC"):
            raise OSError(getattr(errno, fault), f"planned at step {self.steps}", what)
        return fault

    def done(self, fault: Fault | None) -> None:
        if fault == "crash after":
            raise Crash

    def refuse_when_full(self, what: str) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "the disk is full", what)

    # Storage

    def names(self) -> Sequence[str]:
        return sorted(self._names)

    def path(self, name: str) -> str:
        return f"disk/{name}"

    def create(self, name: str) -> "DiskFile":
        fault = self.step(f"create {name}")
        self.refuse_when_full(name)
        if name in self._names:
            raise FileExistsError(errno.EEXIST, "the name is taken", name)
        self._bind(name, Inode())
        self.done(fault)
        return self.open(name, writable=True)

    def open(self, name: str, writable: bool = False) -> "DiskFile":
        return DiskFile(self, name, self._find(name), writable)

    def rename(self, old: str, new: str) -> None:
        inode = self._find(old)
        fault = self.step(f"rename {old} {new}")
        if self._names.get(new) is not inode:
            self._bind(new, inode)
            self._bind(old, None)
        self.done(fault)

    def link(self, old: str, new: str) -> None:
        fault = self.step(f"link {old} {new}")
        if new in self._names:
            raise FileExistsError(errno.EEXIST, "the name is taken", new)
        self._bind(new, self._find(old))
        self.done(fault)

    def remove(self, name: str) -> None:
        self._find(name)
        fault = self.step(f"remove {name}")
        self._bind(name, None)
        self.done(fault)

    def sync_dir(self) -> None:
        fault = self.step("sync_dir")
        if self.syncs_fail:
            raise OSError(errno.EIO, "the directory can't be synced")
        self._histories = {name: [inode] for name, inode in self._names.items()}
        self.done(fault)

    def _find(self, name: str) -> Inode:
        if name not in self._names:
            raise FileNotFoundError(errno.ENOENT, "there is no such file", name)
        return self._names[name]

    def _bind(self, name: str, inode: Inode | None) -> None:
        self._histories.setdefault(name, [None]).append(inode)
        if inode is None:
            self._names.pop(name, None)
        else:
            self._names[name] = inode


class DiskFile:
    """A LogFile of a `Disk`, open in the process of that moment."""

    def __init__(self, disk: Disk, name: str, inode: Inode, writable: bool) -> None:
        self._disk = disk
        self._name = name
        self._inode = inode
        self._writable = writable
        self._process = disk.process
        self._failed = False
        self._open = True

    @property
    def name(self) -> str:
        return self._name

    def size(self) -> int:
        self._check()
        return len(self._inode.cache)

    def data_end(self) -> int:
        self._check()
        end = self._inode.written
        return min(end + -end % SECTOR, len(self._inode.cache))

    def read(self, offset: int, size: int) -> bytes:
        self._check()
        assert size >= 0, "the kernel refuses it"
        return bytes(self._inode.cache[offset : offset + size])

    def write(self, offset: int, data: bytes | memoryview) -> int:
        """A crash leaves any part of it behind. An error leaves some in the cache that was not
        reported, as no kernel is known to do; it doesn't go to the platter.
        """
        self._check(writes=True)
        partly = bytes(data[: self._disk.rng.randint(0, len(data))])
        try:
            fault = self._disk.step(f"write {self._name} {offset} {len(data)}")
            self._disk.refuse_when_full(self._name)
        except Crash:
            self._put(offset, partly)
            raise
        except OSError:
            size = max(len(self._inode.cache), offset + len(partly))
            _put(self._inode.cache, offset, partly, size)
            self._inode.written = max(self._inode.written, offset + len(partly))
            raise
        if fault == "short":
            data = data[: max(len(partly), 1)]
            self._disk.faults[self._disk.steps + 1] = "ENOSPC"
        self._put(offset, bytes(data))
        self._disk.done(fault)
        return len(data)

    def allocate(self, size: int) -> None:
        self._change(f"allocate {self._name} {size}", lambda: self._resize(size))
        self._disk.refuse_when_full(self._name)

    def truncate(self, size: int) -> None:
        if self._disk.truncates_fail:
            raise OSError(errno.EIO, "the file can't be cut", self._name)
        self._change(f"truncate {self._name} {size}", lambda: self._resize(size))

    def sync(self) -> None:
        if not self._open:
            if self._inode.changes or self._failed:
                raise OSError(errno.EBADF, "the file is closed", self._name)
            return
        self._check()
        try:
            fault = self._disk.step(f"sync {self._name}")
            if self._failed or self._disk.syncs_fail:
                raise OSError(errno.EIO, "the file can't be synced", self._name)
        except OSError:
            self._failed = True
            self._inode.platter = self._inode.survive(self._disk.rng)
            self._inode.changes = []
            raise
        self._carry()
        self._disk.done(fault)

    def close(self) -> None:
        self._open = False

    def _carry(self) -> None:
        """What changed since the last sync, and only that, arrives on the platter."""
        for change in self._inode.changes:
            _put(self._inode.platter, change.offset, change.data, change.size)
        self._inode.changes = []

    def _put(self, offset: int, data: bytes) -> None:
        if data:
            size = max(len(self._inode.cache), offset + len(data))
            self._inode.put(offset, data, size)
            self._inode.written = max(self._inode.written, offset + len(data))

    def _resize(self, size: int) -> None:
        cut = len(self._inode.cache) - size
        zeros = bytes(max(cut, 0))
        if zeros:  # what is cut off reads as zeros should the file grow again
            self._inode.put(size, zeros, size + cut)
        self._inode.put(size, b"", size)
        self._inode.written = min(self._inode.written, size)

    def _change(self, what: str, change: Callable[[], None]) -> None:
        self._check(writes=True)
        fault = self._disk.step(what)
        change()
        self._disk.done(fault)

    def _check(self, writes: bool = False) -> None:
        assert self._open, "the file is closed"
        assert self._process == self._disk.process, "the process that opened it is dead"
        assert self._writable or not writes, "the file is open for reading"
