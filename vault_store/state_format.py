"""The bytes of a checkpoint's state file, and the instructions in them. Pure.

The file is a sequence of zstd frames. Those that carry data are preceded by a *skippable* frame
with their sizes and checksums, so `zstd -dc state.zst` gives the plain MessagePack stream. Numbers
are little-endian, as zstd's own are.

    file     header, (label, data frame) x blocks, trailer

    header   0       4     8         16        20
             +-------+-----+---------+---------+-----+
             | magic | 16  | OSVSTATE| version | crc |                          24 bytes
             +-------+-----+---------+---------+-----+
    label    0       4     8        12       16    20    24
             +-------+-----+--------+--------+-----+-----+-----+
             | magic | 20  | number | stored | raw | crc | crc |                28 bytes
             +-------+-----+--------+--------+-----+-----+-----+
    trailer  0       4     8        16    24     32
             +-------+-----+--------+-----+------+-----+
             | magic | 28  | blocks | raw | keys | crc |                        36 bytes
             +-------+-----+--------+-----+------+-----+

The last crc of each covers all bytes before it; a label's first one covers the data frame as it
is stored. `number` counts blocks from 0. `magic` is one of zstd's sixteen for skippable frames,
another for each of the three.

A block's data is one MessagePack array of instructions, arrays themselves. They fill one list of
two, the state and the hot table, with a stack of open containers:

    [0, keys, values]   add to the open dict        [1, items]   append to the open list
    [2, key]            open a dict under key       [3, key]     open a list under key
    [4, key]            open a text under key       [5, key]     open bytes under key
    [6, piece]          append to the open text or bytes         [7]   close
    [8, value]          put value under the held key
    [9, text?]          open a key: a text (true) or bytes; closed, it is held

`key` is nil in a list, and where a key is held (one too long to stand in an instruction).
Whatever is small stands in 0, 1 or 8 as ordinary MessagePack, nested or not; what is large is
opened and filled. So every instruction is small and every length in it has a low bound.
"""

import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Final, cast

FORMAT_VERSION = 1

# Raw bytes of a block: large enough for zstd to find repetitions, small enough to hold several.
BLOCK_RAW_MAX = 1 << 20
# zstd's own bound for what can't be made smaller.
BLOCK_STORED_MAX = BLOCK_RAW_MAX + (BLOCK_RAW_MAX >> 8) + 64
# What one instruction may hold: values and keys at all depths, characters of texts, depth; a block
# holds no more than NODES_MAX instructions. Depth is what a look at a value costs at most.
NODES_MAX = 8_192
CHARS_MAX = 128 * 1024
DEPTH_MAX = 32

_HEADER = struct.Struct("<II8sII")
_LABEL = struct.Struct("<IIIIIII")
_TRAILER = struct.Struct("<IIQQQI")
_HEADER_MAGIC, _LABEL_MAGIC, _TRAILER_MAGIC = 0x184D2A50, 0x184D2A51, 0x184D2A52
_NAME = b"OSVSTATE"

HEADER_BYTES: Final = _HEADER.size
LABEL_BYTES: Final = _LABEL.size
TRAILER_BYTES: Final = _TRAILER.size
# An instruction is at most this: every character 4 bytes, every other value 9, and some frame.
assert CHARS_MAX * 4 + NODES_MAX * 9 + 64 < BLOCK_RAW_MAX


class Instruction(IntEnum):
    """The first member of an instruction; the table stands above."""

    PAIRS = 0
    ITEMS = 1
    OPEN_DICT = 2
    OPEN_LIST = 3
    OPEN_TEXT = 4
    OPEN_BYTES = 5
    PIECE = 6
    CLOSE = 7
    PUT = 8
    OPEN_KEY = 9


@dataclass(frozen=True, slots=True)
class StateSummary:
    """What a written state file is. `bytes` and `sha256` (hex) are those of the whole file,
    `raw_bytes` of the instructions, `keys` the state's own at its top."""

    bytes: int
    raw_bytes: int
    sha256: str
    keys: int

    def as_map(self) -> dict[str, int | str]:
        """For a message or a manifest; `from_map` reads it."""
        return asdict(self)

    @classmethod
    def from_map(cls, found: object) -> "StateSummary":
        """Raises ValueError for anything but what `as_map` gives; other keys are ignored."""
        if not isinstance(found, Mapping):
            raise ValueError(f"a summary is {found!r}, not a map")
        members = cast(Mapping[object, object], found)
        numbers = (members.get(name) for name in ("bytes", "raw_bytes", "keys"))
        size, raw, keys = (count(number) for number in numbers)
        return cls(size, raw, sha256_hex(members.get("sha256")), keys)


