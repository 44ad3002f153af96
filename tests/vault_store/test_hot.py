"""HotWriter and HotReader over real sealed memory."""

import fcntl
import math
import mmap
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osupervisor.vault_store import hot
from osupervisor.vault_store import hot_layout as layout
from osupervisor.vault_store.errors import CounterTableError, HotSegmentError
from osupervisor.vault_store.hot_layout import Activity
from tests.vault_store.process import BrainProcess

Pair = tuple[hot.HotWriter, hot.HotReader]


@pytest.fixture
def pair() -> Iterator[Pair]:
    fd = hot.create()
    writer, reader = hot.HotWriter(fd), hot.HotReader(fd)
    os.close(fd)
    yield writer, reader
    reader.close()


def test_what_is_written_is_read(pair: Pair) -> None:
    writer, reader = pair
    writer.beat()
    writer.beat()
    writer.set_lsn(2**63)
    writer.enter(17)
    writer.describe("place", b"key", 123)
    writer.set("placed", -5)
    writer.set("load", 0.25)
    found = reader.snapshot()
    assert found.valid and found.pid == os.getpid()
    assert found.beats == 2 and found.heartbeat_ns == reader.heartbeat_ns() > 0
    assert found.lsn == reader.lsn() == 2**63
    assert (found.cell, found.cell_since_ns) == reader.cell()
    assert found.cell == 17 and found.cell_since_ns >= found.heartbeat_ns
    assert found.activity == Activity("place", b"key", 123)
    assert found.counters == {"placed": -5, "load": 0.25}
    writer.leave()
    assert reader.cell()[0] == 0


def test_latest_activity_is_read_however_many_there_were(pair: Pair) -> None:
    writer, reader = pair
    for number in range(1, 6):
        writer.describe(f"op{number}", b"", number)
        assert reader.snapshot().activity == Activity(f"op{number}", b"", number)


def test_counter_may_change_its_kind(pair: Pair) -> None:
    writer, reader = pair
    for value in (1, 1.5, -1, math.inf, 2**63 - 1, -(2**63), 0.0, True):
        writer.set("x", value)
        assert reader.snapshot().counters == {"x": value}


def test_value_that_does_not_fit_leaves_the_table_as_it_was(pair: Pair) -> None:
    writer, reader = pair
    writer.set("x", 1)
    for value in (2**63, -(2**63) - 1):
        with pytest.raises(CounterTableError, match="64-bit"):
            writer.set("x", value)
        with pytest.raises(CounterTableError, match="64-bit"):
            writer.set("new", value)
    assert reader.snapshot().counters == {"x": 1}
    for number in range(layout.COUNTERS_MAX - 1):
        writer.set(f"c{number}", 0)


