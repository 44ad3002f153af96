"""What a start makes of a log: its end, its newest control record, what must be written again."""

import pytest

from osupervisor.wal import hint, placement, scan
from osupervisor.wal.errors import AppendFailed, DamageError, ReopenFailed
from osupervisor.wal.hint import Hint
from osupervisor.wal.record import Kind, encode
from osupervisor.wal.recover import read_log, reopen
from osupervisor.wal.segment import SEGMENT_HEADER_SIZE
from osupervisor.wal.writer import Writer
from tests.wal.disk import SECTOR, Disk, DiskFile
from tests.wal.session import BOOT_ID

FIRST = "00000000000000000001.wal"


def one(lsn: int, synced: int = 0, kind: Kind = Kind.COMMIT, size: int = 10) -> bytes:
    return encode(lsn, 1, kind, 1000 + lsn, synced, b"k", bytes(size), b"c" * size)


def begun(disk: Disk, *records: bytes, segment_bytes_max: int = 8192) -> Writer:
    """A log that begins with these records, none of them known durable to a later process."""
    writer = reopen(disk, BOOT_ID, 0, [], segment_bytes_max)
    if records:
        writer.append(records, 1)
    return writer


def reopened(disk: Disk, after_lsn: int, records: list[bytes]) -> Writer:
    return reopen(disk, BOOT_ID, after_lsn, records, 8192)


def sync(writer: Writer) -> None:
    target = writer.sync_target()
    target.run()
    writer.note_durable(target.lsn)


def test_a_new_log_is_empty() -> None:
    view = read_log(Disk())
    assert (view.segments, view.first_lsn, view.last_lsn, view.durable_lsn) == ((), 1, 0, 0)
    assert view.control is None and view.control_record() is None
    assert list(view.records(1)) == [] and view.raw(1) == []


def test_zeros_behind_the_last_record_are_the_end() -> None:
    disk = Disk()
    begun(disk, one(1), one(2))
    view = read_log(disk)
    assert (view.last_lsn, view.torn) == (2, None)
    assert [found.lsn for found in view.records(2)] == [2]


