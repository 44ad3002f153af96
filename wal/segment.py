"""A segment: a file of records, and the 64 bytes at its head. Pure.

    byte   0          8         12      16          24        40         60       64
           +----------+---------+-------+-----------+---------+----------+--------+
           | magic    | version | flags | first lsn | boot id | reserved | header |
           | OSUPWAL\\n|    1    |   0   |           |         |    0     | crc    |
           +----------+---------+-------+-----------+---------+----------+--------+

Numbers are big-endian, the checksum is little-endian and begun at `CRC_START` as in a record, so
that the checksum of a whole segment, its header included, is `CRC_START` too. The file's name is
the first LSN in 20 digits and `.wal`. Records follow without gaps in LSN or bytes; a preallocated
segment ends in zeros.

A segment gets its name when its header, and what it began with, are durable; it gets its first
further record when its name is. So a segment that starts at f says that everything below f is
durable, and a name without a whole header is damage.

Other names in the directory: `.tmp` (a segment being made, removed by the next start), `.torn`
(what a reopened segment replaced), `.broken` (what repair replaced).
"""

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from osupervisor.wal.errors import CorruptSegmentError
from osupervisor.wal.record import CRC_START

MAGIC: Final = b"OSUPWAL\n"
VERSION: Final = 1
SEGMENT_HEADER_SIZE: Final = 64
BOOT_ID_SIZE: Final = 16

SUFFIX: Final = ".wal"
TMP_SUFFIX: Final = ".tmp"
TORN_SUFFIX: Final = ".torn"
BROKEN_SUFFIX: Final = ".broken"
_DIGITS: Final = 20

_NAME = re.compile(rf"([0-9]{{{_DIGITS}}}){re.escape(SUFFIX)}")
_HEAD = struct.Struct(">8sIIQ16s20x")
_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """`boot_id` names the run of the machine in which the segment was made: 16 bytes."""

    first_lsn: int
    boot_id: bytes


def segment_name(first_lsn: int) -> str:
    return f"{first_lsn:0{_DIGITS}}{SUFFIX}"


def first_lsn_of(name: str) -> int | None:
    """The first LSN of the segment called `name`; None when that isn't a segment's name."""
    matched = _NAME.fullmatch(name)
    return None if matched is None else int(matched[1])


def encode_header(header: SegmentHeader) -> bytes:
    assert len(header.boot_id) == BOOT_ID_SIZE, header.boot_id
    head = _HEAD.pack(MAGIC, VERSION, 0, header.first_lsn, header.boot_id)
    return head + _CRC.pack(zlib.crc32(head, CRC_START))


def decode_header(data: bytes, file: str, first_lsn: int | None = None) -> SegmentHeader:
    """The header in the first 64 bytes of `data`; `file` is what to call it in an error.

    Raises CorruptSegmentError when they are not a header, not that of the segment which begins
    at `first_lsn` (where given), or of a version that this code doesn't know.
    """
    head = data[:SEGMENT_HEADER_SIZE]
    if len(head) < SEGMENT_HEADER_SIZE:
        raise CorruptSegmentError(file, f"{len(head)} bytes are no whole segment header")
    if zlib.crc32(head, CRC_START) != CRC_START:
        raise CorruptSegmentError(file, "the segment header's checksum is wrong")
    magic, version, flags, found, boot_id = _HEAD.unpack_from(head)
    if magic != MAGIC:
        raise CorruptSegmentError(file, f"its magic is {magic!r}, not {MAGIC!r}")
    if version != VERSION or flags != 0:
        raise CorruptSegmentError(
            file, f"format {version}, flags {flags} are unknown; this version reads {VERSION}"
        )
    if first_lsn is not None and found != first_lsn:
        raise CorruptSegmentError(file, f"its header says that it begins at record {found}")
    return SegmentHeader(found, boot_id)
