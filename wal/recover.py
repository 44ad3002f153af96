"""Reading the log at a start, and beginning to write again.

The rules. A segment that begins at f replaces everything >= f in those before it. Within a segment
reading ends at the first bad record h. If a later segment begins beyond h, or a header behind it
says `synced` >= h, something durable is gone: that is damage, and a start is refused. Otherwise it
is a torn tail, left in its file and reported. Zeros behind the last record are the end.

A start checks everything from the newest control record on. What lies before it is checked by
whoever replays it, and by `verify`.
"""

import contextlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from osupervisor.wal import hint, record, scan
from osupervisor.wal.errors import DamageError, ReopenFailed
from osupervisor.wal.placement import place, retire, segment_lsns
from osupervisor.wal.record import Record
from osupervisor.wal.scan import Stop
from osupervisor.wal.segment import SEGMENT_HEADER_SIZE, segment_name
from osupervisor.wal.storage import Storage
from osupervisor.wal.survey import Position, Survey, TornTail, check_header
from osupervisor.wal.writer import SEGMENT_BYTES_MAX, Writer

__all__ = ["LogView", "Position", "SegmentRange", "TornTail", "read_log", "reopen"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SegmentRange:
    """The records of a segment that count: `first_lsn` to `last_lsn`, which is one less if none."""

    name: str
    first_lsn: int
    last_lsn: int


@dataclass(frozen=True, slots=True)
class LogView:
    """The log as a start finds it. Reads its records from the storage when asked.

    `durable_lsn` is what an earlier process knew to be durable; what lies between it and
    `last_lsn` must be written again (`reopen`) before anything rests on it. `control` is the
    newest control record; None when the log holds none. An empty log has no segments and LSN 0.
    """

    storage: Storage
    segments: tuple[SegmentRange, ...]
    last_lsn: int
    durable_lsn: int
    control: Position | None
    torn: TornTail | None

    @property
    def first_lsn(self) -> int:
        """The first record that the log reaches back to."""
        return self.segments[0].first_lsn if self.segments else 1

    def control_record(self) -> Record | None:
        """The newest control record. Raises as `records`."""
        return None if self.control is None else next(self.records(self.control.lsn))

    def records(self, first_lsn: int) -> Iterator[Record]:
        """The records from `first_lsn` on, checked. Raises DamageError, OSError."""
        for raw in self._read(first_lsn):
            yield record.unpack(raw)

    def raw(self, first_lsn: int) -> list[bytes]:
        """The bytes of each record from `first_lsn` on, checked. Raises DamageError, OSError."""
        return list(self._read(first_lsn))

    def _read(self, first_lsn: int) -> Iterator[bytes]:
        for part in self.segments:
            if part.last_lsn >= max(first_lsn, part.first_lsn):
                yield from self._read_segment(part, max(first_lsn, part.first_lsn))

    def _read_segment(self, part: SegmentRange, first_lsn: int) -> Iterator[bytes]:
        with contextlib.closing(self.storage.open(part.name)) as file:
            path = self.storage.path(part.name)
            check_header(file, path, part.first_lsn)
            offset, lsn = SEGMENT_HEADER_SIZE, part.first_lsn
            at = self.control
            if at is not None and at.segment_lsn == part.first_lsn and at.lsn <= first_lsn:
                offset, lsn = at.offset, at.lsn
            batches = scan.runs(file, offset, lsn, part.last_lsn, file.size(), scan.walk_raw)
            for raw in _or_damage(batches, path):
                yield from raw[max(first_lsn - lsn, 0) :]
                lsn += len(raw)


def read_log(storage: Storage) -> LogView:
    """The log from its newest control record on, checked; changes nothing.

    Raises DamageError when the log is not what was made durable, OSError when it can't be read.
    """
    firsts = segment_lsns(storage)
    if not firsts:
        _hold_to_nothing(storage)
        return LogView(storage, (), 0, 0, None, None)
    survey = Survey(storage, firsts)
    lasts = [first - 1 for first in firsts[1:]] + [survey.last_lsn]
    ranges = tuple(
        SegmentRange(segment_name(first), first, last)
        for first, last in zip(firsts, lasts, strict=True)
    )
    return LogView(
        storage, ranges, survey.last_lsn, survey.durable_lsn, survey.control, survey.torn
    )


def reopen(
    storage: Storage,
    boot_id: bytes,
    after_lsn: int,
    records: Sequence[bytes],
    segment_bytes_max: int = SEGMENT_BYTES_MAX,
) -> Writer:
    """A writer whose log is everything up to `after_lsn`, then `records`, all of it durable.

    `after_lsn` is the last LSN known durable, `records` are all that were appended behind it.
    Used at a start, after a failed fsync, and to heal a full disk: bytes that another process
    wrote, or that an fsync failed on, are written again. Raises ReopenFailed: the log is as it
    was (or as it shall be) and nothing is lost by trying again.
    """
    try:
        placed = place(storage, boot_id, segment_bytes_max, after_lsn + 1, records)
    except OSError as error:
        raise ReopenFailed(f"no new segment for record {after_lsn + 1}: {error}") from error
    try:
        retire(storage, after_lsn + 1)
    except OSError as error:
        placed.file.close()
        raise ReopenFailed(f"older segments can't be retired: {error}") from error
    return Writer(storage, boot_id, segment_bytes_max, placed)


def _hold_to_nothing(storage: Storage) -> None:
    hinted = hint.read(storage)
    if hinted is not None:
        name = segment_name(hinted.segment_lsn)
        why = f"there is no segment, but {hint.HINT_NAME} says that record {hinted.lsn} was durable"
        raise DamageError(storage.path(name), 0, hinted.segment_lsn, why)


def _or_damage(batches: Generator[Sequence[T], None, Stop], path: str) -> Iterator[Sequence[T]]:
    """The batches of a scan that must not end early. Raises DamageError when it does."""
    stop = yield from batches
    if stop.reason is not None:
        raise DamageError(path, stop.offset, stop.lsn, stop.reason)
