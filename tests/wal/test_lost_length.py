"""A power cut may take the sector with a record's length and leave the one with its LSN."""

import pytest

from osupervisor.wal import scan
from osupervisor.wal.errors import CorruptRecordError
from osupervisor.wal.reader import Buffer, iter_commits, read_from
from osupervisor.wal.record import OVERHEAD, Kind, encode
from osupervisor.wal.segment import SEGMENT_HEADER_SIZE, SegmentHeader, encode_header


@pytest.mark.parametrize("length", [0, 1, OVERHEAD - 1])
def test_a_record_without_its_length_is_no_record(length: int) -> None:
    whole = encode(1, 1, Kind.COMMIT, 5, 0, b"k", b"r", b"c")
    lost = length.to_bytes(4, "big") + encode(2, 1, Kind.COMMIT, 5, 0, b"k", b"r", b"c")[4:]
    segment = Buffer(encode_header(SegmentHeader(1, bytes(16))) + whole + lost)

    walk = scan.runs(segment, SEGMENT_HEADER_SIZE, 1, 9, len(segment), scan.walk_raw)
    assert [list(raw) for raw in walk] == [[whole]]
    assert [record.lsn for record in read_from(segment, 1, 1)] == [1]
    with pytest.raises(CorruptRecordError):
        list(read_from(segment, 1, 2))
    commits = iter_commits(segment, 0, 2)
    assert next(commits) == (1, 1, b"c")
    with pytest.raises(CorruptRecordError):
        next(commits)
