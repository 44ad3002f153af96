"""The hot segment: what a brain shows of itself in shared memory, readable after its death.

`create` makes a segment (the supervisor), `HotWriter` fills it (the brain), `HotReader` reads it
(the supervisor, heart, `top`). hot_layout.py has the bytes, docs/formats/HOT.md explains them.

* A segment is a memfd sealed against shrinking, growing and further seals: without the seals a
  brain's `ftruncate` would kill every reader with SIGBUS.
* A reader trusts nothing in it: the brain can write whatever it likes there.
* A number is one aligned 8-byte store, so that a reader never sees half of one.
"""

import fcntl
import mmap
import os
from collections.abc import Callable, Mapping
from time import monotonic_ns
from typing import Any, Final

from osupervisor.vault_store import hot_layout as layout
from osupervisor.vault_store import mutex
from osupervisor.vault_store.errors import CounterTableError, HotSegmentError
from osupervisor.vault_store.hot_layout import Activity, HotSnapshot

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_SEALS_NEEDED = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW

_HEARTBEAT: Final = layout.HEARTBEAT_OFFSET // 8
_BEATS: Final = layout.BEATS_OFFSET // 8
_CELL: Final = layout.CELL_OFFSET // 8
_CELL_SINCE: Final = layout.CELL_SINCE_OFFSET // 8
_LSN: Final = layout.LSN_OFFSET // 8
_TABLE: Final = layout.TABLE_OFFSET // 8
_ENTRY: Final = layout.ENTRY_BYTES // 8


