"""The parts of a state file, golden bytes."""

import struct
import zlib

import pytest

from osupervisor.vault_store import state_format as form
from osupervisor.vault_store.state_format import Label, Trailer

# Written down by hand from docs/formats/CHECKPOINT.md, then its checksum.
HEADER = bytes.fromhex("502a4d18 10000000 4f53565354415445 01000000")
LABEL = bytes.fromhex("512a4d18 14000000 07000000 2c010000 00100000 efbeadde")
TRAILER = bytes.fromhex(
    "522a4d18 1c000000 0800000000000000 0080000000000000 40420f0000000000"
)  # 8 blocks, 32,768 raw bytes, 1,000,000 keys


def with_crc(head: bytes) -> bytes:
    return head + struct.pack("<I", zlib.crc32(head))


def test_golden_header() -> None:
    assert form.pack_header() == with_crc(HEADER)
    form.check_header(with_crc(HEADER))


def test_golden_label() -> None:
    label = Label(number=7, stored_bytes=300, raw_bytes=4096, crc=0xDEADBEEF)
    assert form.pack_label(label) == with_crc(LABEL)
    assert form.parse_label(with_crc(LABEL) + b"what follows") == label


def test_golden_trailer() -> None:
    trailer = Trailer(blocks=8, raw_bytes=32_768, keys=1_000_000)
    assert form.pack_trailer(trailer) == with_crc(TRAILER)
    assert form.parse_label(with_crc(TRAILER)) == trailer


@pytest.mark.parametrize("whole", [with_crc(LABEL), with_crc(TRAILER)])
def test_part_cut_or_flipped_anywhere_is_refused(whole: bytes) -> None:
    for end in range(len(whole)):
        with pytest.raises(ValueError, match="the file ends"):
            form.parse_label(whole[:end])
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="damaged|ends"):
            form.parse_label(bytes(flipped))


def test_sizes_beyond_the_writers_are_refused_under_a_right_checksum() -> None:
    for stored, raw in ((form.BLOCK_STORED_MAX + 1, 0), (0, form.BLOCK_RAW_MAX + 1)):
        with pytest.raises(ValueError, match="a block of"):
            form.parse_label(form.pack_label(Label(0, stored, raw, 0)))
