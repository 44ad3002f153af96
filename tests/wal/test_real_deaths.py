"""Real processes killed with -9 while they append, and real disks that are full."""

import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from osupervisor.wal.recover import read_log
from osupervisor.wal.storage import DirectoryStorage
from osupervisor.wal.verify import verify

APPENDER = Path(__file__).parent / "programs" / "appender.py"
KILLS = 40
INJECTIONS = 2
DEADLINE_S = 30.0


def run(
    data: Path,
    seed: int,
    *arguments: str,
    file_bytes_max: int = resource.RLIM_INFINITY,
    under: Sequence[str] = (),
) -> subprocess.Popen[str]:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max))

    return subprocess.Popen(
        [*under, sys.executable, str(APPENDER), str(data), str(seed), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=limited,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )


def told(output: str) -> dict[str, int]:
    """The last LSN that it told of each kind; a half line was not told."""
    last: dict[str, int] = {}
    for line in output.split("\n")[:-1]:
        what, lsn = line.split()
        last[what] = int(lsn)
    return last


def check(data: Path, appended: int) -> None:
    storage = DirectoryStorage(data / "wal")
    view = read_log(storage)
    assert view.last_lsn >= appended
    found = list(view.records(1))
    assert [one.lsn for one in found] == list(range(1, view.last_lsn + 1))
    assert all(one.key == b"%d" % one.lsn for one in found)
    assert verify(storage).ok


def test_a_killed_process_leaves_all_that_it_told(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    appended = 0
    for kill in range(KILLS):
        process = run(tmp_path, seed + kill)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.random() * 0.03)  # the instant of death is what is tried
        process.kill()
        output, _ = process.communicate(timeout=DEADLINE_S)
        appended = max(appended, told(output).get("appended", 0))
        check(tmp_path, appended)
    assert appended > KILLS, f"too little was written, seed {seed}"


def test_short_writes_of_a_real_kernel_lose_nothing_that_was_told(tmp_path: Path) -> None:
    """A file size limit above the segment's size: batches that cross it are written in part."""
    process = run(tmp_path, 1, "4096", file_bytes_max=6000)
    assert process.stdout is not None
    said = "".join(process.stdout.readline() for _ in range(400))
    process.kill()
    rest, _ = process.communicate(timeout=DEADLINE_S)
    assert said.count("refused") > 3, said[-200:]
    last = told(said + rest)
    check(tmp_path, max(last["appended"], last["refused"]))


# Each system call that writes, and how often a start and some four rotations make it.
WRITING = {
    "pwrite64": 60,
    "fdatasync": 10,
    "rename": 8,
    "fsync": 5,
    "unlink": 8,
    "ftruncate": 5,
    "fallocate": 5,
}


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("what", ["signal=KILL", "error=EIO", "error=ENOSPC"])
def test_any_real_system_call_that_writes_may_be_the_last_one_or_fail(
    tmp_path: Path, what: str
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    for call in sorted(WRITING) * INJECTIONS:
        at = rng.randint(1, WRITING[call])
        data = tmp_path / f"{call}-{at}"
        data.mkdir(exist_ok=True)
        inject = f"inject={call}:{what}:when={at}"
        strace = ["strace", "-qq", "-o", "/dev/null", "-e", inject]
        process = run(data, seed, "32768", "60", under=strace)
        output, _ = process.communicate(timeout=DEADLINE_S)
        last = told(output)
        if last:
            check(data, max(last.get("appended", 0), last.get("refused", 0)))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_refuses_and_keeps_what_was_appended(small_disk: Path) -> None:
    process = run(small_disk, 2)
    output, _ = process.communicate(timeout=DEADLINE_S)
    last = told(output)
    assert process.returncode == 0 and "full" in last, output[-200:]
    assert last["refused"] == last["full"] >= last["appended"] > 100
    check(small_disk, last["refused"])
    assert read_log(DirectoryStorage(small_disk / "wal")).last_lsn == last["full"]
