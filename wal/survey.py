"""One pass over the end of the log: where it ends, and what a start needs to know of it.

It goes from the control record that the hint names; where that isn't there, back from the newest
segment until a segment holds a control record. It decides what is a torn tail and what is damage.
"""

import contextlib
import struct
from dataclasses import dataclass
from typing import Final

from osupervisor.wal import hint, record, scan, segment
from osupervisor.wal.errors import CorruptRecordError, CorruptSegmentError, DamageError
from osupervisor.wal.hint import Hint
from osupervisor.wal.record import OVERHEAD, Kind
from osupervisor.wal.scan import LSN_MAX, Stop
from osupervisor.wal.segment import SEGMENT_HEADER_SIZE, segment_name
from osupervisor.wal.storage import LogFile, Storage


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


class Survey:
    """What a start learns: the last record, the newest control record, what was durable."""

    def __init__(self, storage: Storage, firsts: list[int]) -> None:
        """Make the pass over the segments that begin at `firsts`, ascending, at least one.

        Raises DamageError, OSError.
        """
        self._storage = storage
        self._firsts = firsts
        self.last_lsn = 0
        self.durable_lsn = firsts[-1] - 1  # a segment gets its name when all before it is durable
        self.control: Position | None = None
        self.torn: TornTail | None = None
        hinted = hint.read(storage)
        start = None if hinted is None else self._control_at(hinted)
        if start is not None:
            self._forward(start)
        else:
            self._backward()
        self._hold_to(self.durable_lsn, "a record")
        if hinted is not None:
            self._hold_to(hinted.lsn, hint.HINT_NAME)

    def _control_at(self, hinted: Hint) -> Position | None:
        """Where the hinted control record is, if it is there and counts."""
        first = hinted.segment_lsn
        if first not in self._firsts:
            return None
        if not first <= hinted.lsn <= self._last_lsn_of(self._firsts.index(first)):
            return None
        with contextlib.closing(self._storage.open(segment_name(first))) as file:
            if not _is_control(file, hinted):
                return None
        return Position(first, hinted.offset, hinted.lsn)

    def _last_lsn_of(self, index: int) -> int:
        """The last LSN that counts in segment `index`: its successor replaces the rest."""
        newest = index == len(self._firsts) - 1
        return LSN_MAX if newest else self._firsts[index + 1] - 1

    def _forward(self, start: Position) -> None:
        """From a control record to the end."""
        index = self._firsts.index(start.segment_lsn)
        self._segment(index, start.offset, start.lsn)
        for later in range(index + 1, len(self._firsts)):
            self._segment(later, SEGMENT_HEADER_SIZE, self._firsts[later])

    def _backward(self) -> None:
        """Whole segments, newest first, until one holds a control record."""
        for index in reversed(range(len(self._firsts))):
            self._segment(index, SEGMENT_HEADER_SIZE, self._firsts[index])
            if self.control is not None:
                return

    def _segment(self, index: int, offset: int, lsn: int) -> None:
        """Check segment `index` from record `lsn` on, which begins at `offset`."""
        first = self._firsts[index]
        last_lsn = self._last_lsn_of(index)
        with contextlib.closing(self._storage.open(segment_name(first))) as file:
            path = self._storage.path(file.name)
            check_header(file, path, first)
            end = file.data_end()
            stop = self._records(file, Position(first, offset, lsn), last_lsn, end)
            if last_lsn == LSN_MAX:
                self.last_lsn = stop.lsn - 1
                end = _written_end(file, stop.offset, end)
                self.torn = tail(file.read(stop.offset, end - stop.offset), stop, path)
            elif stop.reason is not None:
                why = f"{stop.reason}, but a later segment begins at record {last_lsn + 1}"
                raise DamageError(path, stop.offset, stop.lsn, why)

    def _records(self, file: LogFile, at: Position, last_lsn: int, end: int) -> Stop:
        blocks, stop = scan.collect(scan.runs(file, at.offset, at.lsn, last_lsn, end, _walk_facts))
        offset = at.offset
        for facts in blocks:
            self.durable_lsn = max(self.durable_lsn, facts.synced)
            if facts.control_lsn > (0 if self.control is None else self.control.lsn):
                control_at = offset + facts.control_at
                self.control = Position(at.segment_lsn, control_at, facts.control_lsn)
            offset += facts.length
        return stop

    def _hold_to(self, lsn: int, who: str) -> None:
        """The log must reach a record that was durable: `who` says so, and is written after it."""
        if lsn > self.last_lsn:
            newest = segment_name(self._firsts[-1])
            with contextlib.closing(self._storage.open(newest)) as file:
                end = file.data_end()
            why = f"the log ends, but {who} says that record {lsn} was durable"
            raise DamageError(self._storage.path(newest), end, self.last_lsn + 1, why)
        self.durable_lsn = max(self.durable_lsn, lsn)


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
        if found != lsn or not OVERHEAD <= length <= size - at:
            break
        if kind == _CONTROL:
            control_lsn, control_at = lsn, at
        newest = at
        at += length
        lsn += 1
    synced: int = _SYNCED.unpack_from(data, newest)[0] if at else 0
    return [_Facts(at, synced, control_lsn, control_at)], at, lsn


def _is_control(file: LogFile, hinted: Hint) -> bool:
    try:
        header = record.decode_header(file.read(hinted.offset, record.HEADER_SIZE), 0)
        if header is None or (header.lsn, header.kind) != (hinted.lsn, Kind.CONTROL):
            return False
        return record.decode(file.read(hinted.offset, header.length), 0) is not None
    except CorruptRecordError:
        return False


def check_header(file: LogFile, path: str, first_lsn: int) -> None:
    """Raises DamageError unless `file` has the header of the segment that begins at `first_lsn`."""
    try:
        segment.decode_header(file.read(0, SEGMENT_HEADER_SIZE), path, first_lsn)
    except CorruptSegmentError as error:
        raise DamageError(path, 0, first_lsn, error.reason) from error


def _written_end(file: LogFile, start: int, end: int) -> int:
    """Where the blocks end that hold more than zeros; `start` when none does.

    A segment that was copied, or lies where the kernel can't tell holes, is full of zeros that were
    never written. They are compared by blocks, from the end, and not held: 64 MiB otherwise.
    """
    zeros = bytes(scan.BLOCK_BYTES)
    while end > start:
        at = max(start, end - len(zeros))
        if file.read(at, end - at) != zeros[: end - at]:
            break
        end = at
    return end


def tail(data: bytes, stop: Stop, path: str) -> TornTail | None:
    """What lies behind the last record: `data`, which begins where the scan stopped.

    None: nothing but zeros. Raises DamageError when something in it was written after record
    `stop.lsn` was durable.
    """
    rest = data.rstrip(b"\0")
    if not rest:
        return None
    headers = 0
    for found in scan.headers_behind(data, stop):
        headers += 1
        if found.header.synced >= stop.lsn:
            why = (
                f"{stop.reason}, but record {found.header.lsn} at offset {found.offset} says "
                f"that {found.header.synced} was durable"
            )
            raise DamageError(path, stop.offset, stop.lsn, why)
    return TornTail(path, stop.offset, stop.offset + len(rest), headers)
