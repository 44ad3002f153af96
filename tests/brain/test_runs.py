"""What a follower makes of records in a row: the walk over them, and applying many at once."""

import struct
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.brain.errors import FollowerError
from osupervisor.brain.follower import MALFORMED, NO_OPS, Follower, parts_of, walk_operations
from osupervisor.brain.state import StateTree
from osupervisor.bridge.operations import Opcode
from osupervisor.wal.record import Kind, encode
from osupervisor.wal.scan import LSN_MAX

FIRST = 7
EPOCH = 3
_msgpack: Any = msgpack


def commit_of(outcome: bytes, ops: bytes) -> bytes:
    packed: bytes = b"".join(_msgpack.packb(part) for part in (outcome, ops, b"\x90"))
    return packed


def records_of(commits: list[bytes], kind: Kind = Kind.COMMIT) -> bytes:
    return b"".join(
        encode(lsn, EPOCH, kind, 1, 0, b"key", b"request", commit)
        for lsn, commit in enumerate(commits, FIRST)
    )


def set_ops(*path: Any, value: Any) -> bytes:
    packed: bytes = _msgpack.packb([[int(Opcode.SET), ["state", *path], value]])
    return packed


sizes = st.sampled_from([0, 1, 30, 254, 255, 256, 300, 66_000])


@given(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=6))
def test_walk_finds_the_operations_of_commits_of_any_size(made: list[tuple[int, int]]) -> None:
    commits = [commit_of(b"o" * outcome, b"p" * ops) for outcome, ops in made]
    data = records_of(commits)
    (run,), used, after = walk_operations(data, FIRST, LSN_MAX)
    assert (used, after, run.epoch) == (len(data), FIRST + len(commits), EPOCH)
    assert run.operations == [parts_of(commit)[1] for commit in commits]


def test_walk_passes_over_records_of_other_kinds() -> None:
    data = records_of([b"", b""], Kind.LEASE)
    (run,), used, _ = walk_operations(data, FIRST, LSN_MAX)
    assert (run.operations, used) == ([NO_OPS, NO_OPS], len(data))


def test_walk_of_bytes_whose_checksums_nobody_has_looked_at_never_fails() -> None:
    """A scan walks over a block before it checks it."""
    data = records_of([commit_of(b"\xc0", set_ops("a", value=1))] * 3)
    for at in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            _, used, _ = walk_operations(bytes(flipped), FIRST, LSN_MAX)
            assert 0 <= used <= len(data)
        runs, used, _ = walk_operations(data[:at], FIRST, LSN_MAX)
        assert used == at - at % (len(data) // 3), "the whole records of a cut block"
        walked = [ops for run in runs for ops in run.operations]
        assert walked == [set_ops("a", value=1)] * (used // (len(data) // 3))


@pytest.mark.parametrize(
    "commit",
    [
        b"",
        b"\xc4",
        b"\xc4\x01\xc0\xc4",
        b"\xc4\x01\xc0\xc4\xff\x90",
        b"\xc4\xff\xc0\xc4\x01\x90",
        b"\xc0\xc4\x01\x90",
        b"\xc5\x00",
    ],
)
def test_commit_that_is_none_is_refused_and_named(commit: bytes) -> None:
    whole = commit_of(b"\xc0", set_ops("a", value=1))
    data = records_of([whole, commit, whole])
    (run,), used, _ = walk_operations(data, FIRST, LSN_MAX)
    assert (used, run.operations[1]) == (len(data), MALFORMED)
    follower = Follower(StateTree(), FIRST - 1)
    with pytest.raises(FollowerError, match=f"LSN {FIRST + 1}: ") as caught:
        follower.apply(data)
    assert caught.value.lsn == FIRST + 1


@pytest.mark.parametrize("bad", [set_ops("none", "b", value=1), b"\x91\x05", b"\x05", b"\x91"])
@pytest.mark.parametrize("at", [0, 3, 19])
def test_operations_that_do_not_fit_are_named_and_those_before_them_stay(
    at: int, bad: bytes
) -> None:
    tree = StateTree()
    ops = [set_ops("a", value=number) for number in range(20)]
    ops[at] = bad
    with pytest.raises(FollowerError) as caught:
        tree.apply_all(ops, FIRST)
    assert caught.value.lsn == FIRST + at
    assert tree.plain()[0] == ({"a": at - 1} if at else {})


def test_many_commits_make_what_they_make_one_by_one() -> None:
    ops = [
        *(set_ops(f"k{number % 5}", value=number) for number in range(70)),
        set_ops("tree", value={"a": [1, 2], "b": {}}),
        set_ops("tree", "a", 0, value="x"),
        set_ops("tree", "b", "c", value=None),
        set_ops("tree", "a", value=1),
        NO_OPS,
        set_ops("k1", value=True),
        set_ops("k2", value=2.0),
    ]
    at_once, singly = StateTree(), StateTree()
    at_once.apply_all(ops, FIRST)
    for each in ops:
        singly.apply(each)
    assert repr(at_once.plain()) == repr(singly.plain())


def test_value_equal_to_the_old_one_and_of_another_type_takes_its_place() -> None:
    tree = StateTree({"a": 1})
    tree.apply(set_ops("a", value=True))
    assert tree.root["a"] is True
    tree.apply(set_ops("a", value=1.0))
    assert type(tree.root["a"]) is float


def test_header_that_tells_of_a_commit_longer_than_the_file_is_walked_without_a_fault() -> None:
    data = bytearray(records_of([commit_of(b"\xc0", NO_OPS)]))
    struct.pack_into(">I", data, 36, 2**32 - 1)
    (run,), used, _ = walk_operations(bytes(data), FIRST, LSN_MAX)
    assert (run.operations, used) == ([MALFORMED], len(data))
