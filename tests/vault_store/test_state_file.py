"""Writing and reading whole states: equal in value, type and order, however large or deep."""

import os
import tracemalloc
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osupervisor.vault_store import state_writer
from osupervisor.vault_store.errors import UnstorableStateError
from osupervisor.vault_store.state_format import StateSummary
from osupervisor.vault_store.state_reader import check_state, read_state
from osupervisor.vault_store.state_writer import write_state
from tests.vault_store.state_files import instructions, pack, read, stored, write

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
KEYS = TEXTS | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40)
SCALARS = st.none() | st.booleans() | st.floats() | KEYS
TREES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=6) | st.dictionaries(KEYS, below, max_size=6),
    max_leaves=40,
)
STATES = st.dictionaries(KEYS, TREES, max_size=8)


@given(state=STATES, hot=st.dictionaries(TEXTS, st.integers(-9, 9) | st.floats(), max_size=4))
def test_state_comes_back_equal_in_value_type_and_order(
    state: dict[Any, Any], hot: dict[str, Any]
) -> None:
    content, summary = write(state, hot)
    assert pack(list(read(content, summary))) == pack([state, hot])


class Guarded(dict[Any, Any]):
    """A dict whose own writes fail: it stands for one that keeps a journal of them."""

    def __setitem__(self, key: Any, value: Any) -> None:
        raise AssertionError(key)

    def update(self, *args: Any, **kwargs: Any) -> None:
        raise AssertionError(args)


@given(state=STATES, hot=st.dictionaries(TEXTS, st.integers(-9, 9), max_size=4))
def test_state_is_read_into_a_dict_of_the_readers(state: Any, hot: dict[str, Any]) -> None:
    content, summary = write(state, hot)
    root = Guarded()
    with stored(content) as fd:
        found, table = read_state(fd, summary, root=root)
    assert found is root and type(table) is dict
    assert all(type(value) is not Guarded for value in root.values())
    assert pack([dict(root), table]) == pack([state, hot])


@pytest.mark.usefixtures("tiny")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(state=STATES)
def test_large_state_is_read_into_a_dict_of_the_readers(state: Any) -> None:
    content, summary = write(state)
    with stored(content) as fd:
        assert pack(dict(read_state(fd, summary, root=Guarded())[0])) == pack(state)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that finds almost everything too large for one instruction."""
    monkeypatch.setattr(state_writer, "NODES_MAX", 6)
    monkeypatch.setattr(state_writer, "CHARS_MAX", 8)
    monkeypatch.setattr(state_writer, "DEPTH_MAX", 2)
    monkeypatch.setattr(state_writer, "_PIECE_CHARS", 4)
    monkeypatch.setattr(state_writer, "_TAKEN", 3)
    monkeypatch.setattr(state_writer, "_ATTEMPT_FIRST", 2)
    monkeypatch.setattr(state_writer, "BLOCK_RAW_MAX", 64)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(state=STATES)
def test_state_written_in_the_smallest_pieces_comes_back_equal(
    tiny: None, state: dict[Any, Any]
) -> None:
    content, summary = write(state)
    assert pack(read(content, summary)[0]) == pack(state)


def test_smallest_pieces_use_every_instruction(tiny: None) -> None:
    state: dict[Any, Any] = {
        "d": {str(i): {"a": i} for i in range(9)},
        "l": [[i] * 7 for i in range(9)],
        "t": "long text" * 3,
        "b": b"long bytes" * 3,
        "a long key": 1,
        b"another long key": {"x": list(range(20))},
    }
    content, _ = write(state)
    assert {instruction[0] for instruction in instructions(content)} == set(range(10))
    assert pack(read(content)[0]) == pack(state)


LARGE: dict[str, dict[Any, Any]] = {
    "flat": {f"key:{i}": "v" * 100 for i in range(50_000)},
    "integer keys": {i: i for i in range(100_000)},
    "one huge nested dict": {"d": {i: {"n": i, "l": [i, str(i)]} for i in range(50_000)}},
    "one huge list": {"l": list(range(200_000))},
    "list of lists": {"l": [[i, [i]] for i in range(50_000)]},
    "huge among small": {"l": [1, [2] * 50_000, 3, {"x": ["y"] * 50_000}, 4] * 3},
    "huge text": {"t": "abcdefgh" * 500_000, "u": "é漢🙂" * 300_000},
    "huge bytes": {"b": bytes(range(256)) * 20_000},
    "huge keys": {"k" * 300_000: 1, b"k" * 200_000: {"a": "v" * 300_000}, "é" * 70_000: [None]},
    "many texts of a hundred thousand": {"l": ["x" * 100_000] * 30},
    "empty": {},
    "empties": {"a": {}, "b": [], "c": "", "d": b"", "": [[], {}] * 20_000},
}


@pytest.mark.parametrize("name", LARGE)
def test_large_state_comes_back_equal(name: str) -> None:
    state = LARGE[name]
    content, summary = write(state, {"c": 1})
    assert summary.bytes == len(content) and summary.keys == len(state)
    found, hot = read(content, summary)
    assert pack(found) == pack(state) and hot == {"c": 1}


def test_depth_is_no_limit() -> None:
    state: dict[str, Any] = {}
    below: Any = state
    for level in range(20_000):
        below["d"] = {} if level % 2 else [0, {}]
        below = below["d"] if level % 2 else below["d"][1]
    content, _ = write(state)
    found: Any = read(content)[0]
    for level in range(20_000):
        found = found["d"] if level % 2 else found["d"][1]
    assert found == {}


def test_subclasses_are_written_as_what_they_are() -> None:
    class Tracked(dict[Any, Any]):
        __slots__ = ("parent",)

    class TrackedList(list[Any]):
        __slots__ = ("parent",)

    large = Tracked((i, TrackedList([Tracked(a=i)])) for i in range(20_000))
    state = Tracked(large=large, order=OrderedDict(b=1, a=2), pair=(1, 2))
    found = read(write(state)[0])[0]
    assert pack(found) == pack(state)
    assert type(found["large"]) is dict and type(found["large"][0]) is list


@pytest.mark.parametrize("bad", [object(), 2**64, -(2**63) - 1, "\ud800", {1, 2}, 1j])
@pytest.mark.parametrize("beside", [0, 20_000])
def test_what_can_not_be_stored_is_refused(bad: Any, beside: int) -> None:
    with pytest.raises(UnstorableStateError):
        write({"l": [{"x": bad}, *range(beside)]})


class Calls:
    """Stands before the calls on a file, notes them, hands on at most `bytes_max` of each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bytes_max: int = 2**30) -> None:
        self.names: list[str] = []
        self._bytes_max = bytes_max
        self._write, self._fsync, self._pread = os.write, os.fsync, os.pread
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "fdatasync", self.fdatasync)
        monkeypatch.setattr(os, "pread", self.pread)

    def write(self, fd: int, content: bytes) -> int:
        self.names.append("write")
        return self._write(fd, content[: self._bytes_max])

    def fsync(self, fd: int) -> None:
        self.names.append("fsync")
        self._fsync(fd)

    def fdatasync(self, fd: int) -> None:
        self.names.append("fdatasync")
        self._fsync(fd)

    def pread(self, fd: int, count: int, offset: int) -> bytes:
        return self._pread(fd, min(count, self._bytes_max), offset)


