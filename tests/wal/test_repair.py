"""Repair keeps what recovery can go on with, and every byte that it takes out."""

import copy

import pytest

from osupervisor.wal import hint, repair
from osupervisor.wal.errors import DamageError
from osupervisor.wal.recover import read_log, reopen
from osupervisor.wal.verify import verify
from tests.wal.disk import Crash, Disk
from tests.wal.logs import SEGMENTS, flip_record, three_segments
from tests.wal.session import BOOT_ID, Owed


def mended(disk: Disk, checkpoint_lsn: int) -> repair.Plan:
    todo = repair.plan(disk, checkpoint_lsn)
    repair.carry_out(disk, todo)
    assert verify(disk).ok
    return todo


def check_kept(disk: Disk, owed: Owed, kept: tuple[int, int] | None) -> None:
    view = read_log(disk)
    if kept is None:
        assert view.raw(1) == []
        return
    first, last = kept
    assert (view.first_lsn, view.last_lsn) == kept
    assert view.raw(1) == owed.log[first - 1 : last]


def check_goes_on(disk: Disk, checkpoint_lsn: int) -> None:
    """A start finds everything from the checkpoint on, and a place to go on from."""
    view = read_log(disk)
    assert view.first_lsn <= checkpoint_lsn + 1
    assert view.last_lsn >= checkpoint_lsn
    again = view.raw(view.durable_lsn + 1)
    reopen(disk, BOOT_ID, view.durable_lsn, again, 1000).abandon()
    assert read_log(disk).last_lsn == view.last_lsn
    assert not repair.plan(disk, checkpoint_lsn).needed


def test_a_whole_log_needs_no_repair() -> None:
    disk, _ = three_segments()
    before = copy.deepcopy(disk)
    assert repair.plan(disk, 0) == repair.Plan(needed=False, next_lsn=11)
    assert disk.names() == before.names()


@pytest.mark.parametrize("bad", range(1, 8))
@pytest.mark.parametrize("checkpoint_lsn", range(11))
def test_the_stretch_that_recovery_needs_is_kept(bad: int, checkpoint_lsn: int) -> None:
    disk, owed = three_segments()
    flip_record(disk, owed, bad)
    todo = mended(disk, checkpoint_lsn)
    if checkpoint_lsn >= bad:
        assert (todo.kept, todo.lost_before, todo.lost_behind) == ((bad + 1, 10), (1, bad), None)
    else:
        kept = (1, bad - 1) if bad > 1 else None
        assert (todo.kept, todo.lost_before, todo.lost_behind) == (kept, None, (bad, 10))
    check_kept(disk, owed, todo.kept)
    check_goes_on(disk, checkpoint_lsn)


def test_every_byte_that_is_taken_out_is_kept_as_broken() -> None:
    disk, owed = three_segments()
    flip_record(disk, owed, 5)
    before = {name: bytes(disk.content(name)) for name in SEGMENTS}
    todo = mended(disk, 0)
    assert bytes(disk.content(f"{SEGMENTS[1]}.broken")) == before[SEGMENTS[1]]
    assert bytes(disk.content(f"{SEGMENTS[2]}.broken")) == before[SEGMENTS[2]]
    assert bytes(disk.content(SEGMENTS[0])) == before[SEGMENTS[0]]
    assert todo.kept == (1, 4)
    assert verify(disk).leftovers == (f"{SEGMENTS[1]}.broken", f"{SEGMENTS[2]}.broken")


def test_a_second_repair_keeps_the_first_ones_broken_files() -> None:
    disk, owed = three_segments()
    flip_record(disk, owed, 6)
    mended(disk, 0)
    flip_record(disk, owed, 4)
    assert disk.names().count(f"{SEGMENTS[1]}.broken") == 1
    disk.create("00000000000000000006.wal")  # a later segment makes it damage
    mended(disk, 0)
    assert {f"{SEGMENTS[1]}.broken", f"{SEGMENTS[1]}.broken.2"} <= set(disk.names())
    check_kept(disk, owed, (1, 3))


def test_a_bad_segment_header_is_made_anew_and_nothing_is_lost() -> None:
    for name in SEGMENTS:
        disk, owed = three_segments()
        disk.content(name)[33] ^= 1
        todo = mended(disk, 0)
        assert (todo.kept, todo.lost_before, todo.lost_behind) == ((1, 10), None, None)
        check_kept(disk, owed, (1, 10))


