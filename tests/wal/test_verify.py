"""A check of the whole log finds every damage, not the first alone."""

from pathlib import Path

import pytest

from osupervisor.wal import hint, salvage
from osupervisor.wal.record import Kind, encode
from osupervisor.wal.recover import reopen
from osupervisor.wal.repair import plan
from osupervisor.wal.segment import SEGMENT_HEADER_SIZE, segment_name
from osupervisor.wal.storage import DirectoryStorage, LogFile
from osupervisor.wal.verify import verify
from tests.wal.disk import Disk
from tests.wal.logs import SEGMENTS, flip_record, three_segments
from tests.wal.session import BOOT_ID, Owed, Session


def test_an_empty_log_is_whole() -> None:
    report = verify(Disk())
    assert report.ok and report.records == report.bytes == 0


def test_a_whole_log_is_counted() -> None:
    disk, owed = three_segments()
    report = verify(disk)
    assert report.ok and report.torn is None and report.leftovers == ()
    assert [(part.first_lsn, part.last_lsn) for part in report.parts] == [(1, 3), (4, 6), (7, 10)]
    assert (report.records, report.bytes) == (10, sum(map(len, owed.log)))


def test_every_damage_is_named_with_the_next_record_that_can_be_read() -> None:
    disk, owed = three_segments()
    flip_record(disk, owed, 2)
    flip_record(disk, owed, 4)
    flip_record(disk, owed, 6)
    flip_record(disk, owed, 7)
    report = verify(disk)
    assert [(found.lsn, found.next_lsn) for found in report.damage] == [
        (2, 3),
        (4, 5),
        (6, 7),
        (7, 8),
    ]
    assert [found.file for found in report.damage] == [
        f"disk/{SEGMENTS[at]}" for at in (0, 1, 1, 2)
    ]
    assert [(part.first_lsn, part.last_lsn) for part in report.parts] == [
        (1, 1),
        (3, 3),
        (5, 5),
        (8, 10),
    ]


def test_several_records_in_a_row_are_one_damage() -> None:
    disk, owed = three_segments()
    for lsn in (4, 5):
        flip_record(disk, owed, lsn)
    assert [(found.lsn, found.next_lsn) for found in verify(disk).damage] == [(4, 6)]


def test_a_bad_segment_header_loses_no_record() -> None:
    disk, owed = three_segments()
    disk.content(SEGMENTS[1])[20] ^= 1
    report = verify(disk)
    assert [(found.offset, found.lsn, found.next_lsn) for found in report.damage] == [(0, 4, 4)]
    assert report.records == len(owed.log)


@pytest.mark.parametrize("size", [0, 5, 63])
def test_a_file_that_ends_inside_its_header_is_damage_and_can_be_mended(
    tmp_path: Path, size: int
) -> None:
    storage = DirectoryStorage(tmp_path)
    (tmp_path / segment_name(1)).write_bytes(b"j" * size)
    report = verify(storage)
    assert [(one.offset, one.lsn) for one in report.damage] == [(0, 1)]
    assert plan(storage, checkpoint_lsn=0).aside == (segment_name(1),)


def test_a_missing_segment_is_a_gap() -> None:
    disk, _ = three_segments()
    disk.remove(SEGMENTS[1])
    (damage,) = verify(disk).damage
    assert (damage.file, damage.lsn, damage.next_lsn) == (f"disk/{SEGMENTS[0]}", 4, 7)
    assert damage.reason == "the records end"


def test_a_missing_end_is_found_by_the_hint() -> None:
    disk, _ = three_segments()
    disk.remove(SEGMENTS[1])
    disk.remove(SEGMENTS[2])
    (damage,) = verify(disk).damage
    assert (damage.lsn, damage.next_lsn, damage.segment_lsn) == (4, None, 1)
    assert damage.offset == disk.open(SEGMENTS[0]).data_end()
    assert hint.HINT_NAME in damage.reason
    disk.remove(SEGMENTS[0])
    (damage,) = verify(disk).damage
    assert (damage.file, damage.offset, damage.lsn) == (f"disk/{SEGMENTS[0]}", 0, 1)


