"""Headers searched behind a bad record, wherever they stand."""

import pytest

from osupervisor.wal import scan
from osupervisor.wal.record import OVERHEAD, RECORD_BYTES_MAX, Header, Kind, encode
from osupervisor.wal.scan import Stop


def one(lsn: int, size: int = 0) -> bytes:
    return encode(lsn, 1, Kind.COMMIT, 5, 0, b"", b"r" * size, b"")


def found(data: bytes, stop: Stop) -> list[tuple[int, int]]:
    return [(at.offset, at.header.lsn) for at in scan.headers_behind(data, stop)]


@pytest.mark.parametrize("zeros", [*range(1, 100), *range(4000, 4200), *range(8100, 8250)])
def test_a_header_behind_any_number_of_zeros_is_found(zeros: int) -> None:
    data = bytes(zeros) + one(8) + one(9) + bytes(9000) + one(10)
    end = 100 + zeros
    assert found(data, Stop(100, 7, "bad")) == [
        (end, 8),
        (end + OVERHEAD, 9),
        (end + 2 * OVERHEAD + 9000, 10),
    ]


def test_what_a_whole_header_spans_is_passed_over() -> None:
    outer = encode(8, 1, Kind.COMMIT, 5, 0, b"", one(9), one(10))
    assert found(b"x" + outer + one(11), Stop(0, 7, "bad")) == [(1, 8), (1 + len(outer), 11)]


def test_the_bad_records_own_extent_is_passed_over_when_its_header_is_right() -> None:
    header = Header(500, 7, 1, Kind.COMMIT, 5, 0, 0, 0)
    data = one(8) + bytes(500 - OVERHEAD) + one(9)
    assert found(data, Stop(0, 7, "bad", header)) == [(500, 9)]
    assert found(data, Stop(0, 7, "bad")) == [(0, 8), (500, 9)]


def test_only_later_records_that_fit_are_taken_for_the_logs() -> None:
    data = b"x" * 10 + one(7) + one(6) + one(10) + one(11) + one(2**40)
    room = len(data) // OVERHEAD
    assert found(data, Stop(0, 7, "bad")) == [(10 + 2 * OVERHEAD, 10), (10 + 3 * OVERHEAD, 11)]
    assert 7 + room >= 11


def test_nothing_is_found_in_nothing() -> None:
    for data in (b"", b"x", bytes(50), bytes(5000), b"\x01" * 10_000):
        assert found(data, Stop(0, 7, "bad")) == []


@pytest.mark.parametrize("length", [OVERHEAD, OVERHEAD + 1])
def test_the_smallest_records_are_walked_to_the_last_byte(length: int) -> None:
    data = one(1, length - OVERHEAD) + one(2, length - OVERHEAD)
    assert scan.walk_raw(data, 1, 9) == ([data[:length], data[length:]], 2 * length, 3)
    assert scan.walk_over(data, 1, 9) == ([(3, 2 * length)], 2 * length, 3)


def test_the_largest_record_is_bounded() -> None:
    assert RECORD_BYTES_MAX == 64 * 1024 * 1024 + 48
