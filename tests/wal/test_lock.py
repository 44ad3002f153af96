"""One supervisor for a data directory, and a lock that dies with it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from osupervisor.wal.errors import LockedError
from osupervisor.wal.lock import LOCK_NAME, DirectoryLock

HOLD = """
import sys
from pathlib import Path
from osupervisor.wal.lock import DirectoryLock
lock = DirectoryLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def holder(data: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(LockedError, match=f"process {process.pid}") as caught:
            DirectoryLock.acquire(tmp_path)
        assert caught.value.pid == process.pid
        assert caught.value.path == str(tmp_path / LOCK_NAME)
        assert "osupervisor stop" in str(caught.value)
    finally:
        process.communicate(timeout=30)
    DirectoryLock.acquire(tmp_path).release()


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    process = holder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    lock = DirectoryLock.acquire(tmp_path)
    assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"
    lock.release()


def test_one_process_can_not_take_it_twice(tmp_path: Path) -> None:
    lock = DirectoryLock.acquire(tmp_path)
    with pytest.raises(LockedError, match=f"process {os.getpid()}"):
        DirectoryLock.acquire(tmp_path)
    lock.release()
    lock.release()
    DirectoryLock.acquire(tmp_path).release()


FORK = """
import os, sys
from pathlib import Path
from osupervisor.wal.lock import DirectoryLock
lock = DirectoryLock.acquire(Path(sys.argv[1]))
if os.fork() == 0:
    print(os.getpid(), flush=True)
    sys.stdin.read()
    os._exit(0)
os.wait()
"""


def test_a_forked_child_that_outlives_the_owner_does_not_keep_the_lock(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", FORK, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdin is not None and owner.stdout is not None
    child = int(owner.stdout.readline())
    with pytest.raises(LockedError):
        DirectoryLock.acquire(tmp_path)
    owner.kill()
    owner.wait(timeout=30)
    DirectoryLock.acquire(tmp_path).release()
    os.kill(child, 0)
    owner.stdin.close()
    assert owner.stdout.read() == "", "the child ended"
    owner.stdout.close()


def test_an_executed_program_does_not_inherit_the_lock(tmp_path: Path) -> None:
    lock = DirectoryLock.acquire(tmp_path)
    program = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        close_fds=False,
    )
    try:
        lock.release()
        DirectoryLock.acquire(tmp_path).release()
    finally:
        program.communicate(timeout=30)


def test_a_lock_file_without_a_pid_is_still_a_lock(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        (tmp_path / LOCK_NAME).write_text("")
        with pytest.raises(LockedError, match="an unknown process"):
            DirectoryLock.acquire(tmp_path)
    finally:
        process.communicate(timeout=30)


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DirectoryLock.acquire(tmp_path / "none")
