"""Checkpoints that a brain's child writes, and followers loaded from checkpoint and segments."""

import os
import select
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from osupervisor.brain.follower import Follower
from osupervisor.brain.load import DamagedError
from osupervisor.brain.load import load as load_files
from osupervisor.brain.state import StateTree
from osupervisor.bridge import line as bridge_line
from osupervisor.vault_store.state_reader import read_state
from osupervisor.wal.record import Kind
from osupervisor.wal.segment import SegmentHeader, encode_header
from tests.brain.driver import (
    WAIT_S,
    BrainEnd,
    Log,
    Nursery,
    nursery,
    pack,
    request,
    unpack,
    wait_until,
)


def checkpoint(brain: BrainEnd, lsn: int, path: Path) -> dict[str, Any]:
    """Ask for a checkpoint at `lsn`, and wait for its result."""
    reader = start_checkpoint(brain, lsn, path)
    try:
        return read_result(reader)
    finally:
        os.close(reader)


def start_checkpoint(brain: BrainEnd, lsn: int, path: Path) -> int:
    """The pipe's end where the result will come."""
    file_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    bridge_line.send(brain.line, ["checkpoint", lsn], [file_fd, writer])
    os.close(file_fd)
    os.close(writer)
    brain.notify("checkpoint", lsn)
    return reader


def read_result(reader: int) -> dict[str, Any]:
    assert select.select([reader], [], [], WAIT_S)[0], "no result"
    found: dict[str, Any] = unpack(os.read(reader, 65_536))
    assert os.read(reader, 1) == b"", "the child ended"
    return found


def write_segment(path: Path, log: Log, first: int, last: int) -> Path:
    head = encode_header(SegmentHeader(first, bytes(16)))
    path.write_bytes(head + b"".join(log.records[first - 1 : last]) + bytes(4_096))
    return path


