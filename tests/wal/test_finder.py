"""Records looked up by LSN, again and again, in a log that goes on."""

import random

import pytest

from osupervisor.wal import finder, scan
from osupervisor.wal.errors import CorruptRecordError, CorruptSegmentError
from osupervisor.wal.finder import Finder
from osupervisor.wal.record import HEADER_SIZE, Kind, encode, unpack
from osupervisor.wal.recover import reopen
from tests.wal.disk import Disk
from tests.wal.logs import SEGMENTS, flip_record, three_segments
from tests.wal.session import BOOT_ID


@pytest.mark.parametrize("block_bytes", [HEADER_SIZE, 200, 256 * 1024])
def test_every_record_is_found_in_any_order(
    block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "BLOCK_BYTES", block_bytes)
    disk, owed = three_segments()
    found = Finder(disk)
    lsns = [*range(1, 11)] * 3
    random.Random(1).shuffle(lsns)
    for lsn in lsns:
        assert found.find(lsn) == unpack(owed.log[lsn - 1])


def test_what_the_log_does_not_hold_is_not_found() -> None:
    disk, _ = three_segments()
    found = Finder(disk)
    assert found.find(11) is None and found.find(0) is None
    disk.remove(SEGMENTS[0])
    assert found.find(2) is None
    assert found.find(11) is None
    assert Finder(Disk()).find(1) is None


def test_records_appended_since_are_found() -> None:
    disk = Disk()
    writer = reopen(disk, BOOT_ID, 0, [], 100_000)
    found = Finder(disk)
    for lsn in range(1, 200):
        assert found.find(lsn) is None
        raw = encode(lsn, 1, Kind.COMMIT, 5, 0, b"", b"r" * (lsn % 7), b"c")
        writer.append([raw], lsn)
        assert found.find(lsn) == unpack(raw)


def test_a_segment_that_was_replaced_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "BLOCK_BYTES", 200)
    disk = Disk()
    old = [encode(lsn, 1, Kind.COMMIT, 5, 0, b"", b"", b"old") for lsn in range(1, 20)]
    new = [encode(lsn, 1, Kind.COMMIT, 5, 0, b"", b"", b"brand new") for lsn in range(1, 20)]
    reopen(disk, BOOT_ID, 0, old, 8192)
    found = Finder(disk)
    assert found.find(19) == unpack(old[18])
    reopen(disk, BOOT_ID, 0, new, 8192)
    assert [found.find(lsn) for lsn in (19, 1, 7)] == [unpack(new[at]) for at in (18, 0, 6)]


def test_damage_is_never_served() -> None:
    disk, owed = three_segments()
    found = Finder(disk)
    assert found.find(5) == unpack(owed.log[4])
    flip_record(disk, owed, 5)
    disk.content(SEGMENTS[2])[20] ^= 1
    with pytest.raises(CorruptRecordError) as caught:
        found.find(5)
    assert caught.value.lsn == 5
    assert found.find(4) == unpack(owed.log[3])
    with pytest.raises(CorruptSegmentError):
        found.find(8)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "SEGMENTS_KNOWN", 2)
    disk, owed = three_segments()
    found = Finder(disk)
    for _ in range(2):
        for lsn in (1, 4, 7):
            assert found.find(lsn) == unpack(owed.log[lsn - 1])
    assert len(found._places) == 2  # pyright: ignore[reportPrivateUsage]
