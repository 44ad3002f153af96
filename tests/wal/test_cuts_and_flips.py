"""A log cut at every byte and flipped at every bit: found, and never read as something else."""

import copy
from collections.abc import Iterator

import pytest

from osupervisor.wal import hint, reader
from osupervisor.wal.errors import CorruptRecordError, CorruptSegmentError, DamageError
from osupervisor.wal.recover import read_log
from osupervisor.wal.segment import SEGMENT_HEADER_SIZE
from osupervisor.wal.verify import verify
from tests.wal.disk import Disk
from tests.wal.logs import three_segments
from tests.wal.session import Owed


@pytest.fixture
def written() -> tuple[Disk, Owed]:
    return three_segments()


def flips(disk: Disk, name: str) -> Iterator[Disk]:
    """The disk with each bit of the file flipped, one at a time."""
    content = disk.content(name)
    for bit in range(len(content) * 8):
        content[bit // 8] ^= 1 << bit % 8
        yield disk
        content[bit // 8] ^= 1 << bit % 8


def check_found(disk: Disk, owed: Owed) -> None:
    """The start is refused, or what it finds is right and holds what was durable.

    Either way a full check sees that something is there that should not be.
    """
    report = verify(disk)
    assert report.damage or report.torn
    try:
        found = read_log(disk).raw(1)
    except DamageError as error:
        assert not report.ok
        assert "osupervisor wal repair" in str(error)
        return
    assert owed.durable <= len(found)
    assert found == owed.log[: len(found)]
    assert report.ok


@pytest.mark.parametrize("hinted", [True, False])
@pytest.mark.parametrize("lsn", [1, 4, 7])
def test_every_flipped_bit_of_a_segment_is_found(
    written: tuple[Disk, Owed], lsn: int, hinted: bool
) -> None:
    disk, owed = written
    if not hinted:
        disk.remove(hint.HINT_NAME)
    for flipped in flips(disk, f"{lsn:020}.wal"):
        check_found(flipped, owed)


@pytest.mark.parametrize("fill", [b"\x00", b"\xff"])
@pytest.mark.parametrize("size", [2, 4, 8, 12, 44])
@pytest.mark.parametrize("lsn", [4, 7])
def test_every_stretch_of_lost_bytes_is_found(
    written: tuple[Disk, Owed], lsn: int, size: int, fill: bytes
) -> None:
    """As a sector leaves them that did not reach the disk, whole or at its edge."""
    disk, owed = written
    content = disk.content(f"{lsn:020}.wal")
    for at in range(len(content.rstrip(b"\0")) - size):
        before = bytes(content[at : at + size])
        content[at : at + size] = fill * size
        if bytes(content[at : at + size]) != before:
            check_found(disk, owed)
        content[at : at + size] = before


def test_every_flipped_bit_of_the_hint_is_found(written: tuple[Disk, Owed]) -> None:
    disk, owed = written
    before = read_log(disk)
    for flipped in flips(disk, hint.HINT_NAME):
        assert hint.read(flipped) is None
        assert read_log(flipped) == before
        assert before.raw(1) == owed.log


@pytest.mark.parametrize("hinted", [True, False])
def test_the_newest_segment_cut_at_every_byte_recovers_its_longest_whole_prefix(
    written: tuple[Disk, Owed], hinted: bool
) -> None:
    disk, owed = written
    if not hinted:
        disk.remove(hint.HINT_NAME)
    ends = [SEGMENT_HEADER_SIZE]
    for raw in owed.log[6:]:
        ends.append(ends[-1] + len(raw))
    for size in range(ends[-1]):
        cut = copy.deepcopy(disk)
        del cut.content("00000000000000000007.wal")[size:]
        if size < SEGMENT_HEADER_SIZE:
            with pytest.raises(DamageError, match="no whole segment header"):
                read_log(cut)
            continue
        view = read_log(cut)
        assert view.raw(1) == owed.log[: 6 + sum(end <= size for end in ends[1:])]
        rest = cut.content("00000000000000000007.wal")[max(end for end in ends if end <= size) :]
        assert (view.torn is None) == (not any(rest))


@pytest.mark.parametrize("lsn", [1, 4])
def test_an_older_segment_cut_at_any_byte_is_damage(written: tuple[Disk, Owed], lsn: int) -> None:
    disk, _ = written
    disk.remove(hint.HINT_NAME)
    name = f"{lsn:020}.wal"
    for size in range(len(disk.content(name))):
        cut = copy.deepcopy(disk)
        del cut.content(name)[size:]
        with pytest.raises(DamageError, match=name):
            read_log(cut).raw(1)
        assert not verify(cut).ok


def test_a_follower_reads_what_is_right_and_stops_at_every_flipped_bit(
    written: tuple[Disk, Owed],
) -> None:
    disk, _ = written
    part = read_log(disk).segments[1]
    right = list(reader.iter_commits(disk.open(part.name), part.first_lsn - 1, part.last_lsn))
    for flipped in flips(disk, part.name):
        got: list[reader.Commit] = []
        with pytest.raises((CorruptRecordError, CorruptSegmentError)):
            for commit in reader.iter_commits(
                flipped.open(part.name), part.first_lsn - 1, part.last_lsn
            ):
                got.append(commit)
        assert got == right[: len(got)]
