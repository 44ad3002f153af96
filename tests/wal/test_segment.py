"""A segment's name and header."""

import pytest

from osupervisor.wal.errors import CorruptSegmentError
from osupervisor.wal.segment import (
    SEGMENT_HEADER_SIZE,
    SegmentHeader,
    decode_header,
    encode_header,
    first_lsn_of,
    segment_name,
)

HEADER = SegmentHeader(42, b"0123456789abcdef")


def test_the_name_is_the_first_lsn_in_20_digits() -> None:
    assert segment_name(42) == "00000000000000000042.wal"
    assert first_lsn_of(segment_name(2**64 - 1)) == 2**64 - 1


@pytest.mark.parametrize(
    "name",
    [
        "control.hint",
        "42.wal",
        "00000000000000000042.wal.tmp",
        "00000000000000000042.wal.torn",
        "00000000000000000042.wal.broken",
        "0000000000000000004a.wal",
        "+0000000000000000042.wal",
        "00000000000000000042",
        "٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٤٢.wal",
    ],
)
def test_other_names_are_no_segments(name: str) -> None:
    assert first_lsn_of(name) is None


def test_a_header_comes_back_as_it_was() -> None:
    data = encode_header(HEADER)
    assert len(data) == SEGMENT_HEADER_SIZE
    assert decode_header(data + b"more", "it", 42) == HEADER


def test_every_flipped_bit_of_a_header_is_found() -> None:
    data = encode_header(HEADER)
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptSegmentError, match="it: "):
            decode_header(bytes(flipped), "it")


def test_a_header_cut_anywhere_is_refused() -> None:
    data = encode_header(HEADER)
    for size in range(len(data)):
        with pytest.raises(CorruptSegmentError, match="no whole segment header"):
            decode_header(data[:size], "it")


def test_a_file_under_another_name_is_refused() -> None:
    with pytest.raises(CorruptSegmentError, match="begins at record 42"):
        decode_header(encode_header(HEADER), "it", 43)
