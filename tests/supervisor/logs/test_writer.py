"""The log's writer: levels, turns, rotation, full disks, and its echo."""

import errno
import json
import os
import resource
import select
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from osupervisor.supervisor.logs import rotated_file
from osupervisor.supervisor.logs.echo import Echo
from osupervisor.supervisor.logs.rotated_file import (
    RotatedFile,
    rotate_shared,
    rotated_name,
)
from osupervisor.supervisor.logs.writer import BUFFER_BYTES_MAX, LOST, LogWriter

NOW = 1795172602.123


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "supervisor.log"


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines() if line]


def _messages(path: Path) -> list[str]:
    return [record["message"] for record in _records(path)]


@contextmanager
def _disk_full_at(size: int) -> Generator[None]:
    """No file of this process grows beyond it: a short write, and then an error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_others_append_to_is_copied_and_cut(path: Path) -> None:
    path.parent.mkdir()
    other = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for letter in ("a", "b", "c", "d"):
        os.write(other, letter.encode() * 100)
        assert not rotate_shared(path, 100, 2), "it is not too large"
        os.write(other, b"!")
        assert rotate_shared(path, 100, 2)
        assert path.read_bytes() == b""
    os.close(other)
    contents = [rotated_name(path, number).read_bytes() for number in (1, 2)]
    assert contents == [b"d" * 99 + b"!", b"c" * 99 + b"!"]
    assert not rotated_name(path, 3).exists()


def test_a_shared_file_is_cut_where_there_is_no_room_for_a_copy(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"a" * 5000)
    with _disk_full_at(10):
        assert rotate_shared(path, 4096, 2)
    assert path.read_bytes() == b"" and not rotated_name(path, 1).exists()


class Turns:
    """A loop's call_soon, by hand."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def end(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