def test_file_is_durable_on_return(monkeypatch: pytest.MonkeyPatch) -> None:
    with stored(b"") as fd:
        calls = Calls(monkeypatch)
        write_state(fd, {"a": 1}, {})
    assert calls.names == ["write"] * (len(calls.names) - 1) + ["fsync"]


def test_large_file_is_pushed_out_as_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    with stored(b"") as fd:
        calls = Calls(monkeypatch)
        write_state(fd, {"b": os.urandom(20 << 20)}, {})
    assert calls.names.count("fdatasync") == 2 and calls.names[-1] == "fsync"


def test_short_writes_and_reads_are_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"b": os.urandom(300_000)}
    Calls(monkeypatch, bytes_max=1000)
    with stored(b"") as fd:
        summary = write_state(fd, state, {})
        assert read_state(fd, summary) == (state, {})


def test_failed_write_is_raised() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space"):
        write_state(fd, {"b": os.urandom(100)}, {})
    os.close(fd)


@pytest.mark.parametrize("name", [name for name in LARGE if name != "huge keys"])
def test_writing_takes_little_memory_whatever_is_large(name: str) -> None:
    """Buffers of at most 1 MiB: the block's parts, their join, what is compressed, one piece."""
    state = LARGE[name]
    with stored(b"") as fd:
        tracemalloc.start()
        try:
            write_state(fd, state, {})
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 6 << 20


def test_reading_leaves_the_descriptor_where_it_stood() -> None:
    content, summary = write({"a": 1})
    with stored(content) as fd:
        os.lseek(fd, 7, os.SEEK_SET)
        assert read_state(fd, summary) == read_state(fd)
        assert check_state(fd, summary) == 1
        assert os.lseek(fd, 0, os.SEEK_CUR) == 7


def test_summary_comes_back_from_a_message_and_nothing_else_does() -> None:
    summary = write({"a": 1})[1]
    assert StateSummary.from_map({**summary.as_map(), "lsn": 5}) == summary
    for name, bad in [("bytes", -1), ("keys", 1.0), ("raw_bytes", True), ("sha256", "x" * 64)]:
        with pytest.raises(ValueError, match="is"):
            StateSummary.from_map({**summary.as_map(), name: bad})
        with pytest.raises(ValueError, match="None"):
            StateSummary.from_map({k: v for k, v in summary.as_map().items() if k != name})


def test_zstd_and_msgpack_alone_can_read_a_file() -> None:
    content, _ = write({"a": [1, {"b": 2.5}]}, {"hits": 3})
    assert instructions(content) == [[1, [{"a": [1, {"b": 2.5}]}, {"hits": 3}]]]
