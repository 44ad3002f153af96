"""Reading logs while they are written, rotated, and their writers killed."""

import json
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osupervisor.supervisor.logs.follower import Follower
from osupervisor.supervisor.logs.reader import MISSED, LogReader
from osupervisor.supervisor.logs.rotated_file import RotatedFile
from osupervisor.supervisor.logs.writer import LogWriter

CHATTERBOX = Path(__file__).parent / "programs" / "chatterbox.py"
KILLS = 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "supervisor.log"


def _line(number: int) -> bytes:
    return b"line %d\n" % number


def _numbers(lines: list[bytes]) -> list[int]:
    return [int(line.split()[1]) for line in lines]


@settings(deadline=None)
@given(
    script=st.lists(st.integers(0, 12), max_size=40),
    bytes_max=st.integers(10, 60),
)
def test_every_line_comes_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, script: list[int], bytes_max: int
) -> None:
    """0: poll. n: that many lines are written, with as many rotations as that takes."""
    path = tmp_path_factory.mktemp("follow") / "a.log"
    follower = Follower(path)
    file = RotatedFile(path, bytes_max, kept=500)
    written, read = 0, list[int]()
    for step in script:
        if step == 0:
            read += _numbers(follower.poll())
            assert read == list(range(written))
        for _ in range(step):
            file.append(_line(written))
            written += 1
    read += _numbers(follower.poll())
    assert read == list(range(written))
    assert not follower.missed
    assert follower.poll() == []
    follower.close()
    file.close()


@given(lines=st.integers(0, 60), last=st.integers(0, 80), bytes_max=st.integers(10, 2000))
def test_it_begins_with_the_last_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: int, last: int, bytes_max: int
) -> None:
    path = tmp_path_factory.mktemp("last") / "a.log"
    file = RotatedFile(path, bytes_max, kept=100)
    for number in range(lines):
        file.append(_line(number))
    follower = Follower(path, last)
    assert _numbers(follower.poll()) == list(range(max(0, lines - last), lines))
    file.append(_line(lines))
    assert _numbers(follower.poll()) == [lines]
    follower.close()
    file.close()


def test_lines_longer_than_a_chunk(path: Path) -> None:
    file = RotatedFile(path, bytes_max=10**9, kept=1)
    lines = [bytes([65 + n]) * 100_000 for n in range(5)]
    file.append(b"\n".join(lines) + b"\n")
    follower = Follower(path, last=2)
    assert follower.poll() == lines[-2:]
    follower.close()
    file.close()


def test_a_line_that_has_not_ended_is_waited_for(path: Path) -> None:
    path.parent.mkdir()
    follower = Follower(path)
    assert follower.poll() == []
    with path.open("ab", buffering=0) as file:
        file.write(b"one\ntw")
        assert follower.poll() == [b"one"]
        file.write(b"o\n")
        assert follower.poll() == [b"two"]
    follower.close()


def test_a_reader_that_is_too_slow_is_told_so(path: Path) -> None:
    file = RotatedFile(path, bytes_max=16, kept=2)
    file.append(_line(0))
    follower = Follower(path, last=10)
    for number in range(1, 100):
        file.append(_line(number))
    numbers = _numbers(follower.poll())
    assert follower.missed
    assert numbers[:2] == [0, 1]
    assert numbers[2:] == list(range(102 - len(numbers), 100))
    follower.close()
    file.close()


class _Interrupted(Follower):
    """A rotation happens between its look at the names and its opening of one."""

    def __init__(self, path: Path, last: int, file: RotatedFile) -> None:
        super().__init__(path, last)
        self.file: RotatedFile | None = file

    def _newer(self, number: int) -> Any:
        file, self.file = self.file, None
        if file is not None:
            for late in (6, 7):
                file.append(_line(late))
        return super()._newer(number)


def test_a_rotation_between_two_looks_hides_no_file(path: Path) -> None:
    file = RotatedFile(path, bytes_max=16, kept=9)
    for number in range(6):
        file.append(_line(number))
    follower = _Interrupted(path, 10, file)
    assert _numbers(follower.poll()) == list(range(8))
    assert not follower.missed
    follower.close()
    file.close()


def test_a_gap_in_the_names_is_stepped_over(path: Path) -> None:
    """A process that died in the middle of a rotation leaves one."""
    file = RotatedFile(path, bytes_max=16, kept=5)
    for number in range(6):
        file.append(_line(number))
    follower = Follower(path, last=10)
    path.with_name("supervisor.log.1").unlink()
    assert _numbers(follower.poll()) == [0, 1, 4, 5]
    follower.close()
    file.close()


def test_a_file_that_was_cut_is_read_from_its_beginning(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"one\ntwo\n")
    follower = Follower(path, last=5)
    assert follower.poll() == [b"one", b"two"]
    path.write_bytes(b"new\n")
    assert follower.poll() == [b"new"]
    follower.close()


def test_writers_that_rotate_all_the_time_and_are_killed(path: Path) -> None:
    """Real processes, real kills: each line once, in order, none torn but the last of a life."""
    seed = Random().randrange(2**32)
    print(f"seed {seed}")
    random = Random(seed)
    follower = Follower(path)
    read: list[int] = []
    torn = 0
    for life in range(KILLS):
        first = life * 10_000_000
        argv = [sys.executable, str(CHATTERBOX), str(path), str(first)]
        with subprocess.Popen(argv) as writer:
            kill_at_s = time.monotonic() + 20
            wanted = len(read) + random.randrange(1, 3000)
            while len(read) < wanted:
                assert time.monotonic() < kill_at_s, "it says nothing"
                for line in follower.poll():
                    if line.endswith(b"}"):
                        read.append(json.loads(line)["number"])
                    else:
                        torn += 1
            writer.kill()
    read += [json.loads(line)["number"] for line in follower.poll() if line.endswith(b"}")]
    follower.close()
    assert not follower.missed
    assert torn <= KILLS
    for earlier, later in zip(read, read[1:], strict=False):
        assert later == earlier + 1 or later % 10_000_000 == 0


def test_all_logs_of_a_service_come_as_one(path: Path) -> None:
    folder = path.parent
    times = iter(range(100))
    supervisor = LogWriter(path, clock=lambda: next(times))
    supervisor.say("info", "first")
    heart = LogWriter(folder / "heart.log", source="heart", clock=lambda: next(times))
    heart.say("info", "second")
    supervisor.say("info", "third")
    with (folder / "heart.log").open("ab") as stderr:
        stderr.write(b"Traceback ...\n")
    reader = LogReader(folder, last=3)
    assert [(r["source"], r["message"]) for r in reader.poll()] == [
        ("heart", "second"),
        ("heart", "Traceback ..."),
        ("supervisor", "third"),
    ]
    supervisor.say("warning", "fourth", n=1)
    nursery = LogWriter(folder / "nursery.log", source="nursery", clock=lambda: next(times))
    nursery.say("info", "fifth")
    assert [record["message"] for record in reader.poll()] == ["fourth", "fifth"]
    assert reader.poll() == []
    for log in (supervisor, heart, nursery, reader):
        log.close()


def test_what_was_missed_is_said(path: Path) -> None:
    log = LogWriter(path, bytes_max=150, kept=1)
    log.say("info", "message0")
    reader = LogReader(path.parent)
    for number in range(1, 20):
        log.say("info", f"message{number}")
    messages = [record["message"] for record in reader.poll()]
    assert messages[0] == MISSED and messages[-1] == "message19"
    log.close()
    reader.close()
