"""Checked records out of bytes that may be anything. Pure but for the reads of its source.

A scan goes from record to record by their lengths, block by block, and checks each run of whole
records by one checksum (see `record`). Headers are followed before they are checked: a wrong one
leads astray within its block only, and nothing of a run is handed on before its checksum is right.
Where it is wrong, the records are checked one by one, and the scan ends at the bad one.
"""

import re
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from osupervisor.wal import record
from osupervisor.wal.checksum import crc32
from osupervisor.wal.errors import CorruptRecordError
from osupervisor.wal.record import CRC_START, HEADER_SIZE, OVERHEAD, Header

LSN_MAX: Final = 2**64 - 1
OPEN_END: Final = 2**63  # no end is known but the file's

# One read, one checksum. Measured fastest from 64 to 256 KiB, where a block stays in the cache.
BLOCK_BYTES: Final = 256 * 1024


T = TypeVar("T")


class Source(Protocol):
    """Where the bytes come from; a LogFile is one."""

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`; fewer only at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a scan ended: at `offset`, before record `lsn`.

    `reason` is None when it found all that it wanted. Else it says what stands there: `header` if
    that much is right, nothing at all if `clean` (the end, or preallocated zeros).
    """

    offset: int
    lsn: int
    reason: str | None = None
    header: Header | None = None
    clean: bool = False


# What a scan makes of a block's whole records: (block, LSN of the first, last LSN wanted) ->
# (what they hold, bytes used, LSN after the last). What it reads isn't checked yet: it goes on only
# while each record has the LSN that is due and a length that a record can have. A length of zero
# would add a record without adding a byte to what is checked.
Walk = Callable[[bytes, int, int], tuple[Sequence[T], int, int]]


def runs(
    source: Source, offset: int, lsn: int, last_lsn: int, end: int, walk: Walk[T]
) -> Generator[Sequence[T], None, Stop]:
    """What `walk` makes of the records `lsn` to `last_lsn`, of which the first is at `offset`.

    Reads nothing at or behind `end`. The generator's value says where and why it ended.
    """
    block_bytes = BLOCK_BYTES
    while lsn <= last_lsn:
        data = source.read(offset, min(block_bytes, end - offset))
        items, used, after = walk(data, lsn, last_lsn)
        if used and crc32(memoryview(data)[:used], CRC_START) != CRC_START:
            items, used, after = walk(data[: _whole_prefix(data, lsn)], lsn, last_lsn)
            yield items
            return _stop(data[used:], offset + used, after)
        if used:
            yield items
            offset, lsn, block_bytes = offset + used, after, BLOCK_BYTES
            continue
        stop = _stop(data, offset, lsn)
        if stop.header is None or not block_bytes < stop.header.length <= end - offset:
            return stop
        block_bytes = stop.header.length
    return Stop(offset, lsn)


def _whole_prefix(data: bytes, lsn: int) -> int:
    """Where the first bad record of `data` begins, or the one that `data` ends in."""
    at = 0
    try:
        while (found := record.decode(data, at)) is not None and found[0].lsn == lsn:
            at = found[1]
            lsn += 1
    except CorruptRecordError:
        pass
    return at


def _stop(data: bytes, offset: int, lsn: int) -> Stop:
    """Why no whole record `lsn` begins at `offset`, where `data` was read."""
    if not data[:HEADER_SIZE].strip(b"\0"):
        return Stop(offset, lsn, "the records end", clean=True)
    try:
        header = record.decode_header(data, 0)
        if header is None:
            return Stop(offset, lsn, "the file ends inside its header")
        if header.lsn != lsn:
            return Stop(offset, lsn, f"record {header.lsn} stands there", header)
        if record.decode(data, 0) is None:
            return Stop(offset, lsn, "the file ends inside it", header)
    except CorruptRecordError as error:
        return Stop(offset, lsn, error.reason, _header(data, 0))
    raise AssertionError(f"record {lsn} at {offset} is whole")


def _header(data: bytes, at: int) -> Header | None:
    try:
        return record.decode_header(data, at)
    except CorruptRecordError:
        return None


def collect(batches: Generator[Sequence[T], None, Stop]) -> tuple[list[T], Stop]:
    """All that a scan finds, and where it ended."""
    items: list[T] = []
    while True:
        try:
            items += next(batches)
        except StopIteration as stopped:
            stop: Stop = stopped.value
            return items, stop


_STEP = struct.Struct(">IQ")


def walk_raw(data: bytes, lsn: int, last_lsn: int) -> tuple[list[bytes], int, int]:
    """A Walk: each record's bytes."""
    raw: list[bytes] = []
    at, size, last_at = 0, len(data), len(data) - OVERHEAD
    while at <= last_at and lsn <= last_lsn:
        length, found = _STEP.unpack_from(data, at)
        if found != lsn or not OVERHEAD <= length <= size - at:
            break
        raw.append(data[at : at + length])
        at += length
        lsn += 1
    return raw, at, lsn


def walk_over(data: bytes, lsn: int, last_lsn: int) -> tuple[list[tuple[int, int]], int, int]:
    """A Walk: of each run, the LSN behind it and its bytes."""
    unpack = _STEP.unpack_from
    at, size, last_at = 0, len(data), len(data) - OVERHEAD
    while at <= last_at and lsn <= last_lsn:
        length, found = unpack(data, at)
        if found != lsn or not OVERHEAD <= length <= size - at:
            break
        at += length
        lsn += 1
    return [(lsn, at)], at, lsn


@dataclass(frozen=True, slots=True)
class Behind:
    """A whole header found behind a bad record. `offset` is the file's."""

    offset: int
    header: Header


# A header that may be one: a length below 2**27, one of the kinds, no flags.
_LIKELY = re.compile(rb"(?=[\x00-\x07].{15}[\x01-\x05]\x00.{26})", re.DOTALL)

# Zeros are passed over by blocks: a preallocated segment is full of them.
_ZEROS: Final = bytes(4096)


def headers_behind(data: bytes, stop: Stop) -> Iterator[Behind]:
    """Whole headers of later records, in `data`, which begins where the scan stopped.

    What a whole header spans is passed over, so that records inside a request are not taken for
    the log's. Bodies are not checked: a header that is right was written as it stands.
    """
    at = 0
    if stop.header is not None and stop.header.lsn == stop.lsn:
        at = stop.header.length
    lsn_max = stop.lsn + len(data) // OVERHEAD
    while (likely := _likely(data, at)) is not None:
        header = _header(data, likely)
        if header is not None and stop.lsn < header.lsn <= lsn_max:
            yield Behind(stop.offset + likely, header)
            at = likely + header.length
        else:
            at = likely + 1


def _likely(data: bytes, at: int) -> int | None:
    """The next place at or behind `at` where a header may begin."""
    block = len(_ZEROS)
    while at < len(data):
        if data.startswith(_ZEROS, at):
            at += block - HEADER_SIZE
            continue
        found = _LIKELY.search(data, at, at + block + HEADER_SIZE)
        if found is not None:
            return found.start()
        at += block
    return None