def test_a_missing_end_is_placed_in_the_newest_segment() -> None:
    disk, _ = three_segments()
    disk.remove(SEGMENTS[2])
    hint.write(disk, hint.Hint(7, 64, 8))
    (damage,) = verify(disk).damage
    assert (damage.file, damage.segment_lsn, damage.lsn) == (f"disk/{SEGMENTS[1]}", 4, 7)


def test_a_missing_end_is_found_by_what_the_records_say() -> None:
    disk = Disk()
    raw = encode(1, 1, Kind.COMMIT, 5, 3, b"", b"", b"")
    reopen(disk, BOOT_ID, 0, [raw], 1000)
    (damage,) = verify(disk).damage
    assert (damage.lsn, damage.next_lsn) == (2, None)
    assert damage.reason == "a record says that record 3 was durable"


def test_a_torn_tail_is_no_damage() -> None:
    disk, owed = three_segments()
    flip_record(disk, owed, 9)
    report = verify(disk)
    assert report.ok
    assert report.torn is not None and report.torn.headers == 1
    assert report.records == 8


def test_leftovers_are_listed() -> None:
    disk, owed = Disk(), Owed()
    Session(disk, owed, epoch=1)
    Session(disk, owed, epoch=2)
    for name in ("x.wal.broken", "x.wal.broken.2", "y.wal.tmp"):
        disk.create(name)
    assert verify(disk).leftovers == (
        f"{SEGMENTS[0]}.torn",
        "x.wal.broken",
        "x.wal.broken.2",
        "y.wal.tmp",
    )


def test_a_log_that_is_written_to_meanwhile_is_not_called_damaged(tmp_path: Path) -> None:
    """A control record that became durable behind what was read is no record that is missing."""
    storage = DirectoryStorage(tmp_path)
    writer = reopen(storage, BOOT_ID, 0, [], segment_bytes_max=256)
    writer.append([encode(1, 1, Kind.COMMIT, 5, 0, b"key", bytes(200), b"")], 1)
    pieces = salvage.pieces(storage)
    assert isinstance(next(pieces), salvage.Whole)
    before = writer.segment
    writer.append_control(encode(2, 1, Kind.CONTROL, 5, 1, b"", b"fold", b""), 2)
    target = writer.sync_target()
    target.run()
    writer.note_durable(target.lsn)
    assert hint.read(storage) is not None and writer.segment != before
    assert not [piece for piece in pieces if isinstance(piece, salvage.Damage)]
    writer.close()
    assert verify(storage).ok


class Growing(DirectoryStorage):
    """A log to which is written while it is read: all behind `offset` is there at the third look
    only."""

    offset = 0

    def open(self, name: str, writable: bool = False) -> LogFile:
        file = super().open(name, writable)
        read, looks = file.read, list[int]()

        def look(offset: int, size: int) -> bytes:
            data = read(offset, size)
            if offset + len(data) > self.offset:
                looks.append(offset)
            if len(looks) > 2:
                return data
            return data[: max(0, self.offset - offset)].ljust(len(data), b"\0")

        file.read = look  # type: ignore[method-assign]
        return file


def test_records_that_were_just_being_written_are_no_damage(tmp_path: Path) -> None:
    """The last of them says that those before it are durable."""
    storage = Growing(tmp_path)
    writer = reopen(storage, BOOT_ID, 0, [])
    raw = [encode(lsn, 1, Kind.COMMIT, 5, lsn - 1, b"key", bytes(50), b"") for lsn in (1, 2, 3)]
    writer.append(raw, 1)
    writer.close()
    storage.offset = SEGMENT_HEADER_SIZE + len(raw[0])
    report = verify(storage)
    assert report.ok and report.torn is None and report.records == 3