@pytest.mark.parametrize("left", [b"", b"\x01", b"\x01" + bytes(scan.BLOCK_BYTES - 1)])
def test_zeros_that_a_copy_wrote_are_passed_over_by_blocks(
    left: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start of a restored backup must not take the memory of a whole segment."""
    disk = Disk()
    writer = begun(disk, one(1), one(2), segment_bytes_max=10 * scan.BLOCK_BYTES + 77)
    end = writer.end
    disk.content(FIRST)[end : end + len(left)] = left
    sizes: list[int] = []
    read = DiskFile.read

    def measured(file: DiskFile, offset: int, size: int) -> bytes:
        found = read(file, offset, size)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(DiskFile, "read", measured)
    monkeypatch.setattr(DiskFile, "data_end", DiskFile.size)
    view = read_log(disk)
    assert view.last_lsn == 2
    assert (view.torn is None) if not left else (view.torn and view.torn.end == end + 1)
    assert max(sizes) <= 2 * scan.BLOCK_BYTES


def test_a_torn_tail_is_left_and_reported() -> None:
    disk = Disk()
    writer = begun(disk, one(1), one(2), one(3))
    end = writer.end
    before = bytes(disk.content(FIRST))
    disk.content(FIRST)[end - 1] ^= 1
    view = read_log(disk)
    assert view.last_lsn == 2
    assert view.torn is not None
    assert (view.torn.file, view.torn.offset, view.torn.headers) == (
        f"disk/{FIRST}",
        end - len(one(3)),
        0,
    )
    assert view.torn.end == end
    assert bytes(disk.content(FIRST))[: end - 1] == before[: end - 1]


def test_whole_records_behind_a_hole_do_not_count_when_nothing_says_they_were_durable() -> None:
    disk = Disk()
    begun(disk, one(1), one(2, size=SECTOR), one(3), one(4))
    disk.content(FIRST)[SECTOR : 2 * SECTOR] = bytes(SECTOR)
    view = read_log(disk)
    assert view.last_lsn == 1
    assert view.torn is not None and view.torn.headers == 2
    writer = reopened(disk, view.durable_lsn, view.raw(view.durable_lsn + 1))
    writer.append([one(2)], 2)
    assert read_log(disk).raw(1) == [one(1), one(2)]


def test_a_bad_record_is_damage_when_a_later_one_says_that_it_was_durable() -> None:
    disk = Disk()
    begun(disk, one(1), one(2), one(3), one(4, synced=2))
    at = SEGMENT_HEADER_SIZE + len(one(1))
    disk.content(FIRST)[at + 50] ^= 1
    with pytest.raises(DamageError) as caught:
        read_log(disk)
    assert (caught.value.file, caught.value.offset, caught.value.lsn) == (f"disk/{FIRST}", at, 2)
    assert "record 4" in caught.value.reason and "2 was durable" in caught.value.reason
    assert caught.value.hint == "osupervisor wal repair"


def test_what_the_records_say_was_durable_need_not_be_written_again() -> None:
    disk = Disk()
    begun(disk, one(1), one(2), one(3, synced=2), one(4, synced=2))
    view = read_log(disk)
    assert (view.durable_lsn, view.last_lsn) == (2, 4)
    assert view.raw(view.durable_lsn + 1) == [one(3, synced=2), one(4, synced=2)]


def test_a_later_record_in_the_place_of_one_that_was_durable_is_damage() -> None:
    disk = Disk()
    begun(disk, one(1), one(3, synced=2))
    with pytest.raises(
        DamageError, match="record 3 stands there, but record 3 at offset"
    ) as caught:
        read_log(disk)
    assert caught.value.lsn == 2


def test_a_hole_in_what_was_durable_is_damage() -> None:
    disk = Disk()
    begun(disk, one(1), one(2, size=SECTOR), one(3), one(4, synced=2))
    disk.content(FIRST)[SECTOR : 2 * SECTOR] = bytes(SECTOR)
    with pytest.raises(DamageError, match="2 was durable"):
        read_log(disk)


def test_a_bad_record_is_damage_when_a_later_segment_begins_beyond_it() -> None:
    disk = Disk()
    writer = begun(disk, one(1), one(2), segment_bytes_max=200)
    writer.append([one(3)], 3)
    disk.content(FIRST)[SEGMENT_HEADER_SIZE] ^= 1
    with pytest.raises(DamageError, match="a later segment begins at record 3") as caught:
        read_log(disk)
    assert caught.value.lsn == 1


def test_a_record_inside_a_request_is_not_taken_for_the_logs() -> None:
    disk = Disk()
    inner = one(9, synced=8)
    outer = encode(2, 1, Kind.COMMIT, 1, 0, b"", inner, b"")
    writer = begun(disk, one(1), outer)
    disk.content(FIRST)[writer.end - 1] ^= 1
    view = read_log(disk)
    assert view.last_lsn == 1 and view.torn is not None and view.torn.headers == 0


def test_a_record_may_be_larger_than_a_block_and_than_a_segment() -> None:
    disk = Disk()
    large = one(2, size=scan.BLOCK_BYTES)
    begun(disk, one(1), large, one(3))
    assert read_log(disk).raw(1) == [one(1), large, one(3)]


def test_a_start_checks_nothing_before_the_newest_durable_control_record() -> None:
    disk = Disk()
    writer = begun(disk, one(1), one(2))
    writer.append_control(one(3, kind=Kind.CONTROL), 3)
    writer.append([one(4)], 4)
    sync(writer)
    disk.content(FIRST)[SEGMENT_HEADER_SIZE + 50] ^= 1
    view = read_log(disk)
    assert view.control is not None and view.control.lsn == 3
    assert [found.lsn for found in view.records(3)] == [3, 4]
    assert view.durable_lsn == 3
    with pytest.raises(DamageError, match="checksum"):
        view.raw(1)


def test_the_hint_waits_until_its_record_is_durable() -> None:
    disk = Disk()
    writer = begun(disk, one(1))
    writer.append_control(one(2, kind=Kind.CONTROL), 2)
    assert hint.read(disk) is None
    assert read_log(disk).control is not None, "it is found by search"
    sync(writer)
    assert hint.read(disk) == Hint(1, SEGMENT_HEADER_SIZE + len(one(1)), 2)


def test_without_a_hint_the_control_record_is_searched_from_the_newest_segment_back() -> None:
    disk = Disk()
    writer = begun(disk, segment_bytes_max=300)
    lsn = 0
    for turn in range(12):
        lsn += 1
        if turn in (1, 4):
            writer.append_control(one(lsn, kind=Kind.CONTROL), lsn)
        else:
            writer.append([one(lsn)], lsn)
    disk.remove(hint.HINT_NAME)
    view = read_log(disk)
    assert len(view.segments) == 4
    assert view.control is not None and view.control.lsn == 5
    assert view.control_record() == next(view.records(5))
    assert view.raw(1) == [one(n, kind=Kind.CONTROL if n in (2, 5) else Kind.COMMIT)
                           for n in range(1, lsn + 1)]  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        Hint(9, 64, 9),
        Hint(1, 64, 3),
        Hint(1, 65, 2),
        Hint(1, 10**6, 2),
        Hint(1, SEGMENT_HEADER_SIZE, 1),
        Hint(0, 64, 2),
    ],
    ids=["no such segment", "another record", "between records", "beyond", "no control", "zero"],
)
def test_a_hint_that_does_not_hold_costs_a_search_alone(wrong: Hint) -> None:
    disk = Disk()
    writer = begun(disk, one(1))
    writer.append_control(one(2, kind=Kind.CONTROL), 2)
    writer.append([one(lsn) for lsn in range(3, 10)], 3)
    hint.write(disk, wrong)
    view = read_log(disk)
    assert view.control is not None and view.control.lsn == 2
    assert view.last_lsn == 9


def test_a_log_that_ends_before_its_hint_has_lost_durable_records() -> None:
    disk = Disk()
    writer = begun(disk, one(1), one(2))
    end = writer.end
    writer.append_control(one(3, kind=Kind.CONTROL), 3)
    sync(writer)
    disk.content(FIRST)[end:] = bytes(len(disk.content(FIRST)) - end)
    with pytest.raises(DamageError, match=r"control.hint says that record 3 was durable") as caught:
        read_log(disk)
    assert caught.value.lsn == 3


def test_a_log_that_ends_before_what_its_records_say_has_lost_durable_ones() -> None:
    disk = Disk()
    begun(disk, one(1), one(2, synced=5))
    with pytest.raises(DamageError, match="a record says that record 5 was durable") as caught:
        read_log(disk)
    assert caught.value.lsn == 3


def test_a_log_whose_segments_are_all_gone_is_not_a_new_one() -> None:
    disk = Disk()
    writer = begun(disk)
    writer.append_control(one(1, kind=Kind.CONTROL), 1)
    sync(writer)
    disk.remove(FIRST)
    with pytest.raises(DamageError, match="there is no segment"):
        read_log(disk)


def test_a_reopened_segment_replaces_what_older_ones_hold_from_there_on() -> None:
    disk = Disk()
    begun(disk, one(1), one(2), one(3))
    writer = reopened(disk, 1, [one(2, size=1)])
    writer.append([one(3, size=2)], 3)
    view = read_log(disk)
    assert view.raw(1) == [one(1), one(2, size=1), one(3, size=2)]
    assert [(part.first_lsn, part.last_lsn) for part in view.segments] == [(1, 1), (2, 3)]
    assert view.durable_lsn == 1


def test_a_segment_that_is_replaced_is_kept_as_torn() -> None:
    disk = Disk()
    begun(disk, one(1))
    old = bytes(disk.content(FIRST)).rstrip(b"\0")
    reopened(disk, 0, [one(1, size=3)])
    assert bytes(disk.content(FIRST + ".torn")).rstrip(b"\0") == old
    assert read_log(disk).raw(1) == [one(1, size=3)]


def test_only_the_newest_torn_files_are_kept() -> None:
    disk = Disk()
    for lsn in range(1, 20):
        reopened(disk, lsn - 1, [])
        reopened(disk, lsn - 1, [one(lsn)])
    torn = [name for name in disk.names() if name.endswith(".torn")]
    assert len(torn) == placement.TORN_KEPT
    assert torn[-1].startswith(f"{19:020}")


def test_preallocated_bytes_of_dead_processes_are_given_back() -> None:
    disk = Disk()
    writer = begun(disk, one(1))
    end = writer.end
    assert len(disk.content(FIRST)) == 8192
    reopened(disk, 1, [])
    assert end <= len(disk.content(FIRST)) < end + SECTOR
    assert read_log(disk).raw(1) == [one(1)]


def test_half_made_segments_are_cleared_away() -> None:
    disk = Disk()
    disk.create(f"{77:020}.wal.tmp")
    begun(disk)
    assert [name for name in disk.names() if name.endswith(".tmp")] == []


def test_segments_of_a_rotation_that_failed_half_way_do_not_hide_the_reopened_one() -> None:
    disk = Disk()
    writer = begun(disk, one(1), one(2), segment_bytes_max=250)
    disk.faults[disk.steps + 9] = "EIO"
    with pytest.raises(AppendFailed, match="planned"):
        writer.append([one(3)], 3)
    assert f"{3:020}.wal" in disk.names(), disk.trace
    assert writer.failed and (writer.last_lsn, writer.durable_lsn) == (2, 2)
    writer.abandon()
    again = reopened(disk, 0, [one(1), one(2)])  # a caller that didn't hear of the seal
    again.append([one(3), one(4)], 3)
    assert read_log(disk).raw(1) == [one(1), one(2), one(3), one(4)]
    assert f"{3:020}.wal" not in disk.names()


def test_a_power_cut_does_not_bring_such_a_segment_back() -> None:
    for seed in range(40):
        disk = Disk(seed)
        writer = begun(disk, one(1), one(2), segment_bytes_max=250)
        disk.faults[disk.steps + 9] = "EIO"
        with pytest.raises(AppendFailed, match="planned"):
            writer.append([one(3)], 3)
        disk.sync_dir()
        again = reopened(disk, 0, [one(1), one(2)])
        again.append([one(3), one(4)], 3)
        sync(again)
        disk.cut_power()
        assert read_log(disk).raw(1) == [one(1), one(2), one(3), one(4)]


def test_a_reopen_that_fails_leaves_the_log_as_it_was() -> None:
    disk = Disk()
    begun(disk, one(1), one(2))
    steps = disk.steps
    reopened(disk, 1, [one(2)])
    for step in range(1, disk.steps - steps + 1):
        disk = Disk()
        begun(disk, one(1), one(2))
        disk.faults[disk.steps + step] = "EIO"
        try:
            reopened(disk, 1, [one(2)])
        except ReopenFailed as error:
            assert "planned" in str(error)
        disk.faults = {}
        assert read_log(disk).raw(1) == [one(1), one(2)]
        reopened(disk, 1, [one(2)])
        assert read_log(disk).raw(1) == [one(1), one(2)]


def test_a_record_without_a_body_at_the_very_end_counts() -> None:
    disk = Disk()
    writer = begun(disk, one(1))
    writer.append_control(encode(2, 1, Kind.CONTROL, 5, 1, b"", b"", b""), 2)
    writer.close()
    view = read_log(disk)
    assert view.last_lsn == 2 and view.control is not None and view.control.lsn == 2


def test_a_log_that_begins_later_is_read_from_there() -> None:
    disk = Disk()
    writer = reopened(disk, 100, [])
    writer.append([one(101), one(102)], 101)
    view = read_log(disk)
    assert (view.first_lsn, view.last_lsn, view.durable_lsn) == (101, 102, 100)
    assert view.raw(1) == [one(101), one(102)]
