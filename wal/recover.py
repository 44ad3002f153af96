"""Reading the log at a start, and beginning to write again.

The rules. A segment that begins at f replaces everything >= f in those before it. Within a segment
reading ends at the first bad record h. If a later segment begins beyond h, or a header behind it
says `synced` >= h, something durable is gone: that is damage, and a start is refused. Otherwise it
is a torn tail, left in its file and reported. Zeros behind the last record are the end.

A start checks everything from the newest control record on. What lies before it is checked by
whoever replays it, and by `verify`.
"""

import contextlib
import struct
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from osupervisor.wal import hint, record, scan, segment
from osupervisor.wal.errors import (
    CorruptRecordError,
    CorruptSegmentError,
    DamageError,
    ReopenFailed,
)
from osupervisor.wal.record import OVERHEAD, Kind, Record
from osupervisor.wal.scan import Stop
from osupervisor.wal.segment import SEGMENT_HEADER_SIZE, TORN_SUFFIX, first_lsn_of, segment_name
from osupervisor.wal.storage import LogFile, Storage
from osupervisor.wal.writer import SEGMENT_BYTES_MAX, Writer, place

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SegmentRange:
    """The records of a segment that count: `first_lsn` to `last_lsn`, which is one less if none."""

    name: str
    first_lsn: int
    last_lsn: int


@dataclass(frozen=True, slots=True)
class Position:
    """Record `lsn` begins at `offset` in the segment that starts at `segment_lsn`."""

    segment_lsn: int
    offset: int
    lsn: int


@dataclass(frozen=True, slots=True)
class TornTail:
    """What a crash left behind the last record: bytes from `offset` to `end`, not all zero.

    `headers` of them begin records that were never durable and no longer count.
    """

    file: str
    offset: int
    end: int
    headers: int


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
            found = record.decode(raw, 0)
            assert found is not None, "a scan hands on whole records"
            yield found[0]

    def raw(self, first_lsn: int) -> list[bytes]:
        """The bytes of each record from `first_lsn` on, checked. Raises DamageError, OSError."""
        return list(self._read(first_lsn))

    def _read(self, first_lsn: int) -> Iterator[bytes]:
        for part in self.segments:
            if part.last_lsn >= max(first_lsn, part.first_lsn):
                yield from self._read_segment(part, max(first_lsn, part.first_lsn))

    def _read_segment(self, part: SegmentRange, first_lsn: int) -> Iterator[bytes]:
        with contextlib.closing(self.storage.open(part.name)) as file:
            offset, lsn = check_header(self.storage, file, part.first_lsn), part.first_lsn
            at = self.control
            if at is not None and at.segment_lsn == part.first_lsn and at.lsn <= first_lsn:
                offset, lsn = at.offset, at.lsn
            batches = scan.runs(file, offset, lsn, part.last_lsn, file.size(), scan.walk_raw)
            for raw in _or_damage(batches, self.storage, part.name):
                yield from raw[max(first_lsn - lsn, 0) :]
                lsn += len(raw)


def read_log(storage: Storage) -> LogView:
    """The log from its newest control record on, checked; changes nothing.

    Raises DamageError when the log is not what was made durable, OSError when it can't be read.
    """
    firsts = segment_lsns(storage)
    if not firsts:
        return LogView(storage, (), 0, 0, None, None)
    start = _hinted(storage, firsts)
    survey = _Survey(storage, firsts)
    if start is not None:
        survey.forward(start)
    else:
        survey.backward()
    lasts = [first - 1 for first in firsts[1:]] + [survey.last_lsn]
    ranges = tuple(
        SegmentRange(segment_name(first), first, last)
        for first, last in zip(firsts, lasts, strict=True)
    )
    durable_lsn = max(survey.synced, firsts[-1] - 1)
    return LogView(storage, ranges, survey.last_lsn, durable_lsn, survey.control, survey.torn)


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
        _retire(storage, after_lsn + 1)
    except OSError as error:
        placed.file.close()
        raise ReopenFailed(f"older segments can't be retired: {error}") from error
    return Writer(storage, boot_id, segment_bytes_max, placed)


def segment_lsns(storage: Storage) -> list[int]:
    """The first LSN of each segment, ascending."""
    return sorted(lsn for name in storage.names() if (lsn := first_lsn_of(name)) is not None)


def check_header(storage: Storage, file: LogFile, first_lsn: int) -> int:
    """The offset of the first record of a segment whose header is right. Raises DamageError."""
    try:
        segment.decode_header(file.read(0, SEGMENT_HEADER_SIZE), file.name, first_lsn)
    except CorruptSegmentError as error:
        raise DamageError(storage.path(file.name), 0, first_lsn, error.reason) from error
    return SEGMENT_HEADER_SIZE


def tail(data: bytes, base: int, stop: Stop, file: str) -> TornTail | None:
    """What lies behind the last record; `data` is the file from offset `base` <= stop.offset on.

    None: nothing but zeros. Raises DamageError when something behind was written after record
    `stop.lsn` was durable.
    """
    rest = data[stop.offset - base :].rstrip(b"\0")
    if not rest:
        return None
    behind = list(scan.headers_behind(data, stop, base))
    for found in behind:
        if found.header.synced >= stop.lsn:
            raise DamageError(
                file,
                stop.offset,
                stop.lsn,
                f"{stop.reason}, but record {found.header.lsn} at offset {found.offset} says "
                f"that {found.header.synced} was durable",
            )
    return TornTail(file, stop.offset, stop.offset + len(rest), len(behind))