def load(
    brain: BrainEnd, files: Sequence[Path], checkpoint: int | None, segments: Any, upto: int
) -> None:
    descriptors = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in files]
    bridge_line.send(brain.line, ["load"], descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    brain.notify("load", {"checkpoint": checkpoint, "segments": segments, "upto": upto})


def filled(nest: Nursery, log: Log, keys: int = 50) -> BrainEnd:
    """A primary with `keys` commits behind its lease."""
    brain = nest.spawn("primary")
    brain.records(log.lease(1))
    brain.lease(1, log.lsn)
    for index in range(keys):
        brain.do(log, "add", f"key{index % 7}", n=index)
    return brain


def test_checkpoint_of_a_follower_is_the_state_of_its_lsn(tmp_path: Path) -> None:
    with nursery() as nest:
        log = Log()
        primary = filled(nest, log)
        log.append(Kind.CONTROL, 1, b"", b"", b"fold")
        follower = nest.spawn("follower")
        follower.records(*log.records)
        result = checkpoint(follower, log.lsn, tmp_path / "state.zst")
        assert (result["lsn"], result["keys"]) == (log.lsn, 7)
        assert result["bytes"] == (tmp_path / "state.zst").stat().st_size
        with open(tmp_path / "state.zst", "rb") as file:
            state, hot = read_state(file.fileno())
        assert list(state.items()) == list(primary.state().items())
        assert hot == {"adds": 50}


def test_brain_serves_while_its_checkpoint_is_written(tmp_path: Path) -> None:
    with nursery() as nest:
        log = Log()
        primary = filled(nest, log)
        fill(primary, log, 200_000)
        reader = start_checkpoint(primary, log.lsn, tmp_path / "state.zst")
        answered = 0
        while not select.select([reader], [], [], 0)[0]:
            primary.do(log, "add", "during")
            answered += 1
        assert answered > 0
        assert read_result(reader)["keys"] == 200_007
        os.close(reader)
        with open(tmp_path / "state.zst", "rb") as file:
            assert "during" not in read_state(file.fileno())[0]
        primary.ping()
        assert not children_of(primary.pid), "the child has been reaped"


def test_checkpoint_outlives_its_brain(tmp_path: Path) -> None:
    """The child holds nothing of its parent's: its parent's end is seen at once."""
    with nursery() as nest:
        log = Log()
        primary = filled(nest, log)
        fill(primary, log, 300_000)
        reader = start_checkpoint(primary, log.lsn, tmp_path / "state.zst")
        wait_until(lambda: children_of(primary.pid), "the child")
        primary.kill(signal.SIGKILL)
        primary.wait_for_end()
        assert read_result(reader)["keys"] == 300_007
        os.close(reader)


def test_checkpoint_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    with nursery() as nest:
        log = Log()
        primary = filled(nest, log)
        full = tmp_path / "state.zst"
        full.symlink_to("/dev/full")
        reader, writer = os.pipe2(os.O_CLOEXEC)
        file_fd = os.open("/dev/full", os.O_RDWR)
        bridge_line.send(primary.line, ["checkpoint", log.lsn], [file_fd, writer])
        os.close(file_fd)
        os.close(writer)
        primary.notify("checkpoint", log.lsn)
        assert "No space left" in read_result(reader)["error"]
        os.close(reader)
        assert primary.do(log, "add", "key0").failure is None


def test_checkpoint_without_a_file_is_called_off(tmp_path: Path) -> None:
    with nursery() as nest:
        log = Log()
        primary = filled(nest, log)
        bridge_line.send(primary.line, ["checkpoint", log.lsn])
        primary.notify("checkpoint", log.lsn)
        assert primary.do(log, "add", "key0").failure is None
        assert checkpoint(primary, log.lsn, tmp_path / "state.zst")["lsn"] == log.lsn


def test_checkpoint_whose_writer_an_op_has_reaped_harms_nobody(tmp_path: Path) -> None:
    with nursery() as nest:
        log = Log()
        primary = filled(nest, log)
        checkpoint(primary, log.lsn, tmp_path / "state.zst")
        assert primary.do(log, "wait_for_children").result == 0
        assert primary.ping()["lsn"] == log.lsn


def test_checkpoint_of_another_lsn_is_a_bug(tmp_path: Path) -> None:
    with nursery() as nest:
        log = Log()
        primary = filled(nest, log, 3)
        os.close(start_checkpoint(primary, 99, tmp_path / "state.zst"))
        assert os.WEXITSTATUS(nest.status_of(primary.pid)) == 70
        assert "a checkpoint of LSN 99; the brain is at 4" in primary.printed()


@pytest.mark.parametrize("with_checkpoint", [True, False])
def test_follower_is_loaded_from_checkpoint_and_segments(
    tmp_path: Path, with_checkpoint: bool
) -> None:
    with nursery() as nest:
        log = Log()
        primary = filled(nest, log, 20)
        first_part = log.lsn
        checkpoint(primary, first_part, tmp_path / "state.zst")
        for index in range(30):
            primary.do(log, "add", f"key{index}")
        log.lease(2)
        segments = [
            write_segment(tmp_path / "1.wal", log, 1, 10),
            write_segment(tmp_path / "2.wal", log, 5, 40),
            write_segment(tmp_path / "3.wal", log, 41, log.lsn),
        ]
        ranges = [[1, 4], [5, 40], [41, log.lsn]]
        follower = nest.spawn("follower")
        if with_checkpoint:
            files = [tmp_path / "state.zst", *segments[1:]]
            load(follower, files, first_part, ranges[1:], log.lsn)
        else:
            load(follower, segments, None, ranges, log.lsn)
        ready = follower.expect_ready()
        assert (ready["lsn"], ready["epoch"]) == (log.lsn, 2)
        assert list(follower.state().items()) == list(primary.state().items())
        follower.lease(2, log.lsn)
        assert follower.do(log, "add", "key0").failure is None
        assert follower.hot.snapshot().counters == {"adds": 51}


def test_follower_that_fell_behind_goes_on_from_its_own_lsn(tmp_path: Path) -> None:
    """Without a checkpoint the segments continue what the brain has, and may begin before it."""
    with nursery() as nest:
        log = Log()
        primary = filled(nest, log, 30)
        follower = nest.spawn("follower")
        follower.records(*log.records[:12])
        path = write_segment(tmp_path / "1.wal", log, 9, log.lsn)
        load(follower, [path], None, [[9, log.lsn]], log.lsn)
        assert follower.expect_ready()["lsn"] == log.lsn
        assert list(follower.state().items()) == list(primary.state().items())
        load(follower, [], None, [], log.lsn)
        ready = follower.expect_ready()
        assert (ready["lsn"], ready["epoch"]) == (log.lsn, 1)


def test_load_ends_before_what_is_not_wanted(tmp_path: Path) -> None:
    """A segment that is being written may hold more, and half a record."""
    with nursery() as nest:
        log = Log()
        filled(nest, log, 20)
        path = write_segment(tmp_path / "1.wal", log, 1, log.lsn)
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size - 4_096 - 30)
        follower = nest.spawn("follower")
        load(follower, [path], None, [[1, 15]], 15)
        assert follower.expect_ready()["lsn"] == 15
        follower.records(*log.records[15:])
        assert follower.ping()["lsn"] == log.lsn


