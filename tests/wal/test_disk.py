"""The model disk does what it says: its faults are what the crash tests rest on."""

import pytest

from tests.wal.disk import SECTOR, Crash, Disk

SEEDS = range(200)


def left(disk: Disk, name: str) -> bytes | None:
    disk.cut_power()
    return bytes(disk.content(name)) if name in disk.names() else None


def test_what_is_synced_with_its_name_survives() -> None:
    for seed in SEEDS:
        disk = Disk(seed)
        file = disk.create("a")
        file.write(0, b"x" * 2000)
        file.sync()
        disk.sync_dir()
        assert left(disk, "a") == b"x" * 2000


def test_a_name_that_is_not_synced_may_be_gone() -> None:
    found: set[bytes | None] = set()
    for seed in SEEDS:
        disk = Disk(seed)
        file = disk.create("a")
        file.write(0, b"x")
        file.sync()
        found.add(left(disk, "a"))
    assert found == {None, b"x"}


def test_sectors_that_are_not_synced_survive_in_any_subset() -> None:
    found: set[bytes | None] = set()
    for seed in range(2000):
        disk = Disk(seed)
        file = disk.create("a")
        file.write(0, b"a" * SECTOR * 2)
        file.sync()
        disk.sync_dir()
        file.write(0, b"b" * SECTOR)
        file.write(SECTOR, b"c" * SECTOR)
        found.add(left(disk, "a"))
    halves = [(b"a", b"b"), (b"a", b"c")]
    assert found == {one * SECTOR + two * SECTOR for one in halves[0] for two in halves[1]}


def test_a_name_is_one_of_the_files_that_it_named() -> None:
    found: set[bytes | None] = set()
    for seed in SEEDS:
        disk = Disk(seed)
        for name in ("old", "new"):
            file = disk.create(name)
            file.write(0, name.encode())
            file.sync()
        disk.sync_dir()
        disk.rename("new", "old")
        found.add(left(disk, "old"))
    assert found == {b"old", b"new"}


def test_what_a_failed_sync_lost_no_later_sync_carries() -> None:
    found: set[bytes | None] = set()
    for seed in SEEDS:
        disk = Disk(seed)
        file = disk.create("a")
        file.write(0, b"x" * SECTOR)
        file.sync()
        disk.sync_dir()
        file.write(0, b"y" * SECTOR)
        disk.syncs_fail = True
        with pytest.raises(OSError, match="can't be synced"):
            file.sync()
        disk.syncs_fail = False
        again = disk.open("a", writable=True)
        again.sync()
        assert again.read(0, 1) == b"y", "the cache still has it"
        found.add(left(disk, "a"))
    assert found == {b"x" * SECTOR, b"y" * SECTOR}


def test_a_killed_process_leaves_the_cache() -> None:
    disk = Disk()
    file = disk.create("a")
    file.write(0, b"x")
    disk.kill()
    assert disk.open("a").read(0, 9) == b"x"
    with pytest.raises(AssertionError, match="dead"):
        file.read(0, 1)


def test_faults_come_at_their_step() -> None:
    disk = Disk()
    disk.faults = {2: "ENOSPC", 3: "short", 5: "crash after", 6: "crash"}
    file = disk.create("a")
    with pytest.raises(OSError, match="planned"):
        file.write(0, b"12345678")
    assert 1 <= file.write(0, b"12345678") <= 8
    with pytest.raises(OSError, match="planned"):
        file.write(1, b"2345678")
    with pytest.raises(Crash):
        disk.link("a", "b")
    assert disk.names() == ["a", "b"]
    with pytest.raises(Crash):
        disk.link("a", "c")
    assert disk.names() == ["a", "b"]
