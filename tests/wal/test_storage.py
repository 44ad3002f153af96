"""The real directory, and the model disk beside it: one behaviour."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from osupervisor.wal.storage import DirectoryStorage, Storage
from tests.wal.disk import Disk

MAKERS: list[Callable[[Path], Storage]] = [DirectoryStorage, lambda _: Disk()]


@pytest.fixture(params=MAKERS, ids=["directory", "model"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    make: Callable[[Path], Storage] = request.param
    return make(tmp_path)


def test_what_is_written_is_read(storage: Storage) -> None:
    file = storage.create("a")
    assert file.write(0, b"hello") == 5
    assert file.write(10, memoryview(b"world")) == 5
    assert file.read(0, 100) == b"hello\0\0\0\0\0world"
    assert file.read(12, 2) == b"rl" and file.read(99, 5) == b""
    assert file.size() == 15
    file.sync()
    file.close()
    again = storage.open("a")
    assert again.read(0, 5) == b"hello"
    again.close()


def test_a_preallocated_file_ends_where_its_data_ends(storage: Storage) -> None:
    file = storage.create("a")
    file.allocate(1 << 20)
    assert (file.size(), file.data_end()) == (1 << 20, 0)
    file.write(0, b"x" * 5000)
    file.sync()
    assert 5000 <= file.data_end() <= 8192
    file.write(100_000, b"x")
    assert 100_001 <= file.data_end() <= 102_400 + 4096
    file.truncate(5000)
    assert (file.size(), file.data_end()) == (5000, 5000)
    file.close()


def test_a_cut_file_grows_with_zeros(storage: Storage) -> None:
    file = storage.create("a")
    file.write(0, b"x" * 100)
    file.truncate(10)
    file.allocate(50)
    assert file.read(0, 100) == b"x" * 10 + bytes(40)
    file.close()


def test_names_are_sorted_and_change_in_one_step(storage: Storage) -> None:
    for name in ("b", "a"):
        storage.create(name).close()
    assert list(storage.names()) == ["a", "b"]
    storage.link("a", "c")
    storage.rename("b", "a")
    assert list(storage.names()) == ["a", "c"]
    storage.remove("c")
    storage.sync_dir()
    assert list(storage.names()) == ["a"]


def test_names_that_are_taken_or_missing_are_errors(storage: Storage) -> None:
    storage.create("a").close()
    storage.create("b").close()
    with pytest.raises(FileExistsError):
        storage.create("a")
    with pytest.raises(FileExistsError):
        storage.link("a", "b")
    for act in (storage.open, storage.remove):
        with pytest.raises(FileNotFoundError):
            act("z")
    with pytest.raises(FileNotFoundError):
        storage.rename("z", "y")


def test_a_replaced_file_lives_on_in_who_has_it_open(storage: Storage) -> None:
    old = storage.create("a")
    old.write(0, b"old")
    storage.create("b").close()
    storage.rename("b", "a")
    assert old.read(0, 3) == b"old"
    assert storage.open("a").size() == 0
    old.close()


def test_a_sync_that_failed_once_fails_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, "bad disk")

    file = DirectoryStorage(tmp_path).create("a")
    file.write(0, b"x")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match="bad disk"):
            file.sync()
    with pytest.raises(OSError, match="an earlier sync failed") as caught:
        file.sync()
    assert caught.value.errno == errno.EIO
    file.close()
    with pytest.raises(OSError, match="an earlier sync failed"):
        file.sync()


def test_a_sync_behind_the_close_succeeds_only_when_all_was_durable(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    sealed, unsealed = storage.create("a"), storage.create("b")
    for file in (sealed, unsealed):
        file.write(0, b"x")
    sealed.sync()
    sealed.close()
    sealed.close()
    sealed.sync()
    unsealed.close()
    with pytest.raises(OSError, match="closed before it was synced"):
        unsealed.sync()


def test_a_write_that_takes_nothing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_fd: int, _data: bytes, _offset: int) -> int:
        return 0

    file = DirectoryStorage(tmp_path).create("a")
    monkeypatch.setattr(os, "pwrite", nothing)
    with pytest.raises(OSError, match="took no byte"):
        file.write(0, b"x")
    file.close()


def test_a_filesystem_that_can_not_tell_holes_has_data_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_fd: int, _offset: int, _whence: int) -> int:
        raise OSError(errno.EINVAL, "no holes here")

    file = DirectoryStorage(tmp_path).create("a")
    file.allocate(10_000)
    monkeypatch.setattr(os, "lseek", refuse)
    assert file.data_end() == 10_000
    file.close()


def test_the_first_sync_makes_the_directorys_own_name_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def note(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", note)
    storage = DirectoryStorage(tmp_path)
    storage.sync_dir()
    storage.sync_dir()
    assert synced == [str(tmp_path), str(tmp_path.parent), str(tmp_path)]


def test_no_descriptor_is_inherited_and_files_are_private(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    file = storage.create("a")
    fd = storage.open_fd("a")
    listing = "import os; print(sorted(os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.lexists(f'/proc/self/fd/{n}')))"  # noqa: E501
    output = subprocess.run(
        [sys.executable, "-c", listing], close_fds=False, capture_output=True, text=True, check=True
    )
    assert str(tmp_path) not in output.stdout
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    os.close(fd)
    file.close()
