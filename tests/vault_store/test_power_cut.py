"""A crash at any step of the store leaves each checkpoint whole or not there."""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from osupervisor.vault_store.checkpoint import CheckpointStore
from osupervisor.vault_store.disk import RealDisk
from osupervisor.vault_store.manifest import Manifest, summarize
from osupervisor.vault_store.state_writer import write_state
from tests.vault_store.power_cut import RecordedDisk, after_power_cut, after_process_death


@dataclass
class Promise:
    """From step `since` on these LSNs must be there after any crash."""

    since: int
    lsns: frozenset[int]


@dataclass
class Run:
    """The store at work on a recorded disk."""

    root: Path
    disk: RecordedDisk
    promises: list[Promise] = field(default_factory=list[Promise])

    def promised(self, step: int) -> frozenset[int]:
        """What must be there after a crash right after `step`."""
        held = [promise.lsns for promise in self.promises if promise.since <= step]
        return held[-1] if held else frozenset()

    def promise(self, *lsns: int) -> None:
        self.promises.append(Promise(len(self.disk.steps) - 1, frozenset(lsns)))


def work(root: Path, planted: str = "") -> Run:
    """Three checkpoints, a prune, one more, one set aside."""
    root.mkdir()
    run = Run(root, RecordedDisk(root, planted))
    store = CheckpointStore(root / "checkpoints", run.disk)
    store.prepare()
    for lsn in (1, 2, 3):
        make(run, store, lsn)
        run.promise(*range(1, lsn + 1))
    run.promise(2, 3)
    assert store.prune(2) == [1]
    os.close(store.begin(4))
    store.discard(4)
    make(run, store, 4)
    run.promise(2, 3, 4)
    run.promise(2, 4)
    store.set_aside(3)
    return run


def make(run: Run, store: CheckpointStore, lsn: int) -> None:
    fd = store.begin(lsn)
    summary = write_state(fd, {"lsn": lsn}, {})
    os.close(fd)
    run.disk.state_written(run.root / "checkpoints" / f"{lsn:020d}.tmp" / "state.zst")
    store.finish(Manifest(lsn, 1, "abc", 0, 0, summary, summarize(b"control")), b"control")


class UnsyncedDisk(RealDisk):
    """For looking at what was left, thousands of times."""

    def sync_folder(self, path: Path) -> None:
        assert path.is_dir()


def check(left: Path, promised: frozenset[int]) -> None:
    """What a start finds in what a crash left."""
    store = CheckpointStore(left / "checkpoints", UnsyncedDisk())
    found = {entry.lsn for entry in store.ls()}
    assert promised <= found, f"{promised - found} are gone"
    for lsn in found:
        store.verify(lsn)
    store.prepare()
    assert {entry.lsn for entry in store.ls()} == found


@pytest.fixture
def left() -> Iterator[Path]:
    """Where crashes leave their folders, in memory where that can be had."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder) / "left"


def crash_everywhere(run: Run, left: Path, tries: int, seed: int) -> None:
    """Each step, `tries` power cuts and the death of the process."""
    for step, model in enumerate(run.disk.steps):
        for number in range(-1, tries):
            case = f"seed {seed} step {step} try {number}"
            if number < 0:
                after_process_death(model, left)
            else:
                after_power_cut(model, left, random.Random(case))
            try:
                check(left, run.promised(step))
            except Exception as error:
                raise AssertionError(case) from error
            shutil.rmtree(left)


def test_crash_at_every_step_leaves_every_checkpoint_whole_or_not_there(
    tmp_path: Path, left: Path
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    run = work(tmp_path / "data")
    assert len(run.disk.steps) > 50
    crash_everywhere(run, left, 15, seed)


@pytest.mark.parametrize(
    "planted",
    [
        "state not synced",
        "control.msgpack not synced",
        "manifest.json not synced",
        "folder not synced",
        "folder above not synced",
        "removed in place",
    ],
)
def test_every_step_left_out_is_found_out(tmp_path: Path, left: Path, planted: str) -> None:
    """The disk of these tests can tell: without the step some crash leaves half a checkpoint."""
    run = work(tmp_path / "data", planted)
    with pytest.raises(AssertionError, match="step"):
        crash_everywhere(run, left, 15, 1)