def test_damaged_segment_is_named_by_descriptor_offset_and_lsn(tmp_path: Path) -> None:
    with nursery() as nest:
        log = Log()
        filled(nest, log, 20)
        good = write_segment(tmp_path / "1.wal", log, 1, 10)
        bad = write_segment(tmp_path / "2.wal", log, 11, log.lsn)
        offset = 64 + sum(map(len, log.records[10:14]))
        flip(bad, offset + 60)
        follower = nest.spawn("follower")
        load(follower, [good, bad], None, [[1, 10], [11, log.lsn]], log.lsn)
        damage = follower.expect("damaged")[0]
        assert (damage["file"], damage["offset"], damage["lsn"]) == (1, offset, 15)
        assert "checksum" in damage["reason"]
        assert os.WEXITSTATUS(nest.status_of(follower.pid)) == 70


def test_damaged_checkpoint_is_named_by_descriptor_and_offset(tmp_path: Path) -> None:
    with nursery() as nest:
        log = Log()
        primary = filled(nest, log, 20)
        path = tmp_path / "state.zst"
        checkpoint(primary, log.lsn, path)
        flip(path, path.stat().st_size // 2)
        follower = nest.spawn("follower")
        load(follower, [path], log.lsn, [], log.lsn)
        damage = follower.expect("damaged")[0]
        assert damage["file"] == 0 and damage["reason"]
        assert 0 <= damage["offset"] <= path.stat().st_size
        assert os.WEXITSTATUS(nest.status_of(follower.pid)) == 70


def test_commit_that_cannot_be_applied_is_damage(tmp_path: Path) -> None:
    with nursery() as nest:
        log = Log()
        ops = pack([[1, ["state", "nowhere", "x"], 1]])
        commit = pack(b"\xc0\xc0") + pack(ops) + pack(b"\x90")
        log.append(Kind.COMMIT, 1, pack("k"), request("add"), commit)
        path = write_segment(tmp_path / "1.wal", log, 1, 1)
        follower = nest.spawn("follower")
        load(follower, [path], None, [[1, 1]], 1)
        assert follower.expect("damaged")[0]["lsn"] == 1


@pytest.mark.parametrize(("checkpoint", "segments"), [(5, []), (None, [(1, 5)])])
def test_only_what_a_disk_has_lost_is_damage(
    checkpoint: int | None, segments: list[tuple[int, int]]
) -> None:
    """A file that could not be read for another reason is not set aside for it."""
    params = {"checkpoint": checkpoint, "segments": segments, "upto": 5}
    for path, error in (("/proc/self/mem", DamagedError), ("/proc", IsADirectoryError)):
        descriptor = os.open(path, os.O_RDONLY)  # the first gives EIO at its begin
        try:
            with pytest.raises(error):
                load_files(Follower(StateTree()), params, [descriptor])
        finally:
            os.close(descriptor)


def test_load_with_a_gap_between_segments_is_a_bug(tmp_path: Path) -> None:
    with nursery() as nest:
        log = Log()
        filled(nest, log, 20)
        files = [
            write_segment(tmp_path / "1.wal", log, 1, 5),
            write_segment(tmp_path / "2.wal", log, 7, log.lsn),
        ]
        follower = nest.spawn("follower")
        load(follower, files, None, [[1, 5], [7, log.lsn]], log.lsn)
        assert os.WEXITSTATUS(nest.status_of(follower.pid)) == 70
        assert "segments leave out LSN 6 to 6" in follower.printed()


def fill(brain: BrainEnd, log: Log, keys: int) -> None:
    for first in range(50, keys, 10_000):
        brain.do(log, "fill", first, 10_000)


def flip(path: Path, offset: int) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes((byte ^ 0x40,)))


def children_of(pid: int) -> list[int]:
    """Its living or unreaped children."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]
