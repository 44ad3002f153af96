"""A successor made ready beside the appends, on a real directory."""

import errno
import threading
from pathlib import Path

import pytest

from osupervisor.wal import hint, succession
from osupervisor.wal.errors import AppendFailed
from osupervisor.wal.record import Kind, encode
from osupervisor.wal.recover import read_log, reopen
from osupervisor.wal.segment import first_lsn_of
from osupervisor.wal.storage import DescriptorFile, DirectoryStorage
from osupervisor.wal.verify import verify
from osupervisor.wal.writer import SUCCESSION_PATIENCE, Writer
from tests.wal.session import BOOT_ID

SEGMENT_BYTES_MAX = 64 * 1024


@pytest.fixture
def storage(tmp_path: Path) -> DirectoryStorage:
    return DirectoryStorage(tmp_path)


@pytest.fixture
def writer(storage: DirectoryStorage) -> Writer:
    return reopen(storage, BOOT_ID, 0, [], SEGMENT_BYTES_MAX)


def records(first_lsn: int, count: int, size: int = 1000) -> list[bytes]:
    return [
        encode(first_lsn + n, 1, Kind.COMMIT, 5, 0, b"key", b"r" * size, b"") for n in range(count)
    ]


def append(writer: Writer, count: int) -> None:
    first_lsn = writer.last_lsn + 1
    writer.append(records(first_lsn, count), first_lsn)


def fill(writer: Writer) -> None:
    """Until it is time for a succession."""
    while not writer.is_nearly_full:
        append(writer, 1)


def sync(writer: Writer) -> None:
    target = writer.sync_target()
    target.run()
    writer.note_durable(target.lsn)


def finish(writer: Writer, begun: succession.Succession) -> None:
    writer.note_durable(begun.lsn)
    writer.succeed(begun)


def test_appends_go_on_while_it_is_made_and_then_in_it(
    storage: DirectoryStorage, writer: Writer
) -> None:
    fill(writer)
    before, last = writer.segment, writer.last_lsn
    begun = writer.succession()
    append(writer, 3)
    begun.run()
    append(writer, 2)
    assert writer.segment == before
    finish(writer, begun)
    assert first_lsn_of(writer.segment) == last + 1
    append(writer, 4)
    assert (writer.durable_lsn, writer.last_lsn) == (last, last + 9)
    assert read_log(storage).raw(1) == records(1, last + 9)
    sync(writer)
    assert writer.durable_lsn == last + 9
    writer.close()
    assert verify(storage).ok
    assert not [name for name in storage.names() if name.endswith(".tmp")]


def test_the_old_segment_gives_back_its_room_when_the_name_is_durable(
    storage: DirectoryStorage, writer: Writer, tmp_path: Path
) -> None:
    fill(writer)
    old = tmp_path / writer.segment
    begun = writer.succession()
    begun.run()
    finish(writer, begun)
    assert old.stat().st_size == SEGMENT_BYTES_MAX
    sync(writer)
    assert old.stat().st_size < SEGMENT_BYTES_MAX
    writer.close()


def test_a_control_record_appended_meanwhile_is_found_in_the_successor(
    storage: DirectoryStorage, writer: Writer
) -> None:
    fill(writer)
    begun = writer.succession()
    append(writer, 1)
    lsn = writer.last_lsn + 1
    writer.append_control(encode(lsn, 1, Kind.CONTROL, 5, 0, b"", b"fold", b""), lsn)
    begun.run()
    finish(writer, begun)
    append(writer, 1)
    sync(writer)
    found = hint.read(storage)
    assert found is not None and (found.segment_lsn, found.lsn) == (begun.lsn + 1, lsn)
    control = read_log(storage).control
    assert control is not None and (control.lsn, control.offset) == (lsn, found.offset)
    writer.close()


def test_bytes_are_counted_on_across_it(writer: Writer) -> None:
    fill(writer)
    begun = writer.succession()
    mark = writer.last_lsn + 1
    append(writer, 3)
    size = writer.bytes_since(mark)
    begun.run()
    finish(writer, begun)
    assert writer.bytes_since(mark) == size == 3 * len(records(1, 1)[0])
    writer.close()