def create(name: str = "osupervisor-hot") -> int:
    """A new segment, zeroed and sealed; its descriptor, close-on-exec. The caller closes it."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, layout.SEGMENT_BYTES)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(fd)
        raise
    return fd


def check_sealed(fd: int) -> None:
    """Raise HotSegmentError unless `fd` is a segment whose size nobody can change."""
    size = os.fstat(fd).st_size
    if size != layout.SEGMENT_BYTES:
        raise HotSegmentError(f"a hot segment of {size} bytes, not {layout.SEGMENT_BYTES}")
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError as error:
        raise HotSegmentError(f"not a memfd: {error.strerror}") from error
    if seals & _SEALS_NEEDED != _SEALS_NEEDED:
        raise HotSegmentError(f"a hot segment with seals {seals:#x}: it could be cut under us")


class HotWriter:
    """A brain's own segment. Makes and holds the robust mutex, so: in the main thread, for life.

    `fd` may be closed after. Forked children must call `forget_in_child` before they make a
    writer of their own; the parent's segment belongs to the parent.
    Raises HotSegmentError, RobustMutexError.
    """

    __slots__ = (
        "_indices",
        "_integers",
        "_kinds",
        "_mapping",
        "_now",
        "_number",
        "_reals",
        "_words",
    )

    def __init__(self, fd: int) -> None:
        check_sealed(fd)
        self._mapping = mmap.mmap(fd, layout.SEGMENT_BYTES, mmap.MAP_SHARED)
        view = memoryview(self._mapping)
        self._words = view.cast("Q")
        self._integers = view.cast("q")
        self._reals = view.cast("d")
        self._now: Callable[[], Any] = monotonic_ns
        self._indices: dict[str, int] = {}
        # What stands in the table, so that it need not be read there.
        self._kinds = bytearray(layout.COUNTERS_MAX)
        self._number = 0
        self._words[layout.PID_OFFSET // 8] = os.getpid()
        mutex.hold(self._mapping, layout.MUTEX_OFFSET)
        header = layout.header()
        self._mapping[: len(header)] = header

    def beat(self) -> None:
        """The heartbeat: now, and one more. Safe in a signal handler."""
        words = self._words
        words[_HEARTBEAT] = self._now()
        words[_BEATS] = words[_BEATS] + 1 & 0xFFFF_FFFF_FFFF_FFFF

    def enter(self, n: int) -> None:
        """Store, before call `n` (>= 1) is executed, that it is."""
        words = self._words
        words[_CELL_SINCE] = self._now()
        words[_CELL] = n

    def leave(self) -> None:
        """Store that nothing is being executed."""
        self._words[_CELL] = 0

    def set_lsn(self, lsn: int) -> None:
        """Store the last LSN applied."""
        self._words[_LSN] = lsn

    def describe(self, op: str, key: bytes, since_ns: int) -> None:
        """Store what is being done, since when (monotonic ns). About 4 us; not for every call."""
        self._number += 1
        offset = layout.SLOT_OFFSETS[self._number % 2]
        slot = layout.pack_activity(self._number, Activity(op, key, since_ns))
        self._mapping[offset : offset + layout.SLOT_BYTES] = slot

    def set(self, name: str, value: int | float) -> None:
        """Mirror a counter or gauge. Raises CounterTableError; then the table is as it was."""
        index = self._indices.get(name)
        if index is None:
            index = self._claim(name, value)
        word = _TABLE + index * _ENTRY
        if isinstance(value, float):
            kind = layout.KIND_FLOAT
            self._reals[word + 1] = value
        else:
            kind = layout.KIND_INT
            try:
                self._integers[word] = value
            except ValueError:
                raise _too_large(name, value) from None
        if self._kinds[index] != kind:
            self._store_kind(index, kind)

    def delete(self, name: str) -> None:
        """Free a counter's entry; a name that isn't there is no error."""
        index = self._indices.pop(name, None)
        if index is not None:
            self._store_kind(index, layout.KIND_FREE)

    def replace(self, counters: Mapping[str, int | float]) -> None:
        """Make the table mirror `counters` and nothing else: at a lease, after an undo."""
        for name in [name for name in self._indices if name not in counters]:
            self.delete(name)
        for name, value in counters.items():
            self.set(name, value)

    def forget_in_child(self) -> None:
        """After a fork, in the child: unmap the parent's segment; this writer is then closed.

        The child holds no lock of the parent's (see mutex.py).
        """
        for view in (self._words, self._integers, self._reals):
            view.release()
        mutex.release_in_child(self._mapping)
        self._mapping.close()

    def _claim(self, name: str, value: int | float) -> int:
        """A free entry, named; nothing is changed when the name or the value does not fit."""
        encoded = name.encode()
        if len(encoded) > layout.NAME_BYTES_MAX:
            raise CounterTableError(
                f"hot[{name!r}]: a name of {len(encoded)} bytes, {layout.NAME_BYTES_MAX} at most"
            )
        if not isinstance(value, float) and not -(2**63) <= value < 2**63:
            raise _too_large(name, value)
        if layout.KIND_FREE not in self._kinds:
            raise CounterTableError(f"hot[{name!r}]: all {layout.COUNTERS_MAX} entries are taken")
        index = self._kinds.index(layout.KIND_FREE)
        offset = layout.TABLE_OFFSET + index * layout.ENTRY_BYTES
        self._mapping[offset : offset + layout.ENTRY_BYTES] = layout.pack_free_entry(encoded)
        self._indices[name] = index
        return index

    def _store_kind(self, index: int, kind: int) -> None:
        self._mapping[layout.TABLE_OFFSET + index * layout.ENTRY_BYTES + layout.KIND_OFFSET] = kind
        self._kinds[index] = kind


class HotReader:
    """A read-only view of a brain's segment. No content makes it raise or hang.

    `fd` may be closed after. Raises HotSegmentError when `fd` is no sealed segment.
    """

    __slots__ = ("_words", "map")

    def __init__(self, fd: int) -> None:
        check_sealed(fd)
        self.map: Final = mmap.mmap(fd, layout.SEGMENT_BYTES, mmap.MAP_SHARED, mmap.PROT_READ)
        self._words = memoryview(self.map).cast("Q")

    def snapshot(self) -> HotSnapshot:
        """Everything, from one copy (30 us, and 1 us for each counter)."""
        return layout.parse(self.map[:])

    def cell(self) -> tuple[int, int]:
        """The n now executing (0: none) and since when (monotonic ns, never too early)."""
        words = self._words
        return words[_CELL], words[_CELL_SINCE]

    def heartbeat_ns(self) -> int:
        """When the brain last beat, monotonic ns; 0: never."""
        return self._words[_HEARTBEAT]

    def lsn(self) -> int:
        """The last LSN that the brain says it applied."""
        return self._words[_LSN]

    def close(self) -> None:
        """Unmap. Raises BufferError while a death watch still waits on it."""
        self._words.release()
        self.map.close()


def _too_large(name: str, value: int) -> CounterTableError:
    return CounterTableError(f"hot[{name!r}] = {value}: not a signed 64-bit number")
