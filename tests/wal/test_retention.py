"""Which segments go: never one that recovery needs, never one out of order."""

from hypothesis import given
from hypothesis import strategies as st

from osupervisor.wal import retention
from osupervisor.wal.record import Kind, encode
from osupervisor.wal.recover import read_log, reopen
from osupervisor.wal.retention import Extent, removable
from tests.wal.disk import Disk
from tests.wal.session import BOOT_ID

DAY_US = 86_400_000_000


def tape(*ended_days: float | None, size: int = 100) -> list[Extent]:
    """Segments of ten records each; the newest one has not ended."""
    extents = [
        Extent(
            f"{n * 10 + 1:020}.wal",
            n * 10 + 1,
            n * 10 + 10,
            size,
            None if days is None else int(days * DAY_US),
        )
        for n, days in enumerate(ended_days)
    ]
    newest = len(extents) * 10 + 1
    return [*extents, Extent(f"{newest:020}.wal", newest, None, size, None)]


def removed(
    extents: list[Extent],
    checkpoint: int = 1000,
    control: int = 1000,
    now_days: float = 10,
    keep_days: float = 7,
    bytes_max: int = 10**9,
) -> int:
    names = removable(
        extents, checkpoint, control, int(now_days * DAY_US), keep_days * 86_400, bytes_max
    )
    assert names == [extent.name for extent in extents[: len(names)]], "from the oldest on"
    return len(names)


def test_segments_older_than_the_tape_keeps_go() -> None:
    assert removed(tape(1, 2, 4, 9)) == 2
    assert removed(tape(1, 2, 4, 9), keep_days=30) == 0


def test_segments_beyond_the_tapes_size_go_however_young() -> None:
    assert removed(tape(9, 9, 9, 9), bytes_max=500) == 0
    assert removed(tape(9, 9, 9, 9), bytes_max=499) == 1
    assert removed(tape(9, 9, 9, 9), bytes_max=250) == 3
    assert removed(tape(9, 9, 9, 9), bytes_max=0) == 4


def test_segments_that_the_oldest_checkpoint_needs_stay() -> None:
    assert removed(tape(1, 1, 1, 1), checkpoint=20) == 2
    assert removed(tape(1, 1, 1, 1), checkpoint=19) == 1
    assert removed(tape(1, 1, 1, 1), checkpoint=0) == 0


def test_the_newest_control_record_stays() -> None:
    assert removed(tape(1, 1, 1, 1), control=20) == 1
    assert removed(tape(1, 1, 1, 1), control=21) == 2


def test_the_newest_segment_stays() -> None:
    assert removed(tape(), bytes_max=0) == 0
    assert removed([]) == 0


def test_a_segment_of_unknown_age_is_kept_for_its_size_alone() -> None:
    assert removed(tape(None, 1)) == 0
    assert removed(tape(None, 1), bytes_max=0) == 2


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 20)), max_size=8),
    st.integers(0, 100),
    st.integers(0, 100),
    st.integers(0, 1000),
)
def test_what_recovery_needs_always_stays(
    ended: list[float | None], checkpoint: int, control: int, bytes_max: int
) -> None:
    extents = tape(*ended)
    count = removed(extents, checkpoint, control, bytes_max=bytes_max)
    for extent in extents[:count]:
        assert extent.last_lsn is not None
        assert extent.last_lsn <= checkpoint and extent.last_lsn < control


def test_the_log_goes_on_after_its_oldest_segments_are_removed() -> None:
    disk = Disk()
    writer = reopen(disk, BOOT_ID, 0, [], 1000)
    for lsn in range(1, 41):
        kind = Kind.CONTROL if lsn == 25 else Kind.COMMIT
        raw = encode(lsn, 1, kind, lsn * 100, lsn - 1, b"", bytes(100), b"")
        if kind is Kind.CONTROL:
            writer.append_control(raw, lsn)
        else:
            writer.append([raw], lsn)
    extents = retention.extents(disk)
    assert [extent.first_lsn for extent in extents] == [1, 7, 13, 19, 25, 31, 37]
    assert [extent.last_lsn for extent in extents] == [6, 12, 18, 24, 30, 36, None]
    assert [extent.ended_us for extent in extents[:3]] == [700, 1300, 1900]
    assert extents[-1].ended_us is None
    assert all(900 < extent.bytes <= 1000 for extent in extents[:-1])
    for lsn in (0, 5, 6, 7, 20, 36, 40, 99):
        behind = [one.bytes for one in extents if one.last_lsn is None or one.last_lsn > lsn]
        assert retention.bytes_behind(disk, lsn) == sum(behind), lsn
    names = removable(extents, 20, 25, 2000, 0.0005, 10**9)
    assert names == ["00000000000000000001.wal", "00000000000000000007.wal"]
    retention.remove(disk, names)
    view = read_log(disk)
    assert (view.first_lsn, view.last_lsn) == (13, 40)
    assert [one.lsn for one in view.records(1)] == list(range(13, 41))
    disk.cut_power()
    assert read_log(disk).first_lsn == 13


def test_a_segment_without_a_readable_record_takes_its_age_from_the_next() -> None:
    disk = Disk()
    for lsn in (1, 2, 3):
        raw = encode(lsn, 1, Kind.COMMIT, lsn * 100, lsn - 1, b"", b"", b"")
        reopen(disk, BOOT_ID, lsn - 1, [raw], 1000)
    disk.content("00000000000000000002.wal")[70] ^= 1
    assert [extent.ended_us for extent in retention.extents(disk)] == [300, 300, None]