def test_one_that_cant_be_made_changes_nothing(
    storage: DirectoryStorage, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(succession, "prepare", full)
    before, tries = writer.segment, 0
    while writer.end < SEGMENT_BYTES_MAX - 2000:
        append(writer, 1)
        if writer.is_nearly_full:
            tries += 1
            begun = writer.succession()
            begun.run()
            finish(writer, begun)
            assert not writer.is_nearly_full, "not with the next sync: it would cost another try"
    assert writer.segment == before and not writer.failed
    assert 2 <= tries <= 5, "it is tried again, and not at each sync"
    monkeypatch.undo()
    while writer.segment == before:
        append(writer, 1)
    fill(writer)
    assert writer.end < SEGMENT_BYTES_MAX, "the next segment's successor is made in time"
    writer.close()


def test_a_late_one_is_let_go_of(storage: DirectoryStorage, writer: Writer) -> None:
    """The disk took too long: the segment has grown to its bound, and was rotated at once."""
    fill(writer)
    before = writer.segment
    begun = writer.succession()
    begun.run()
    while writer.segment == before:
        append(writer, 5)
        assert writer.end <= SUCCESSION_PATIENCE * SEGMENT_BYTES_MAX
    after = writer.segment
    finish(writer, begun)
    append(writer, 1)
    assert writer.segment == after
    assert read_log(storage).raw(1) == records(1, writer.last_lsn)
    writer.close()
    assert not [name for name in storage.names() if name.endswith(".tmp")]


def test_a_batch_of_any_size_and_a_successor_never_make_the_same_segment(
    storage: DirectoryStorage, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was appended since it began, and what comes is more than the segment may take. In its
    place another of the same name would be made: whichever thread is the later takes the file away
    that the other one writes to."""
    beside: list[threading.Thread] = []
    allocate = DescriptorFile.allocate

    def meanwhile(self: DescriptorFile, size: int) -> None:
        allocate(self, size)
        if threading.current_thread() is threading.main_thread():
            beside[0].start()
            beside[0].join()

    fill(writer)
    begun = writer.succession()
    beside.append(threading.Thread(target=begun.run))
    monkeypatch.setattr(DescriptorFile, "allocate", meanwhile)
    huge = records(writer.last_lsn + 1, 1, SUCCESSION_PATIENCE * SEGMENT_BYTES_MAX)
    writer.append(huge, writer.last_lsn + 1)
    monkeypatch.undo()
    if beside[0].ident is None:
        begun.run()
    finish(writer, begun)
    append(writer, 1)
    sync(writer)
    last = writer.last_lsn
    assert read_log(storage).raw(begun.lsn + 1) == [*huge, *records(last, 1)]
    writer.close()
    assert verify(storage).ok


def test_a_successor_whose_name_is_uncertain_ends_the_writer(
    storage: DirectoryStorage, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records may or may not be replaced by now: only a reopened segment is certain."""

    def broken(_old: str, _new: str) -> None:
        raise OSError(errno.EIO, "input/output error")

    fill(writer)
    begun = writer.succession()
    append(writer, 2)
    begun.run()
    with monkeypatch.context() as patched:
        patched.setattr(storage, "rename", broken)
        with pytest.raises(AppendFailed):
            finish(writer, begun)
    assert writer.failed
    writer.abandon()
    last = writer.last_lsn
    again = reopen(storage, BOOT_ID, begun.lsn, records(begun.lsn + 1, 2), SEGMENT_BYTES_MAX)
    assert read_log(storage).raw(1) == records(1, last)
    again.close()


def test_a_writer_that_ends_meanwhile_leaves_no_trace_of_it(
    storage: DirectoryStorage, writer: Writer
) -> None:
    fill(writer)
    begun = writer.succession()
    append(writer, 2)
    begun.run()
    last = writer.last_lsn
    writer.close()
    assert writer.durable_lsn == last
    assert read_log(storage).raw(1) == records(1, last)
    assert not [name for name in storage.names() if name.endswith(".tmp")]


def test_after_an_append_that_failed_there_is_no_successor(
    storage: DirectoryStorage, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What that append wrote whole counts, and would be missing in it."""
    whole = len(records(1, 1)[0])
    write = DescriptorFile.write

    def short(self: DescriptorFile, offset: int, data: bytes | memoryview) -> int:
        if len(data) < 3 * whole:
            raise OSError(errno.ENOSPC, "no space")
        return write(self, offset, data[: whole + 10])

    fill(writer)
    before, last = writer.segment, writer.last_lsn
    begun = writer.succession()
    begun.run()
    with monkeypatch.context() as patched:
        patched.setattr(DescriptorFile, "write", short)
        with pytest.raises(AppendFailed) as caught:
            append(writer, 3)
    assert caught.value.whole == 1
    writer.succeed(begun)
    assert writer.segment == before and writer.failed
    assert read_log(storage).raw(1) == records(1, last + 1)
    assert not [name for name in storage.names() if name.endswith(".tmp")]
    writer.abandon()