def test_a_record_has_time_level_source_message_and_fields(path: Path) -> None:
    log = LogWriter(path, clock=lambda: NOW)
    log.say("info", "lease.granted", brain=2, epoch=3)
    log.put("info", "brain.output", source="brain", text="hello")
    log.close()
    head = {"time": "2026-11-20T11:03:22.123Z", "level": "info"}
    assert _records(path) == [
        {**head, "source": "supervisor", "message": "lease.granted", "brain": 2, "epoch": 3},
        {**head, "source": "brain", "message": "brain.output", "text": "hello"},
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_others_said_is_written_whatever_the_level(path: Path) -> None:
    log = LogWriter(path, level="error")
    log.say("info", "a brain's line", source="brain-1")
    log.say("info", "our own")
    log.close()
    assert _messages(path) == ["a brain's line"]


def test_what_is_below_the_level_is_not_written_unless_it_must_be(path: Path) -> None:
    log = LogWriter(path, level="warning")
    for level in ("debug", "info", "warning", "error"):
        log.say(level, f"said.{level}")
    log.put("info", "brain.output")
    log.close()
    assert _messages(path) == ["said.warning", "said.error", "brain.output"]


def test_what_is_said_in_a_turn_is_written_at_its_end(path: Path) -> None:
    turns = Turns()
    log = LogWriter(path)
    log.flush_through(turns.call_soon)
    for number in range(3):
        log.say("info", f"message{number}")
    assert path.read_bytes() == b"" and len(turns.calls) == 1
    turns.end()
    assert _messages(path) == ["message0", "message1", "message2"]
    log.say("info", "next turn")
    turns.end()
    assert _messages(path)[-1] == "next turn"
    log.say("info", "last")
    log.close()
    turns.end()
    assert _messages(path)[-1] == "last"


def test_a_turn_that_says_much_does_not_fill_the_memory(path: Path) -> None:
    turns = Turns()
    log = LogWriter(path)
    log.flush_through(turns.call_soon)
    while not path.stat().st_size:
        log.say("info", "x" * 10_000)
    assert path.stat().st_size <= BUFFER_BYTES_MAX + 20_000
    log.close()


def test_files_are_rotated_and_so_many_stay(path: Path) -> None:
    log = LogWriter(path, bytes_max=1000, kept=3)
    for number in range(200):
        log.say("info", f"message{number}")
    log.close()
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == [
        "supervisor.log",
        "supervisor.log.1",
        "supervisor.log.2",
        "supervisor.log.3",
    ]
    assert all(file.stat().st_size <= 1000 for file in files)
    in_order = [message for file in [*reversed(files[1:]), path] for message in _messages(file)]
    assert in_order == [f"message{n}" for n in range(200 - len(in_order), 200)]


def test_the_next_process_goes_on_in_the_same_file(path: Path) -> None:
    for number in range(3):
        log = LogWriter(path)
        log.say("info", f"message{number}")
        log.close()
    assert _messages(path) == ["message0", "message1", "message2"]


def test_a_line_that_another_process_left_half_ends_before_the_next(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"message":"whole"}\n{"message":"ha')
    log = LogWriter(path)
    log.say("info", "next")
    log.close()
    lines = path.read_bytes().splitlines()
    assert lines[:2] == [b'{"message":"whole"}', b'{"message":"ha']
    assert json.loads(lines[2])["message"] == "next"


def test_a_full_disk_loses_records_and_then_says_how_many(path: Path) -> None:
    log = LogWriter(path)
    log.say("info", "before")
    with _disk_full_at(path.stat().st_size + 20):
        for number in range(7):
            log.say("info", f"lost{number}")
        assert log.lost == 7
    log.say("info", "after")
    assert log.lost == 0
    log.close()
    whole = [line for line in path.read_bytes().splitlines() if line.endswith(b"}")]
    records = [json.loads(line) for line in whole]
    assert [record["message"] for record in records] == ["before", LOST, "after"]
    assert records[1]["records"] == 7


def test_without_room_for_another_file_the_old_one_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = RotatedFile(path, bytes_max=100, kept=2)
    file.append(b"x" * 79 + b"\n")

    def no_descriptors(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patched:
        patched.setattr(rotated_file, "_open", no_descriptors)
        file.append(b"y" * 79 + b"\n")
    assert path.stat().st_size == 160
    file.append(b"z" * 79 + b"\n")
    file.close()
    assert path.read_bytes() == b"z" * 79 + b"\n"


def test_the_echo_is_text_for_people(path: Path) -> None:
    read_end, write_end = os.pipe()
    log = LogWriter(path, echo=Echo(write_end), clock=lambda: NOW)
    log.say("warning", "brain.died", brain=7, why="line\nfeed")
    log.say("debug", "not wanted")
    log.close()
    os.close(write_end)
    assert os.read(read_end, 1000) == (
        b"11:03:22.123 warning supervisor  brain.died  brain=7 why=line feed\n"
    )
    os.close(read_end)


def test_an_echo_of_a_line_too_long_for_a_pipe_is_cut_and_ends_all_the_same() -> None:
    read_end, write_end = os.pipe()
    echo = Echo(write_end)
    echo.show({"message": "\N{SNOWMAN}" * 2000})
    echo.show({"message": "after"})
    os.close(write_end)
    first, second = os.read(read_end, 65536).decode().splitlines()
    assert len(first.encode()) <= select.PIPE_BUF and first.endswith("\N{SNOWMAN}")
    assert second.endswith("after")
    os.close(read_end)


def test_an_echo_that_nobody_reads_never_waits_and_says_what_was_lost() -> None:
    read_end, write_end = os.pipe()
    echo = Echo(write_end)
    for number in range(10_000):
        echo.show({"message": f"message{number}"})
    heard = b""
    while len(chunk := os.read(read_end, 65536)) == 65536:
        heard += chunk
    heard += chunk
    told = heard.count(b"\n")
    echo.show({"message": "after"})
    assert (
        os.read(read_end, 1000).splitlines()[0]
        == f"({10_000 - told} lines were lost here)".encode()
    )
    os.close(read_end)
    echo.show({"message": "to nobody"})
    os.close(write_end)
    echo.show({"message": "to nothing"})


def test_files_that_an_earlier_setting_kept_are_removed(path: Path) -> None:
    for kept in (6, 2):
        file = RotatedFile(path, bytes_max=10, kept=kept)
        for _ in range(10):
            file.append(b"123456789\n")
        file.close()
    assert len(list(path.parent.iterdir())) == 3