class _Survey:
    """What a start learns on its one pass: ends, newest control record, newest `synced`."""

    def __init__(self, storage: Storage, firsts: list[int]) -> None:
        self._storage = storage
        self._firsts = firsts
        self.last_lsn = 0
        self.synced = 0
        self.control: Position | None = None
        self.torn: TornTail | None = None

    def forward(self, start: Position) -> None:
        """From a control record to the end."""
        index = self._firsts.index(start.segment_lsn)
        self._segment(index, start.offset, start.lsn)
        for later in range(index + 1, len(self._firsts)):
            self._segment(later, 0, self._firsts[later])

    def backward(self) -> None:
        """Whole segments, newest first, until one holds a control record."""
        for index in reversed(range(len(self._firsts))):
            self._segment(index, 0, self._firsts[index])
            if self.control is not None:
                return

    def _segment(self, index: int, offset: int, lsn: int) -> None:
        """Check segment `index` from record `lsn` on; offset 0 stands for its beginning."""
        first = self._firsts[index]
        newest = index == len(self._firsts) - 1
        last_lsn = scan.LSN_MAX if newest else self._firsts[index + 1] - 1
        name = segment_name(first)
        with contextlib.closing(self._storage.open(name)) as file:
            start = check_header(self._storage, file, first)
            end = file.data_end()
            stop = self._records(file, Position(first, offset or start, lsn), last_lsn, end)
            path = self._storage.path(name)
            if newest:
                self.last_lsn = stop.lsn - 1
                self.torn = tail(file.read(stop.offset, end - stop.offset), stop.offset, stop, path)
            elif stop.reason is not None:
                raise DamageError(
                    path,
                    stop.offset,
                    stop.lsn,
                    f"{stop.reason}, but a later segment begins at record {last_lsn + 1}",
                )

    def _records(self, file: LogFile, at: Position, last_lsn: int, end: int) -> Stop:
        batches = scan.runs(file, at.offset, at.lsn, last_lsn, end, _walk_facts)
        offset = at.offset
        while True:
            try:
                facts = next(batches)[0]
            except StopIteration as stopped:
                stop: Stop = stopped.value
                return stop
            self.synced = max(self.synced, facts.synced)
            if facts.control_lsn and (self.control is None or facts.control_lsn > self.control.lsn):
                self.control = Position(
                    at.segment_lsn, offset + facts.control_at, facts.control_lsn
                )
            offset += facts.length


@dataclass(frozen=True, slots=True)
class _Facts:
    """Of a run of records: bytes, newest `synced`, newest control record (LSN 0: none)."""

    length: int
    synced: int
    control_lsn: int
    control_at: int


_FACTS = struct.Struct(">IQ4xB")
_SYNCED = struct.Struct(">28xQ")
_CONTROL: Final = int(Kind.CONTROL)


def _walk_facts(data: bytes, lsn: int, last_lsn: int) -> tuple[list[_Facts], int, int]:
    unpack = _FACTS.unpack_from
    at, size, last_at = 0, len(data), len(data) - OVERHEAD
    newest = control_lsn = control_at = 0
    while at <= last_at and lsn <= last_lsn:
        length, found, kind = unpack(data, at)
        if found != lsn or at + length > size:
            break
        if kind == _CONTROL:
            control_lsn, control_at = lsn, at
        newest = at
        at += length
        lsn += 1
    synced: int = _SYNCED.unpack_from(data, newest)[0] if at else 0
    return [_Facts(at, synced, control_lsn, control_at)], at, lsn


def _hinted(storage: Storage, firsts: list[int]) -> Position | None:
    """Where the hint says that a control record is, if it is there and counts."""
    found = hint.read(storage)
    if found is None or found.segment_lsn not in firsts:
        return None
    later = [first for first in firsts if first > found.segment_lsn]
    if found.lsn < found.segment_lsn or (later and found.lsn >= later[0]):
        return None
    with contextlib.closing(storage.open(segment_name(found.segment_lsn))) as file:
        try:
            header = record.decode_header(file.read(found.offset, record.HEADER_SIZE), 0)
            if header is None or (header.lsn, header.kind) != (found.lsn, Kind.CONTROL):
                return None
            whole = record.decode(file.read(found.offset, header.length), 0)
        except CorruptRecordError:
            return None
    if whole is None:
        return None
    return Position(found.segment_lsn, found.offset, found.lsn)


def _or_damage(
    batches: Generator[Sequence[T], None, Stop], storage: Storage, name: str
) -> Iterator[Sequence[T]]:
    """The batches of a scan that must not end early. Raises DamageError when it does."""
    stop = yield from batches
    if stop.reason is not None:
        raise DamageError(storage.path(name), stop.offset, stop.lsn, stop.reason)


def _retire(storage: Storage, first_lsn: int) -> None:
    """After a reopen at `first_lsn`: later segments no longer count, older ones need no room.

    A later one is left by a rotation that failed half-way; its records, if any, are in the
    reopened segment. Preallocated bytes of older ones are given back as far as they are holes.
    """
    for lsn in segment_lsns(storage):
        name = segment_name(lsn)
        if lsn > first_lsn:
            storage.rename(name, name + TORN_SUFFIX)
            storage.sync_dir()
        elif lsn < first_lsn:
            with contextlib.suppress(OSError):
                _give_back(storage, name)


def _give_back(storage: Storage, name: str) -> None:
    with contextlib.closing(storage.open(name, writable=True)) as file:
        end = file.data_end()
        if end < file.size():
            file.truncate(end)