@dataclass(frozen=True, slots=True)
class Label:
    """What stands before a block: its number, its sizes and the crc of its stored bytes."""

    number: int
    stored_bytes: int
    raw_bytes: int
    crc: int


@dataclass(frozen=True, slots=True)
class Trailer:
    """What stands at the end: totals."""

    blocks: int
    raw_bytes: int
    keys: int


def pack_header() -> bytes:
    """The file's first bytes."""
    head = _HEADER.pack(_HEADER_MAGIC, HEADER_BYTES - 8, _NAME, FORMAT_VERSION, 0)
    return _with_crc(head)


def pack_label(label: Label) -> bytes:
    """A block's label."""
    numbers = (label.number, label.stored_bytes, label.raw_bytes, label.crc)
    return _with_crc(_LABEL.pack(_LABEL_MAGIC, LABEL_BYTES - 8, *numbers, 0))


def pack_trailer(trailer: Trailer) -> bytes:
    """The file's last bytes."""
    numbers = (trailer.blocks, trailer.raw_bytes, trailer.keys)
    return _with_crc(_TRAILER.pack(_TRAILER_MAGIC, TRAILER_BYTES - 8, *numbers, 0))


def check_header(found: bytes) -> None:
    """Raises ValueError unless `found` is a header of this version."""
    if len(found) < HEADER_BYTES:
        raise ValueError(f"the file ends in its header, after {len(found)} bytes")
    magic, size, name, version, _ = _HEADER.unpack(found)
    if magic != _HEADER_MAGIC or size != HEADER_BYTES - 8 or name != _NAME:
        raise ValueError("not a state file")
    if found != _with_crc(found):
        raise ValueError("the header's checksum is wrong")
    if version != FORMAT_VERSION:
        raise ValueError(f"format version {version}, this program reads {FORMAT_VERSION}")


def parse_label(found: bytes) -> Label | Trailer:
    """What stands between blocks: a label, or the trailer; `found` may go on behind it.

    Raises ValueError, also when a size in it is beyond what a writer makes.
    """
    if found[:4] == _TRAILER_MAGIC.to_bytes(4, "little"):
        return _parse_trailer(found[:TRAILER_BYTES])
    found = found[:LABEL_BYTES]
    if len(found) < LABEL_BYTES:
        raise ValueError("the file ends before its trailer")
    magic, size, number, stored, raw, crc, _ = _LABEL.unpack(found)
    if magic != _LABEL_MAGIC or size != LABEL_BYTES - 8 or found != _with_crc(found):
        raise ValueError("a block's label is damaged")
    if stored > BLOCK_STORED_MAX or raw > BLOCK_RAW_MAX:
        raise ValueError(f"a block of {raw} bytes, stored in {stored}")
    return Label(number, stored, raw, crc)


def count(found: object) -> int:
    """`found` when it is a whole number from 0 on. Raises ValueError."""
    if type(found) is not int or not 0 <= found < 2**64:
        raise ValueError(f"a number is {found!r}, not a whole one from 0 on")
    return found


def sha256_hex(found: object) -> str:
    """`found` when it has a sha256's form. Raises ValueError."""
    if not isinstance(found, str) or re.fullmatch("[0-9a-f]{64}", found) is None:
        raise ValueError(f"sha256 is {found!r}, not 64 lower-case hexadecimal digits")
    return found


def _parse_trailer(found: bytes) -> Trailer:
    if len(found) < TRAILER_BYTES:
        raise ValueError("the file ends in its trailer")
    _, size, blocks, raw, keys, _ = _TRAILER.unpack(found)
    if size != TRAILER_BYTES - 8 or found != _with_crc(found):
        raise ValueError("the trailer is damaged")
    return Trailer(blocks, raw, keys)


def _with_crc(head: bytes) -> bytes:
    """`head` with its last four bytes replaced by the crc of those before."""
    return head[:-4] + zlib.crc32(head[:-4]).to_bytes(4, "little")