def test_name_that_does_not_fit_is_refused(pair: Pair) -> None:
    writer, reader = pair
    writer.set("n" * layout.NAME_BYTES_MAX, 1)
    writer.set("é" * (layout.NAME_BYTES_MAX // 2), 2)
    with pytest.raises(CounterTableError, match="48 at most"):
        writer.set("n" * (layout.NAME_BYTES_MAX + 1), 1)
    assert list(reader.snapshot().counters.values()) == [1, 2]


def test_table_takes_all_its_entries_and_no_more(pair: Pair) -> None:
    writer, reader = pair
    for number in range(layout.COUNTERS_MAX):
        writer.set(f"c{number}", number)
    with pytest.raises(CounterTableError, match="512"):
        writer.set("one more", 1)
    writer.delete("c100")
    writer.set("one more", 1)
    assert len(reader.snapshot().counters) == layout.COUNTERS_MAX
    assert "c100" not in reader.snapshot().counters


COUNTERS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=st.lists(COUNTERS, max_size=5), drops=st.lists(st.integers(0, 7), max_size=5))
def test_table_mirrors_what_it_is_given(
    pair: Pair, steps: list[dict[str, int | float]], drops: list[int]
) -> None:
    writer, reader = pair
    for step in steps:
        writer.replace(step)
        wanted = dict(step)
        for drop in drops:
            name = sorted(wanted)[drop % len(wanted)] if wanted else "none"
            writer.delete(name)
            wanted.pop(name, None)
        assert reader.snapshot().counters == wanted


def test_segment_can_not_be_cut_or_grown_or_unsealed() -> None:
    fd = hot.create()
    for size in (0, 4096, layout.SEGMENT_BYTES * 2):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    os.close(fd)


def test_memory_that_could_be_cut_is_refused(tmp_path: Path) -> None:
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(file, layout.SEGMENT_BYTES)
    unsealed = os.memfd_create("unsealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(unsealed, layout.SEGMENT_BYTES)
    short = os.memfd_create("short")
    pipe, other = os.pipe()
    for fd in (file, unsealed, short, pipe):
        for attach in (hot.HotReader, hot.HotWriter):
            with pytest.raises(HotSegmentError):
                attach(fd)
    for fd in (file, unsealed, short, pipe, other):
        os.close(fd)


def test_reader_can_not_write(pair: Pair) -> None:
    with pytest.raises(TypeError):
        pair[1].map[0:1] = b"x"


def test_reader_survives_any_content() -> None:
    fd = hot.create()
    reader = hot.HotReader(fd)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    with mmap.mmap(fd, layout.SEGMENT_BYTES, mmap.MAP_SHARED) as mapping:
        for _ in range(300):
            mapping[:] = source.randbytes(layout.SEGMENT_BYTES)
            reader.snapshot()
            assert len({*reader.cell(), reader.heartbeat_ns(), reader.lsn()}) > 0
    reader.close()
    os.close(fd)


def test_brain_that_tries_to_shrink_its_segment_is_refused(
    spawn: Callable[..., BrainProcess],
) -> None:
    process = spawn()
    assert process.ask("shrink") == ["refused", "refused", "refused"]
    assert process.reader.snapshot().pid == process.pid


def test_live_segment_is_read_whole_and_never_goes_back(spawn: Callable[..., BrainProcess]) -> None:
    """Every number grows in the writer, so that a torn or mixed read would show."""
    process = spawn()
    process.tell("count", 20_000)
    assert process.answer() == ["counting"]
    last = (0, 0, 0.0)
    while not process.answered():
        found = process.reader.snapshot()
        if found.activity is not None:
            number = found.activity.since_ns
            assert found.activity == Activity(f"op-{number}", b"key-%d" % number, number)
            now = (found.lsn, int(found.counters["counter"]), found.counters["tenth"])
            # The copy goes upwards through the segment, so what lies higher may be newer.
            assert now >= last and now[1] >= now[0]
            last = now
    assert process.reader.snapshot().counters == {"counter": 20_000, "tenth": 2_000.0}


def test_segment_of_a_brain_killed_at_any_instant_is_whole(
    spawn: Callable[..., BrainProcess],
) -> None:
    for _ in range(8):
        process = spawn()
        process.tell("count", 10**9)
        assert process.answer() == ["counting"]
        while process.reader.lsn() < 500:
            pass
        process.kill()
        assert process.ended(30)
        found = process.reader.snapshot()
        lsn = found.lsn
        assert found.counters["counter"] in (lsn, lsn + 1)
        assert found.counters["tenth"] in (lsn / 10, (lsn + 1) / 10)
        assert found.activity is not None and found.activity.since_ns in (lsn, lsn + 1)
        assert found.cell in (0, lsn, lsn + 1)


def test_writer_belongs_to_the_main_thread() -> None:
    """The robust list is the thread's: with another thread's end the brain would seem to die."""
    fd = hot.create()
    errors: list[BaseException] = []

    def attach() -> None:
        try:
            hot.HotWriter(fd)
        except AssertionError as error:
            errors.append(error)

    thread = threading.Thread(target=attach)
    thread.start()
    thread.join()
    assert len(errors) == 1
    os.close(fd)
