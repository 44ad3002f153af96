"""Putting a new segment in place, and clearing away what it leaves behind.

The order is the point: the segment is whole and durable under another name before it gets its own,
and its name is durable before anything else is written to it. A crash between any two steps leaves
the log as it was, or with the new segment whole.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from osupervisor.wal import segment
from osupervisor.wal.segment import (
    SEGMENT_HEADER_SIZE,
    SUFFIX,
    TMP_SUFFIX,
    TORN_SUFFIX,
    SegmentHeader,
    first_lsn_of,
    segment_name,
)
from osupervisor.wal.storage import LogFile, Storage

# What reopened segments replaced is kept for whoever wants to know what a crash left behind.
TORN_KEPT: Final = 8


@dataclass(frozen=True, slots=True)
class Placed:
    """A new segment under its name, durable: records `first_lsn` to `last_lsn`, up to `end`."""

    file: LogFile
    first_lsn: int
    last_lsn: int
    end: int


def segment_lsns(storage: Storage) -> list[int]:
    """The first LSN of each segment, ascending."""
    return sorted(lsn for name in storage.names() if (lsn := first_lsn_of(name)) is not None)


def place(
    storage: Storage,
    boot_id: bytes,
    allocated: int,
    first_lsn: int,
    records: Sequence[bytes],
) -> Placed:
    """Make the segment that begins with `records` at `first_lsn`, in place of one of its name.

    It takes room for `allocated` bytes at least. Durable when it returns. When something fails
    (OSError), the log is as it was or has the new segment whole.
    """
    file = prepare(storage, boot_id, allocated, first_lsn, records)
    try:
        reveal(storage, first_lsn)
        storage.sync_dir()
    except OSError:
        file.close()
        with contextlib.suppress(OSError):
            remove_tmp(storage, first_lsn)
        raise
    end = SEGMENT_HEADER_SIZE + sum(map(len, records))
    return Placed(file, first_lsn, first_lsn + len(records) - 1, end)


def prepare(
    storage: Storage,
    boot_id: bytes,
    allocated: int,
    first_lsn: int,
    records: Sequence[bytes],
) -> LogFile:
    """The segment under a name that no reader looks at, its bytes durable. Raises OSError."""
    tmp = segment_name(first_lsn) + TMP_SUFFIX
    data = b"".join((segment.encode_header(SegmentHeader(first_lsn, boot_id)), *records))
    remove_if_there(storage, tmp)
    file = storage.create(tmp)
    try:
        file.allocate(max(allocated, len(data)))
        write_all(file, 0, data)
        file.sync()
    except OSError:
        file.close()
        with contextlib.suppress(OSError):
            storage.remove(tmp)
        raise
    return file


def reveal(storage: Storage, first_lsn: int) -> None:
    """Give a prepared segment its own name; durable with the next `sync_dir`. Raises OSError."""
    name = segment_name(first_lsn)
    _set_aside(storage, name)
    storage.rename(name + TMP_SUFFIX, name)


def remove_tmp(storage: Storage, first_lsn: int) -> None:
    """Remove a prepared segment that has no name of its own yet, if there is one."""
    remove_if_there(storage, segment_name(first_lsn) + TMP_SUFFIX)


def retire(storage: Storage, first_lsn: int) -> None:
    """Clear away what a segment reopened at `first_lsn` made superfluous. Raises OSError.

    Later segments are left by a rotation that failed half-way: their records, if any, are in the
    reopened one, and they must not count. That is durable when it returns. The rest is only room.
    """
    lsns = segment_lsns(storage)
    later = [segment_name(lsn) for lsn in lsns if lsn > first_lsn]
    for name in reversed(later):
        storage.rename(name, name + TORN_SUFFIX)
    if later:
        storage.sync_dir()
    with contextlib.suppress(OSError):
        _give_back([segment_name(lsn) for lsn in lsns if lsn < first_lsn], storage)
        _clear(storage)


def write_all(file: LogFile, offset: int, data: bytes) -> None:
    """Write `data` at `offset`. Raises OSError; then some of it may have been written."""
    view = memoryview(data)
    while view:
        written = file.write(offset, view)
        offset += written
        view = view[written:]


def remove_if_there(storage: Storage, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        storage.remove(name)


def _set_aside(storage: Storage, name: str) -> None:
    """Give the file called `name`, where there is one, the second name `.torn`."""
    if name in storage.names():
        remove_if_there(storage, name + TORN_SUFFIX)
        storage.link(name, name + TORN_SUFFIX)


def _give_back(older: Sequence[str], storage: Storage) -> None:
    """Give back the preallocated ends of the segments of earlier processes, which died."""
    for name in reversed(older):
        if not _trim(storage, name):
            break  # whoever reopened then gave back what lay before


def _clear(storage: Storage) -> None:
    names = storage.names()
    for name in names:
        if name.endswith(SUFFIX + TMP_SUFFIX):
            storage.remove(name)
    torn = [name for name in names if name.endswith(SUFFIX + TORN_SUFFIX)]
    for name in torn[:-TORN_KEPT]:
        storage.remove(name)
    for name in torn[-TORN_KEPT:]:
        _trim(storage, name)


def _trim(storage: Storage, name: str) -> bool:
    """Cut off the zeros that were never written; whether there were any."""
    with contextlib.closing(storage.open(name, writable=True)) as file:
        end = file.data_end()
        if end == file.size():
            return False
        file.truncate(end)
        return True
