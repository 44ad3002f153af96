"""The hint file: believed only when every bit of it is right."""

import pytest

from osupervisor.wal import hint
from osupervisor.wal.hint import HINT_NAME, HINT_SIZE, Hint
from tests.wal.disk import Crash, Disk

ONE = Hint(41, 12345, 99)


def test_a_hint_comes_back_as_it_was() -> None:
    disk = Disk()
    assert hint.read(disk) is None
    hint.write(disk, ONE)
    assert hint.read(disk) == ONE
    hint.write(disk, Hint(1, 2, 3))
    assert hint.read(disk) == Hint(1, 2, 3)
    assert disk.names() == [HINT_NAME]


def test_every_flipped_bit_is_found() -> None:
    data = hint.encode(ONE)
    for bit in range(HINT_SIZE * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert hint.decode(bytes(flipped)) is None


def test_a_hint_cut_or_with_more_behind_it_is_none() -> None:
    data = hint.encode(ONE)
    for size in range(HINT_SIZE):
        assert hint.decode(data[:size]) is None
    assert hint.decode(data + b"\0") is None


def test_the_old_hint_or_the_new_one_survives_any_crash() -> None:
    for step in range(1, 4):
        for fault in ("crash", "crash after"):
            disk = Disk()
            hint.write(disk, ONE)
            disk.faults[disk.steps + step] = fault
            with pytest.raises(Crash):
                hint.write(disk, Hint(1, 2, 3))
            disk.kill()
            assert hint.read(disk) in (ONE, Hint(1, 2, 3))
            hint.write(disk, Hint(4, 5, 6))
            assert hint.read(disk) == Hint(4, 5, 6)


def test_a_short_write_leaves_the_old_hint() -> None:
    disk = Disk()
    hint.write(disk, ONE)
    disk.faults[disk.steps + 2] = "short"
    hint.write(disk, Hint(1, 2, 3))
    assert hint.read(disk) in (ONE, Hint(1, 2, 3))
