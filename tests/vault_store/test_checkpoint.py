"""The store: begin to prune, damage in every file, golden files."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from osupervisor.vault_store.checkpoint import CheckpointStore
from osupervisor.vault_store.disk import RealDisk
from osupervisor.vault_store.errors import (
    CheckpointExistsError,
    CorruptCheckpointError,
    NoCheckpointError,
)
from osupervisor.vault_store.manifest import Manifest, summarize
from osupervisor.vault_store.state_reader import read_state
from osupervisor.vault_store.state_writer import write_state
from tests.vault_store import golden_checkpoint
from tests.vault_store.state_files import instructions, pack

GOLDEN = Path(__file__).with_name("golden")
FILES = ["state.zst", "control.msgpack", "manifest.json"]


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    store = CheckpointStore(tmp_path / "checkpoints")
    assert store.prepare() == []
    return store


def make(store: CheckpointStore, lsn: int, control: bytes = b"control") -> Manifest:
    """A whole checkpoint of the state {"lsn": lsn}."""
    fd = store.begin(lsn)
    summary = write_state(fd, {"lsn": lsn}, {"hits": lsn})
    os.close(fd)
    manifest = Manifest(lsn, 1, "abc", 0, 1_760_000_000, summary, summarize(control))
    store.finish(manifest, control)
    return manifest


def lsns(store: CheckpointStore) -> list[int]:
    return [entry.lsn for entry in store.ls()]


def folder(tmp_path: Path, lsn: int) -> Path:
    return tmp_path / "checkpoints" / f"{lsn:020d}"


def test_checkpoint_comes_back(store: CheckpointStore) -> None:
    manifest = make(store, 5, b"the control")
    assert store.newest_whole() == store.verify(5) == manifest
    assert store.read_control(5) == b"the control"
    fd = store.open_state(5)
    assert read_state(fd, manifest.state) == ({"lsn": 5}, {"hits": 5})
    os.close(fd)


class PrunedMeanwhile(RealDisk):
    """Somebody else removes the oldest checkpoint as soon as the names were read."""

    def names(self, path: Path) -> list[str]:
        found = super().names(path)
        shutil.rmtree(path / min(found))
        return found


def test_checkpoint_that_goes_while_they_are_listed_is_none(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints")
    store.prepare()
    for lsn in (3, 5):
        make(store, lsn)
    assert lsns(CheckpointStore(tmp_path / "checkpoints", PrunedMeanwhile())) == [5]


def test_empty_store_has_no_checkpoint(store: CheckpointStore, tmp_path: Path) -> None:
    assert store.ls() == [] and store.newest_whole() is None
    assert CheckpointStore(tmp_path / "never made").ls() == []
    for ask in (store.verify, store.open_state, store.read_control):
        with pytest.raises(NoCheckpointError, match="LSN 5"):
            ask(5)


def test_newest_whole_is_the_newest_below(store: CheckpointStore) -> None:
    for lsn in (7, 30, 200):
        make(store, lsn)
    found = [store.newest_whole(below) for below in (None, 200, 30, 7)]
    assert [manifest and manifest.lsn for manifest in found] == [200, 30, 7, None]


def test_files_are_for_their_owner_alone(store: CheckpointStore, tmp_path: Path) -> None:
    make(store, 5)
    assert folder(tmp_path, 5).stat().st_mode & 0o777 == 0o700
    for name in FILES:
        assert (folder(tmp_path, 5) / name).stat().st_mode & 0o777 == 0o600


def test_unfinished_checkpoint_is_none_and_is_swept(store: CheckpointStore, tmp_path: Path) -> None:
    os.close(store.begin(5))
    assert store.ls() == []
    assert CheckpointStore(tmp_path / "checkpoints").prepare() == [f"{5:020d}.tmp"]
    assert os.listdir(tmp_path / "checkpoints") == []


def test_begin_again_starts_anew(store: CheckpointStore) -> None:
    fd = store.begin(5)
    os.write(fd, b"half a state")
    os.close(fd)
    make(store, 5)
    store.verify(5)


def test_discarded_checkpoint_leaves_nothing(store: CheckpointStore, tmp_path: Path) -> None:
    os.close(store.begin(5))
    store.discard(5)
    store.discard(6)
    assert os.listdir(tmp_path / "checkpoints") == []


def test_whole_checkpoint_is_never_written_over(store: CheckpointStore) -> None:
    make(store, 5)
    with pytest.raises(CheckpointExistsError, match="LSN 5"):
        store.begin(5)


def test_state_file_of_another_size_is_not_finished(store: CheckpointStore) -> None:
    fd = store.begin(5)
    summary = write_state(fd, {"a": 1}, {})
    os.truncate(fd, summary.bytes - 1)
    os.close(fd)
    with pytest.raises(CorruptCheckpointError, match="manifest says"):
        store.finish(Manifest(5, 1, "abc", 0, 0, summary, summarize(b"")), b"")
    assert store.ls() == []


def test_prune_keeps_the_newest(store: CheckpointStore, tmp_path: Path) -> None:
    for lsn in (1, 2, 3, 4, 5):
        make(store, lsn)
    assert store.prune(3) == [1, 2]
    assert lsns(store) == [3, 4, 5]
    assert store.prune(3) == store.prune(9) == []
    assert len(os.listdir(tmp_path / "checkpoints")) == 3


def test_prune_counts_no_damaged_checkpoint(store: CheckpointStore, tmp_path: Path) -> None:
    for lsn in (1, 2, 3, 4, 5):
        make(store, lsn)
    for lsn in (1, 4):
        (folder(tmp_path, lsn) / "manifest.json").write_bytes(b"{}")
    assert store.prune(2) == [1, 2]
    assert lsns(store) == [3, 4, 5]
    assert [entry.lsn for entry in store.ls() if entry.damage] == [4]


def test_damaged_checkpoint_is_set_aside(store: CheckpointStore, tmp_path: Path) -> None:
    for _ in range(2):
        make(store, 5)
        store.set_aside(5)
        assert store.ls() == []
        assert os.listdir(tmp_path / "checkpoints") == [f"{5:020d}.damaged"]
    assert store.prepare() == []


@pytest.mark.parametrize("name", FILES)
def test_every_byte_changed_in_every_file_is_found(
    store: CheckpointStore, tmp_path: Path, name: str
) -> None:
    make(store, 4)
    make(store, 5)
    path = folder(tmp_path, 5) / name
    whole = path.read_bytes()
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(CorruptCheckpointError) as raised:
            store.verify(5)
        assert raised.value.path == str(path)
        assert raised.value.offset <= bit // 8
    assert store.verify(4).lsn == 4


@pytest.mark.parametrize("name", FILES)
def test_every_file_cut_at_every_byte_is_found_without_reading_it(
    store: CheckpointStore, tmp_path: Path, name: str
) -> None:
    """A start looks at manifests and sizes alone; that much falls back to the one before."""
    make(store, 4)
    make(store, 5)
    path = folder(tmp_path, 5) / name
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        entry = store.ls()[-1]
        assert entry.manifest is None and entry.damage is not None
        assert entry.damage.path == str(path) and entry.damage.offset <= end
        assert store.newest_whole() == store.verify(4)
        with pytest.raises(CorruptCheckpointError):
            store.verify(5)
    path.unlink()
    damage = store.ls()[-1].damage
    assert damage is not None and damage.reason == "the file is missing"
    path.write_bytes(whole + b"\0")
    assert store.ls()[-1].damage is not None


def test_manifest_of_another_checkpoint_is_refused(store: CheckpointStore, tmp_path: Path) -> None:
    make(store, 4)
    make(store, 5)
    shutil.copy(folder(tmp_path, 4) / "manifest.json", folder(tmp_path, 5) / "manifest.json")
    with pytest.raises(CorruptCheckpointError, match="manifest of LSN 4"):
        store.verify(5)


@pytest.mark.parametrize("name", ["notes", "5", f"{5:020d}x", "٥" * 20, f"{5:020d}.old"])
def test_other_names_in_the_folder_are_no_checkpoints(
    store: CheckpointStore, tmp_path: Path, name: str
) -> None:
    (tmp_path / "checkpoints" / name).mkdir()
    assert store.ls() == []


def test_file_in_the_place_of_a_folder_is_a_damaged_checkpoint(
    store: CheckpointStore, tmp_path: Path
) -> None:
    folder(tmp_path, 5).write_bytes(b"")
    damage = store.ls()[0].damage
    assert damage is not None and damage.reason == "the file is missing"


def test_golden_checkpoint_is_read() -> None:
    """Files of format 1 open for ever; they were written when it was."""
    store = CheckpointStore(GOLDEN)
    manifest = store.verify(golden_checkpoint.LSN)
    assert store.ls()[0].manifest == manifest
    assert (manifest.epoch, manifest.code_version, manifest.hash_seed) == (3, "9f86d081884c", 7)
    assert store.read_control(manifest.lsn) == golden_checkpoint.CONTROL
    fd = store.open_state(manifest.lsn)
    state, hot = read_state(fd, manifest.state)
    os.close(fd)
    assert pack([state, hot]) == pack([golden_checkpoint.STATE, golden_checkpoint.HOT])


def test_golden_checkpoint_is_written_in_the_same_words(tmp_path: Path) -> None:
    """Where instructions are cut is the writer's choice, and zstd's bytes are zstd's; what is
    written is the same, in the same kinds of instruction."""
    golden_checkpoint.write(tmp_path)
    name = Path(f"{golden_checkpoint.LSN:020d}") / "state.zst"
    written, golden = (instructions((base / name).read_bytes()) for base in (tmp_path, GOLDEN))
    assert {each[0] for each in written} == {each[0] for each in golden} == set(range(10))
    assert CheckpointStore(tmp_path).verify(golden_checkpoint.LSN).state.keys == 7


@pytest.mark.parametrize("finish", [True, False])
def test_every_failing_step_leaves_what_was_there(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, finish: bool
) -> None:
    """The k-th call on the disk fails, k from 1 until none does."""
    make(store, 1)
    for failing in range(1, 100):
        calls = FailingCalls(monkeypatch, failing)
        try:
            make(store, 2) if finish else store.prune(1)
            failed = False
        except OSError as error:
            assert "injected" in str(error)
            failed = True
        calls.restore()
        assert {1, 2} >= set(lsns(store))
        for lsn in lsns(store):
            store.verify(lsn)
        assert lsns(store), "one is always there"
        if not failed:
            return
        store.prepare()
        if finish and 2 in lsns(store):
            store.set_aside(2)
        elif not finish and 2 not in lsns(store):
            make(store, 2)
    pytest.fail("it never came through")


class FailingCalls:
    """Makes the k-th of the calls that change a disk fail."""

    NAMES = ("open", "write", "fsync", "mkdir", "rename", "rmdir", "unlink")

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
        self._left = failing
        self._patch = monkeypatch
        for name in self.NAMES:
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))

    def restore(self) -> None:
        """Let every call through again."""
        self._patch.undo()

    def _counted(self, call: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object, **options: object) -> object:
            self._left -= 1
            if self._left == 0:
                raise OSError(5, "injected")
            return call(*arguments, **options)

        return counted