def test_a_missing_segment_splits_the_log() -> None:
    for checkpoint_lsn, kept in ((0, (1, 3)), (6, (7, 10)), (9, (7, 10)), (4, None)):
        disk, owed = three_segments()
        disk.remove(SEGMENTS[1])
        todo = mended(disk, checkpoint_lsn)
        assert todo.kept == kept
        check_kept(disk, owed, kept)
        check_goes_on(disk, checkpoint_lsn)


def test_a_missing_end_is_accepted() -> None:
    disk, owed = three_segments()
    for name in SEGMENTS[1:]:
        disk.remove(name)
    with pytest.raises(DamageError):
        read_log(disk)
    todo = mended(disk, 0)
    assert (todo.kept, todo.lost_behind) == ((1, 3), (4, 4))
    check_kept(disk, owed, (1, 3))


def test_a_log_without_segments_is_accepted() -> None:
    disk, _ = three_segments()
    for name in SEGMENTS:
        disk.remove(name)
    todo = mended(disk, 0)
    assert todo.needed and todo.kept is None
    assert read_log(disk).segments == () and hint.HINT_NAME not in disk.names()


def test_a_log_without_segments_goes_on_behind_the_checkpoint() -> None:
    disk = Disk()
    assert not repair.plan(disk, 0).needed
    mended(disk, 7)
    check_goes_on(disk, 7)
    assert read_log(disk).first_lsn == 8


def test_several_damages_are_mended_at_once() -> None:
    disk, owed = three_segments()
    for lsn in (2, 6, 7):
        flip_record(disk, owed, lsn)
    for checkpoint_lsn, kept in ((1, (1, 1)), (2, (3, 5)), (5, (3, 5)), (6, None), (7, (8, 10))):
        one = copy.deepcopy(disk)
        assert mended(one, checkpoint_lsn).kept == kept
        check_kept(one, owed, kept)
        check_goes_on(one, checkpoint_lsn)


def test_a_log_that_reaches_the_checkpoint_needs_no_record_behind_it() -> None:
    disk, owed = three_segments()
    reopen(disk, BOOT_ID, 10, [], 400)
    assert repair.plan(disk, 10) == repair.Plan(needed=False, next_lsn=11)
    assert repair.plan(disk, 11).needed
    check_kept(disk, owed, (1, 10))


def test_a_log_that_ends_before_the_checkpoint_makes_way_for_it() -> None:
    disk, owed = three_segments()
    todo = mended(disk, 12)
    assert (todo.kept, todo.lost_before, todo.lost_behind) == (None, (1, 12), None)
    assert [(part.first_lsn, part.last_lsn) for part in read_log(disk).segments] == [(13, 12)]
    check_kept(disk, owed, None)
    check_goes_on(disk, 12)


@pytest.mark.parametrize("power_cut", [False, True])
@pytest.mark.parametrize(
    ("bad", "checkpoint_lsn"), [(5, 0), (5, 5), (2, 2), (1, 0), (7, 9), (4, 3)]
)
def test_a_repair_cut_short_anywhere_is_refused_or_done_and_can_be_run_again(
    bad: int, checkpoint_lsn: int, power_cut: bool
) -> None:
    disk, owed = three_segments()
    flip_record(disk, owed, bad)
    disk.settle()
    done = copy.deepcopy(disk)
    kept = mended(done, checkpoint_lsn).kept
    for step in range(disk.steps + 1, done.steps + 1):
        for fault in ("crash", "crash after"):
            cut = copy.deepcopy(disk)
            cut.faults[step] = fault
            with pytest.raises(Crash):
                repair.carry_out(cut, repair.plan(cut, checkpoint_lsn))
            cut.cut_power() if power_cut else cut.kill()
            try:
                found = read_log(cut)
                records = found.raw(found.first_lsn)
            except DamageError:
                pass
            else:
                assert not records or records[-1] == owed.log[found.last_lsn - 1]
            mended(cut, checkpoint_lsn)
            check_kept(cut, owed, kept)
            check_goes_on(cut, checkpoint_lsn)
