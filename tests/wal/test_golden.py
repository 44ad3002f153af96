"""The formats, byte by byte: what is on disks today must open tomorrow.

A change here is a new format version, and the old one must still be read.
"""

from pathlib import Path

from osupervisor.wal import hint, reader, segment
from osupervisor.wal.hint import Hint
from osupervisor.wal.record import Kind, Record, decode, encode
from osupervisor.wal.segment import SegmentHeader

GOLDEN = Path(__file__).parent / "golden"

BOOT_ID = bytes(range(16))

RECORDS = [
    Record(41, 3, Kind.LEASE, 1_700_000_000_000_000, 40, b"", b"", b"holder"),
    Record(
        42, 3, Kind.COMMIT, 1_700_000_000_000_123, 40, b"\x93\xa1c\x07\x05", b"request", b"commit"
    ),
    Record(43, 3, Kind.VERDICT, 1_700_000_000_000_124, 42, b"\xa1k", b"", b"error"),
    Record(44, 3, Kind.DEATH, 1_700_000_000_000_125, 42, b"\xa1k", b"", b""),
    Record(45, 4, Kind.CONTROL, 1_700_000_000_000_126, 44, b"", b"", b"the fold"),
]

COMMIT_HEX = (
    "00000042"  # length: 66
    "000000000000002a"  # lsn
    "00000003"  # epoch
    "01"  # kind
    "00"  # flags
    "0005"  # key length
    "00060a24181e407b"  # t
    "0000000000000028"  # synced
    "00000006"  # commit length
    "420d6c67"  # header crc, little-endian
    "93a1630705"  # key
    "72657175657374"  # request
    "636f6d6d6974"  # commit
    "de844a48"  # body crc, little-endian
)
SEGMENT_HEX = (
    "4f53555057414c0a"  # magic: OSUPWAL\n
    "00000001"  # version
    "00000000"  # flags
    "0000000000000029"  # first lsn
    "000102030405060708090a0b0c0d0e0f"  # boot id
    "0000000000000000000000000000000000000000"  # reserved
    "b2f61016"  # crc, little-endian
)
HINT_HEX = (
    "4f535550484e540a"  # magic: OSUPHNT\n
    "00000001"  # version
    "00000000"  # flags
    "0000000000000029"  # the segment's first lsn
    "0000000000000123"  # offset
    "000000000000002d"  # lsn
    "e181d41d"  # crc, little-endian
)


def packed(one: Record) -> bytes:
    return encode(
        one.lsn, one.epoch, one.kind, one.t_us, one.synced, one.key, one.request, one.commit
    )


def test_a_record_has_these_bytes() -> None:
    raw = bytes.fromhex(COMMIT_HEX)
    assert packed(RECORDS[1]).hex() == COMMIT_HEX
    assert decode(raw, 0) == (RECORDS[1], len(raw))


def test_a_segment_header_has_these_bytes() -> None:
    header = SegmentHeader(41, BOOT_ID)
    assert segment.encode_header(header).hex() == SEGMENT_HEX
    assert segment.decode_header(bytes.fromhex(SEGMENT_HEX), "it", 41) == header


def test_a_hint_has_these_bytes() -> None:
    assert hint.encode(Hint(41, 0x123, 45)).hex() == HINT_HEX
    assert hint.decode(bytes.fromhex(HINT_HEX)) == Hint(41, 0x123, 45)


def test_a_whole_segment_has_these_bytes() -> None:
    golden = (GOLDEN / "00000000000000000041.wal").read_bytes()
    header = segment.encode_header(SegmentHeader(41, BOOT_ID))
    written = b"".join([header, *map(packed, RECORDS)])
    assert golden == written.ljust(4096, b"\0")


def test_the_golden_segment_is_read() -> None:
    golden = (GOLDEN / "00000000000000000041.wal").read_bytes()
    assert list(reader.read_from(reader.Buffer(golden), 41)) == RECORDS
    assert list(reader.iter_commits(reader.Buffer(golden), 40)) == [(42, 3, b"commit")]


def test_the_documented_record_is_the_golden_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats" / "WAL.md").read_text()
    assert COMMIT_HEX in page.replace(" ", "").replace("\n", "")
