"""The hot segment's bytes: where everything lies, and how to read them whatever they hold. Pure.

One segment per brain, 65,536 bytes, numbers in the machine's own byte order, so that a number
is one aligned 8-byte store. One writer (the brain); any number of readers.

    byte     0   magic "osv.hot\\0"                    8   format version u32 (1)
            12   capacity of the table u32 (512)      16   brain's pid u64
            64   robust mutex, 64 bytes; its first 4 are the futex word
           128   heartbeat, monotonic ns u64         136   beats u64
           192   cell u64: n now executing, 0: none  200   cell since, monotonic ns u64
           208   lsn u64: the last record applied
           256   activity slot 0                     512   activity slot 1
         1,024   table: 512 entries of 72 bytes
        37,888   zeros

    slot     0        8          16     20       22        24
             +--------+----------+------+--------+---------+----+-----+
             | number | since ns | crc  | op len | key len | op | key |   256 bytes
             +--------+----------+------+--------+---------+----+-----+

    entry    0         8         16     20     21         24
             +---------+---------+------+------+----------+------+
             | i64     | f64     | crc  | kind | name len | name |         72 bytes
             +---------+---------+------+------+----------+------+

`crc` of a slot covers it but for the crc itself; the slot with the higher number and a right
crc counts, so a brain that dies in the middle of a store leaves the other one. `crc` of an
entry covers its name alone; `kind` is 0 free, 1 integer, 2 float and is stored last, and each
kind has its own number, so that no value is ever read as the other kind.

Rule: nothing here raises for any content. What isn't right is left out.
"""

import struct
import zlib
from dataclasses import dataclass

SEGMENT_BYTES = 65_536
MAGIC = b"osv.hot\0"
FORMAT_VERSION = 1

PID_OFFSET = 16
MUTEX_OFFSET = 64
MUTEX_BYTES = 64
HEARTBEAT_OFFSET = 128
BEATS_OFFSET = 136
CELL_OFFSET = 192
CELL_SINCE_OFFSET = 200
LSN_OFFSET = 208

SLOT_OFFSETS = (256, 512)
SLOT_BYTES = 256
OP_BYTES_MAX = 96
KEY_BYTES_MAX = 128

TABLE_OFFSET = 1_024
ENTRY_BYTES = 72
KIND_OFFSET = 20
COUNTERS_MAX = 512
NAME_BYTES_MAX = 48

KIND_FREE, KIND_INT, KIND_FLOAT = 0, 1, 2

_HEADER = struct.Struct("=8sII")
_WORD = struct.Struct("=Q")
_SLOT = struct.Struct("=QQIHH")
_ENTRY = struct.Struct("=qdIBB2x48s")

_TABLE_END = TABLE_OFFSET + COUNTERS_MAX * ENTRY_BYTES

assert _TABLE_END <= SEGMENT_BYTES
assert _SLOT.size + OP_BYTES_MAX + KEY_BYTES_MAX <= SLOT_BYTES
assert _ENTRY.size == ENTRY_BYTES


@dataclass(frozen=True, slots=True)
class Activity:
    """What the brain said it is doing, and since when (monotonic ns)."""

    op: str
    key: bytes
    since_ns: int


@dataclass(frozen=True, slots=True)
class HotSnapshot:
    """One copy of a segment, taken apart. A brain may write anything: nothing here is proof.

    `valid` is False when the segment's header is not ours: before the brain has attached, or
    after it was scribbled over. Times are monotonic nanoseconds, 0: never.
    """

    valid: bool
    pid: int
    heartbeat_ns: int
    beats: int
    cell: int
    cell_since_ns: int
    lsn: int
    activity: Activity | None
    counters: dict[str, int | float]


def header() -> bytes:
    """The first 16 bytes of a segment in use."""
    return _HEADER.pack(MAGIC, FORMAT_VERSION, COUNTERS_MAX)


def parse(content: bytes) -> HotSnapshot:
    """A segment's content, `SEGMENT_BYTES` long, taken apart; it must be a private copy."""
    assert len(content) == SEGMENT_BYTES
    return HotSnapshot(
        valid=content[: _HEADER.size] == header(),
        pid=_word(content, PID_OFFSET),
        heartbeat_ns=_word(content, HEARTBEAT_OFFSET),
        beats=_word(content, BEATS_OFFSET),
        cell=_word(content, CELL_OFFSET),
        cell_since_ns=_word(content, CELL_SINCE_OFFSET),
        lsn=_word(content, LSN_OFFSET),
        activity=parse_activity(content),
        counters=parse_table(content),
    )


def pack_activity(number: int, activity: Activity) -> bytes:
    """A whole slot. `op` and `key` are cut to what a slot holds."""
    op = activity.op.encode("utf-8", "replace")[:OP_BYTES_MAX]
    key = activity.key[:KEY_BYTES_MAX]
    head = bytearray(_SLOT.pack(number, activity.since_ns, 0, len(op), len(key)))
    slot = bytes(head + op + key).ljust(SLOT_BYTES, b"\0")
    crc = zlib.crc32(slot[:16] + slot[20:])
    return slot[:16] + struct.pack("=I", crc) + slot[20:]


def parse_activity(content: bytes) -> Activity | None:
    """The newest whole slot. None: nothing was written, or neither slot is whole."""
    found = [slot for slot in map(_parse_slot, _slots(content)) if slot is not None]
    return max(found, key=lambda slot: slot[0])[1] if found else None


def pack_free_entry(name: bytes) -> bytes:
    """An entry that has a name and no value yet."""
    return _ENTRY.pack(0, 0.0, zlib.crc32(name), KIND_FREE, len(name), name)


def parse_table(content: bytes) -> dict[str, int | float]:
    """Every whole entry, in the order of the table."""
    counters: dict[str, int | float] = {}
    # All kinds in one slice: most entries are free most of the time.
    kinds = content[TABLE_OFFSET + KIND_OFFSET : _TABLE_END : ENTRY_BYTES]
    for index, kind in enumerate(kinds):
        if kind not in (KIND_INT, KIND_FLOAT):
            continue
        offset = TABLE_OFFSET + index * ENTRY_BYTES
        integer, real, crc, _, length, padded = _ENTRY.unpack_from(content, offset)
        name = padded[:length]
        if length <= NAME_BYTES_MAX and zlib.crc32(name) == crc:
            counters[name.decode("utf-8", "replace")] = integer if kind == KIND_INT else real
    return counters


def _word(content: bytes, offset: int) -> int:
    value: int = _WORD.unpack_from(content, offset)[0]
    return value


def _slots(content: bytes) -> list[bytes]:
    return [content[offset : offset + SLOT_BYTES] for offset in SLOT_OFFSETS]


def _parse_slot(slot: bytes) -> tuple[int, Activity] | None:
    number, since_ns, crc, op_bytes, key_bytes = _SLOT.unpack_from(slot)
    if op_bytes > OP_BYTES_MAX or key_bytes > KEY_BYTES_MAX or number == 0:
        return None
    if zlib.crc32(slot[:16] + slot[20:]) != crc:
        return None
    op = slot[_SLOT.size : _SLOT.size + op_bytes].decode("utf-8", "replace")
    key = slot[_SLOT.size + op_bytes : _SLOT.size + op_bytes + key_bytes]
    return number, Activity(op, key, since_ns)
