"""Records of one segment, for followers and for look-ups."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osupervisor.wal import reader, scan
from osupervisor.wal.errors import CorruptRecordError, CorruptSegmentError
from osupervisor.wal.reader import Buffer
from osupervisor.wal.record import HEADER_SIZE, Kind, Record, encode
from osupervisor.wal.segment import SEGMENT_HEADER_SIZE, SegmentHeader, encode_header

FIRST = 11


def packed(one: Record) -> bytes:
    return encode(
        one.lsn, one.epoch, one.kind, one.t_us, one.synced, one.key, one.request, one.commit
    )


def made(kinds_and_sizes: list[tuple[Kind, int]]) -> list[Record]:
    return [
        Record(FIRST + at, 2, kind, 5, 1, b"key", b"r" * size, bytes([at % 256]) * size)
        for at, (kind, size) in enumerate(kinds_and_sizes)
    ]


def segment_of(records: list[Record], zeros: int = 0) -> bytes:
    header = encode_header(SegmentHeader(FIRST, bytes(16)))
    return b"".join([header, *map(packed, records), bytes(zeros)])


def commits_of(records: list[Record]) -> list[tuple[int, int, bytes]]:
    return [(one.lsn, one.epoch, one.commit) for one in records if one.kind is Kind.COMMIT]


kinds_and_sizes = st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 300)), max_size=40)

FIVE = made(
    [(Kind.LEASE, 3), (Kind.COMMIT, 5), (Kind.COMMIT, 0), (Kind.DEATH, 1), (Kind.COMMIT, 9)]
)


@settings(deadline=None)
@given(kinds_and_sizes, st.integers(HEADER_SIZE, 2000), st.integers(0, 100), st.data())
def test_any_stretch_is_read_whatever_the_block(
    shape: list[tuple[Kind, int]], block_bytes: int, zeros: int, data: st.DataObject
) -> None:
    records = made(shape)
    source = Buffer(segment_of(records, zeros))
    first = data.draw(st.integers(0, len(records)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "BLOCK_BYTES", block_bytes)
        assert list(reader.read_from(source, FIRST + first)) == records[first:]
        assert list(reader.iter_commits(source, FIRST + first - 1)) == commits_of(records[first:])
        last = data.draw(st.integers(first, len(records)))
        got = list(reader.iter_commits(source, FIRST + first - 1, FIRST + last - 1))
        assert got == commits_of(records[first:last])


@settings(deadline=None)
@given(kinds_and_sizes.filter(bool), st.integers(HEADER_SIZE, 2000), st.data())
def test_what_stands_before_a_flipped_bit_is_read_and_then_it_is_named(
    shape: list[tuple[Kind, int]], block_bytes: int, data: st.DataObject
) -> None:
    records = made(shape)
    content = bytearray(segment_of(records))
    at = data.draw(st.integers(SEGMENT_HEADER_SIZE, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    offset, bad = SEGMENT_HEADER_SIZE, 0
    while offset + len(packed(records[bad])) <= at:
        offset += len(packed(records[bad]))
        bad += 1
    got: list[Record] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "BLOCK_BYTES", block_bytes)
        with pytest.raises(CorruptRecordError) as caught:
            for one in reader.read_from(Buffer(bytes(content)), FIRST):
                got.append(one)
    assert got == records[:bad]
    assert (caught.value.offset, caught.value.lsn) == (offset, FIRST + bad)


@given(st.binary(max_size=600))
def test_garbage_behind_a_segment_header_is_refused_or_zeros(data: bytes) -> None:
    source = Buffer(encode_header(SegmentHeader(FIRST, bytes(16))) + data)
    try:
        assert list(reader.read_from(source, FIRST)) == []
    except CorruptRecordError:
        assert data.strip(b"\0")


def test_a_descriptor_is_read_without_moving_its_position(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    path.write_bytes(segment_of(FIVE, zeros=5000))
    fd = os.open(path, os.O_RDONLY)
    try:
        assert list(reader.read_from(fd, FIRST)) == FIVE
        assert list(reader.iter_commits(fd, FIRST)) == commits_of(FIVE)
        assert reader.find(fd, FIRST + 3) == FIVE[3]
        assert reader.read_at(fd, SEGMENT_HEADER_SIZE) == FIVE[0]
        assert os.lseek(fd, 0, os.SEEK_CUR) == 0
    finally:
        os.close(fd)


def test_half_a_record_behind_the_last_one_wanted_is_no_matter() -> None:
    content = segment_of(FIVE)[:-7]
    upto = FIVE[3].lsn
    assert list(reader.iter_commits(Buffer(content), FIRST - 1, upto)) == commits_of(FIVE[:4])
    with pytest.raises(CorruptRecordError, match="ends inside"):
        list(reader.iter_commits(Buffer(content), FIRST - 1))


def test_a_segment_that_ends_too_early_is_an_error_when_the_end_is_known() -> None:
    source = Buffer(segment_of(FIVE, zeros=100))
    assert list(reader.iter_commits(source, FIRST - 1)) == commits_of(FIVE)
    with pytest.raises(CorruptRecordError, match="the records end") as caught:
        list(reader.iter_commits(source, FIRST - 1, FIRST + 5))
    assert caught.value.lsn == FIRST + 5


def test_a_record_of_another_place_is_refused() -> None:
    records = [*FIVE[:2], *FIVE[3:]]
    with pytest.raises(CorruptRecordError, match=f"record {FIVE[3].lsn} stands there") as caught:
        list(reader.read_from(Buffer(segment_of(records)), FIRST))
    assert caught.value.lsn == FIVE[2].lsn


def test_a_record_is_found_by_its_offset() -> None:
    source = Buffer(segment_of(FIVE))
    offset = SEGMENT_HEADER_SIZE + len(packed(FIVE[0]))
    assert reader.read_at(source, offset) == FIVE[1]
    with pytest.raises(CorruptRecordError) as caught:
        reader.read_at(source, offset + 1)
    assert caught.value.offset == offset + 1
    with pytest.raises(CorruptRecordError, match="ends inside"):
        reader.read_at(source, 10**6)


def test_a_record_that_the_segment_does_not_reach_is_not_found() -> None:
    with pytest.raises(CorruptRecordError, match="the records end"):
        reader.find(Buffer(segment_of(FIVE)), FIRST + 5)


def test_a_scan_reads_nothing_behind_its_end() -> None:
    class Watched(Buffer):
        def read(self, offset: int, size: int) -> bytes:
            assert offset + size <= end
            return super().read(offset, size)

    content = segment_of(FIVE, zeros=500)
    end = len(content) - 300
    source = Watched(content)
    raw, stop = scan.collect(
        scan.runs(source, SEGMENT_HEADER_SIZE, FIRST, scan.LSN_MAX, end, scan.walk_raw)
    )
    assert raw == [packed(one) for one in FIVE]
    assert stop.clean and stop.offset == len(content) - 500


def test_what_is_no_segment_is_refused() -> None:
    with pytest.raises(CorruptSegmentError):
        list(reader.read_from(Buffer(b"\0" * 1000), 1))
