"""All that can be read of a log that may be damaged, in order, and where it can't be.

A start stops at the first damage (see `survey`); this goes on behind it, at the next whole record.
"""

import contextlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from osupervisor.wal import hint, record, scan
from osupervisor.wal.errors import CorruptRecordError, DamageError
from osupervisor.wal.placement import segment_lsns
from osupervisor.wal.scan import LSN_MAX, Stop
from osupervisor.wal.segment import SEGMENT_HEADER_SIZE, segment_name
from osupervisor.wal.storage import LogFile, Storage
from osupervisor.wal.survey import TornTail, check_header, tail


@dataclass(frozen=True, slots=True)
class Whole:
    """Checked records, one behind the other: the first is `first_lsn`, at `offset` of its file."""

    segment_lsn: int
    offset: int
    first_lsn: int
    records: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Damage:
    """What should be at `offset` of the segment can't be read, from record `lsn` on.

    `next_lsn` is the next record that can: `lsn` itself when only the segment's header is bad,
    None when nothing follows.
    """

    segment_lsn: int
    file: str
    offset: int
    lsn: int
    next_lsn: int | None
    reason: str


Piece = Whole | Damage | TornTail


def pieces(storage: Storage) -> Iterator[Piece]:
    """The whole log, piece by piece. Raises OSError.

    Others may write to it meanwhile: what the hint names is in the segments that are read later.
    """
    hinted = hint.read(storage)
    firsts = segment_lsns(storage)
    following = [*firsts, LSN_MAX + 1][1:]
    last_lsn = firsts[-1] - 1 if firsts else 0
    end, synced = 0, 0
    for first_lsn, next_lsn in zip(firsts, following, strict=True):
        with contextlib.closing(storage.open(segment_name(first_lsn))) as file:
            for piece in _segment(storage, file, first_lsn, next_lsn - 1):
                yield piece
                if isinstance(piece, Whole):
                    last_lsn = max(last_lsn, piece.first_lsn + len(piece.records) - 1)
                    synced = max(synced, record.unpack(piece.records[-1]).synced)
            end = file.data_end()
    claims = {"a record": synced, hint.HINT_NAME: 0 if hinted is None else hinted.lsn}
    who = max(claims, key=claims.__getitem__)
    if claims[who] > last_lsn:
        segment_lsn = firsts[-1] if firsts else 1
        path = storage.path(segment_name(segment_lsn))
        why = f"{who} says that record {claims[who]} was durable"
        yield Damage(segment_lsn, path, end, last_lsn + 1, None, why)


def _segment(storage: Storage, file: LogFile, first_lsn: int, last_lsn: int) -> Iterator[Piece]:
    """One segment's pieces; `last_lsn` is LSN_MAX for the newest, which ends where it ends."""
    path = storage.path(file.name)
    try:
        check_header(file, path, first_lsn)
    except DamageError as error:
        yield Damage(first_lsn, path, 0, first_lsn, first_lsn, error.reason)
    offset, lsn = SEGMENT_HEADER_SIZE, first_lsn
    end = max(offset, file.data_end())  # A file may end inside its header.
    while True:
        stop = yield from _whole(file, first_lsn, offset, lsn, last_lsn, end)
        if stop.reason is None:
            return
        rest = file.read(stop.offset, end - stop.offset)
        reason = stop.reason
        if last_lsn == LSN_MAX:
            if _begins_with(rest, stop.lsn):  # it was just being written, and is whole by now
                offset, lsn = stop.offset, stop.lsn
                continue
            try:
                torn = tail(rest, stop, path)
            except DamageError as error:
                reason = error.reason
            else:
                if torn is not None:
                    yield torn
                return
        following = _next_whole(rest, stop, last_lsn)
        if following is None:
            next_lsn = None if last_lsn == LSN_MAX else last_lsn + 1
            yield Damage(first_lsn, path, stop.offset, stop.lsn, next_lsn, reason)
            return
        offset, lsn = following
        yield Damage(first_lsn, path, stop.offset, stop.lsn, lsn, reason)


def _whole(
    file: LogFile, segment_lsn: int, offset: int, lsn: int, last_lsn: int, end: int
) -> Generator[Whole, None, Stop]:
    batches = scan.runs(file, offset, lsn, last_lsn, end, scan.walk_raw)
    while True:
        try:
            records = next(batches)
        except StopIteration as stopped:
            stop: Stop = stopped.value
            return stop
        if records:
            yield Whole(segment_lsn, offset, lsn, records)
        offset += sum(map(len, records))
        lsn += len(records)


def _begins_with(data: bytes, lsn: int) -> bool:
    """Whether record `lsn` is there, whole."""
    with contextlib.suppress(CorruptRecordError):
        found = record.decode(data, 0)
        return found is not None and found[0].lsn == lsn
    return False


def _next_whole(data: bytes, stop: Stop, last_lsn: int) -> tuple[int, int] | None:
    """(offset, LSN) of the next record behind a bad one that is whole; None: there is none."""
    for found in scan.headers_behind(data, stop):
        at = found.offset - stop.offset
        with contextlib.suppress(CorruptRecordError):
            if record.decode(data, at) is not None and found.header.lsn <= last_lsn:
                return found.offset, found.header.lsn
    return None
