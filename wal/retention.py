"""Which segments may be removed. Pure but for `ages`, which reads when each segment began.

A segment may go when recovery doesn't need it (it lies behind the oldest kept checkpoint and
before the newest control record) and the tape doesn't want it: it is older than `tape.keep`, or
the log is larger than `tape.bytes_max`. Segments go from the oldest on, so the log has no gap.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from osupervisor.wal import record
from osupervisor.wal.errors import CorruptRecordError
from osupervisor.wal.placement import segment_lsns
from osupervisor.wal.record import HEADER_SIZE
from osupervisor.wal.segment import SEGMENT_HEADER_SIZE, segment_name
from osupervisor.wal.storage import Storage


@dataclass(frozen=True, slots=True)
class Extent:
    """A segment as the tape sees it.

    `ended_us` is log time (unix microseconds) at which its last record was written at the latest:
    that of the first record behind it. None when there is none yet, or it can't be read.
    """

    name: str
    first_lsn: int
    last_lsn: int | None
    bytes: int
    ended_us: int | None


def extents(storage: Storage) -> list[Extent]:
    """Every segment, oldest first. `last_lsn` of the newest is None. Raises OSError."""
    found: list[Extent] = []
    following: tuple[int, int | None] | None = None
    for first_lsn in reversed(segment_lsns(storage)):
        name = segment_name(first_lsn)
        with contextlib.closing(storage.open(name)) as file:
            began_us = _began_us(file.read(SEGMENT_HEADER_SIZE, HEADER_SIZE))
            last_lsn, ended_us = (None, None) if following is None else following
            found.append(Extent(name, first_lsn, last_lsn, file.data_end(), ended_us))
        following = first_lsn - 1, began_us if began_us is not None else ended_us
    found.reverse()
    return found


def removable(
    segments: Sequence[Extent],
    oldest_checkpoint_lsn: int,
    newest_control_lsn: int,
    now_us: int,
    keep_s: float,
    bytes_max: int,
) -> list[str]:
    """The names of the segments to remove, in the order in which to do it.

    `oldest_checkpoint_lsn` is that of the oldest checkpoint that is kept, 0 when there is none:
    then nothing goes. `now_us` is log time.
    """
    total = sum(segment.bytes for segment in segments)
    names: list[str] = []
    for segment in segments:
        needed_from = min(oldest_checkpoint_lsn, newest_control_lsn - 1)
        if segment.last_lsn is None or segment.last_lsn > needed_from:
            break
        expired = segment.ended_us is not None and now_us - segment.ended_us > keep_s * 1e6
        if not expired and total <= bytes_max:
            break
        names.append(segment.name)
        total -= segment.bytes
    return names


def bytes_behind(storage: Storage, lsn: int) -> int:
    """How much log there is in the segments that hold records behind `lsn`. Raises OSError."""
    total = 0
    for first_lsn in reversed(segment_lsns(storage)):
        with contextlib.closing(storage.open(segment_name(first_lsn))) as file:
            total += file.data_end()
        if first_lsn <= lsn + 1:
            break
    return total


def remove(storage: Storage, names: Sequence[str]) -> None:
    """Remove segments, oldest first, so that a crash on the way leaves no gap. Raises OSError."""
    for name in names:
        storage.remove(name)
        storage.sync_dir()


def _began_us(head: bytes) -> int | None:
    try:
        header = record.decode_header(head, 0)
    except CorruptRecordError:
        return None
    return None if header is None else header.t_us
