"""File systems: which one a path lies on, and what it means."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from osupervisor.supervisor.doctor import storage
from osupervisor.supervisor.doctor.finding import Finding
from osupervisor.supervisor.doctor.mount import Mount, mount_of, mounts
from osupervisor.supervisor.heart.pidfd_info import exit_status


def findings(folder: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in storage.examine(folder)}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("tmpfs", "lies in memory"),
        ("overlay", "mount a volume"),
        ("nfs4", "as good as the server's"),
        ("fuse.sshfs", "as good as the server's"),
        ("9p", "as good as the server's"),
        ("novelfs", "Nothing is known"),
    ],
)
def test_each_kind_of_file_system_has_its_consequence(kind: str, words: str) -> None:
    assert words in storage.what_follows(kind)


def test_a_path_lies_on_the_longest_mount_above_it() -> None:
    assert mount_of(Path("/proc/self")) == next(m for m in mounts() if m.point == "/proc")
    root = mount_of(Path("/"))
    assert root is not None
    assert root.point == "/"


def test_shared_memory_is_warned_of() -> None:
    finding = findings(Path("/dev/shm"))["file_system"]
    assert (finding.level, finding.found) == ("warn", "tmpfs on /dev/shm")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB with a space in its name."""
    point = tmp_path / "small disk"
    point.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=10", "none", str(point)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting needs root")
    yield point
    subprocess.run(["umount", str(point)], check=True)


def test_a_disk_that_is_nearly_full_is_bad(small_disk: Path) -> None:
    found = findings(small_disk)
    assert found["disk_free"].level == "bad"
    assert mount_of(small_disk / "x") == Mount(str(small_disk), "tmpfs", "none")


def test_a_full_disk_is_a_finding_and_no_exception(small_disk: Path) -> None:
    with open(small_disk / "hog", "wb") as hog, pytest.raises(OSError, match="No space"):
        while True:
            os.write(hog.fileno(), b"x" * 4096)
    assert findings(small_disk)["fsync"].level == "bad"


def test_syncs_are_measured(tmp_path: Path) -> None:
    times = storage.sync_times(tmp_path)
    assert 1 <= len(times) <= storage.SYNCS
    assert all(time > 0 for time in times)


def test_how_a_reaped_process_ended_can_be_known() -> None:
    for script, status in (("exit 3", 3), ("kill -9 $$", -9)):
        child = subprocess.Popen(["sh", "-c", script])
        pidfd = os.pidfd_open(child.pid)
        child.wait()
        assert exit_status(pidfd) in (status, None)  # None: a kernel before 6.15
        os.close(pidfd)


def test_nothing_is_known_of_a_process_that_lives() -> None:
    pidfd = os.pidfd_open(os.getpid())
    assert exit_status(pidfd) is None
    os.close(pidfd)
