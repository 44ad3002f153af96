"""Where the newest control record is: a file beside the segments that saves a start the search.

    byte   0          8         12      16          24       32      40      44
           +----------+---------+-------+-----------+--------+-------+-------+
           | magic    | version | flags | segment's | offset | lsn   | crc   |
           | OSUPHNT\\n|    1    |   0   | first lsn | in it  |       |       |
           +----------+---------+-------+-----------+--------+-------+-------+

Numbers are big-endian, the checksum little-endian and begun at `CRC_START`. It is a hint and no
more: never synced, perhaps old, perhaps torn. A reader believes it only when its checksum is right
and a whole control record with that LSN stands at that place; else it searches.
"""

import contextlib
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from osupervisor.wal.record import CRC_START
from osupervisor.wal.segment import TMP_SUFFIX
from osupervisor.wal.storage import Storage

HINT_NAME: Final = "control.hint"
HINT_SIZE: Final = 44
MAGIC: Final = b"OSUPHNT\n"
VERSION: Final = 1

_HEAD = struct.Struct(">8sIIQQQ")
_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Hint:
    """Control record `lsn` begins at `offset` in the segment that starts at `segment_lsn`."""

    segment_lsn: int
    offset: int
    lsn: int


def encode(hint: Hint) -> bytes:
    head = _HEAD.pack(MAGIC, VERSION, 0, hint.segment_lsn, hint.offset, hint.lsn)
    return head + _CRC.pack(zlib.crc32(head, CRC_START))


def decode(data: bytes) -> Hint | None:
    """The hint in `data`; None when that is anything but a whole hint of this version."""
    if len(data) != HINT_SIZE or zlib.crc32(data, CRC_START) != CRC_START:
        return None
    magic, version, flags, segment_lsn, offset, lsn = _HEAD.unpack_from(data)
    if (magic, version, flags) != (MAGIC, VERSION, 0):
        return None
    return Hint(segment_lsn, offset, lsn)


def write(storage: Storage, hint: Hint) -> None:
    """Put the hint in place of the one before, in one step. Nothing is synced. Raises OSError."""
    tmp = HINT_NAME + TMP_SUFFIX
    with contextlib.suppress(FileNotFoundError):
        storage.remove(tmp)
    file = storage.create(tmp)
    try:
        data = encode(hint)
        if file.write(0, data) == len(data):
            storage.rename(tmp, HINT_NAME)
    finally:
        file.close()


def read(storage: Storage) -> Hint | None:
    """The hint; None when there is none that can be believed so far. Raises OSError."""
    try:
        file = storage.open(HINT_NAME)
    except FileNotFoundError:
        return None
    try:
        return decode(file.read(0, HINT_SIZE + 1))
    finally:
        file.close()
