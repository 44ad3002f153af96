"""Appending to the log, on a real directory."""

import errno
import threading
from pathlib import Path

import pytest

from osupervisor.wal import hint, retention
from osupervisor.wal.errors import AppendFailed, SealFailed, TruncateFailed
from osupervisor.wal.record import Kind, encode
from osupervisor.wal.recover import read_log, reopen
from osupervisor.wal.segment import SEGMENT_HEADER_SIZE, first_lsn_of
from osupervisor.wal.storage import DescriptorFile, DirectoryStorage
from osupervisor.wal.verify import verify
from osupervisor.wal.writer import Writer
from tests.wal.session import BOOT_ID

SEGMENT_BYTES_MAX = 64 * 1024


@pytest.fixture
def storage(tmp_path: Path) -> DirectoryStorage:
    return DirectoryStorage(tmp_path)


def batch(first_lsn: int, count: int, size: int = 50) -> list[bytes]:
    return [
        encode(first_lsn + n, 1, Kind.COMMIT, 5, 0, b"key", b"r" * size, b"c" * size)
        for n in range(count)
    ]


def opened(storage: DirectoryStorage) -> Writer:
    return reopen(storage, BOOT_ID, 0, [], SEGMENT_BYTES_MAX)


def sync(writer: Writer) -> None:
    target = writer.sync_target()
    target.run()
    writer.note_durable(target.lsn)


def test_what_is_appended_is_read_before_any_sync(storage: DirectoryStorage) -> None:
    writer = opened(storage)
    writer.append(batch(1, 3), 1)
    writer.append(batch(4, 1), 4)
    view = read_log(storage)
    assert view.raw(1) == batch(1, 4)
    assert (writer.last_lsn, writer.durable_lsn, view.durable_lsn) == (4, 0, 0)
    writer.close()


def test_a_sync_covers_what_was_appended_before_it(storage: DirectoryStorage) -> None:
    writer = opened(storage)
    writer.append(batch(1, 3), 1)
    target = writer.sync_target()
    writer.append(batch(4, 2), 4)
    thread = threading.Thread(target=target.run)
    thread.start()
    thread.join()
    writer.note_durable(target.lsn)
    assert (target.lsn, writer.durable_lsn, writer.last_lsn) == (3, 3, 5)
    writer.close()
    assert writer.durable_lsn == 5


def test_a_full_segment_is_sealed_and_the_next_one_begins_behind_it(
    storage: DirectoryStorage,
) -> None:
    writer = opened(storage)
    lsn = 1
    before = (0, 0)
    while writer.segment == "00000000000000000001.wal":
        before = (writer.end, lsn)
        writer.append(batch(lsn, 10), lsn)
        lsn += 10
    end, first_lsn = before
    assert first_lsn_of(writer.segment) == first_lsn
    assert writer.durable_lsn == first_lsn - 1, "a sealed segment is durable"
    sizes = [Path(storage.path(name)).stat().st_size for name in sorted(storage.names())]
    assert sizes == [end, SEGMENT_BYTES_MAX], "sealed to its records, the next one preallocated"
    assert read_log(storage).raw(1) == batch(1, lsn - 1)
    writer.close()


def test_no_file_stays_open_behind_a_writer(storage: DirectoryStorage) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    writer = opened(storage)
    for lsn in range(1, 3000, 100):
        writer.append(batch(lsn, 100), lsn)
    assert len(read_log(storage).segments) > 3
    assert open_files() == before + 1
    writer.close()
    reopen(storage, BOOT_ID, writer.last_lsn, [], SEGMENT_BYTES_MAX).abandon()
    list(read_log(storage).records(1))
    assert verify(storage).ok and retention.extents(storage)
    assert open_files() == before


def test_a_batch_larger_than_a_segment_is_one_segment(storage: DirectoryStorage) -> None:
    writer = opened(storage)
    writer.append(batch(1, 1), 1)
    writer.append(batch(2, 3, size=SEGMENT_BYTES_MAX), 2)
    writer.append(batch(5, 1), 5)
    assert [part.first_lsn for part in read_log(storage).segments] == [1, 2, 5]
    writer.close()


def test_a_closed_log_holds_no_preallocated_bytes(storage: DirectoryStorage) -> None:
    writer = opened(storage)
    writer.append(batch(1, 2), 1)
    end = writer.end
    writer.close()
    assert Path(storage.path(writer.segment)).stat().st_size == end
    assert read_log(storage).raw(1) == batch(1, 2)


def test_bytes_are_counted_since_a_control_record(storage: DirectoryStorage) -> None:
    writer = opened(storage)
    writer.append(batch(1, 2), 1)
    control = encode(3, 1, Kind.CONTROL, 5, 2, b"", b"", b"fold")
    writer.append_control(control, 3)
    writer.append(batch(4, 2), 4)
    behind = sum(map(len, batch(4, 2)))
    assert writer.bytes_since(3) == len(control) + behind
    assert writer.bytes_since(4) == len(control) + behind, "never less than asked"
    assert writer.bytes_since(1) == len(control) + behind + sum(map(len, batch(1, 2)))
    sync(writer)
    assert hint.read(storage) == hint.Hint(1, SEGMENT_HEADER_SIZE + sum(map(len, batch(1, 2))), 3)
    writer.close()


def test_bytes_of_records_older_than_the_writer_are_not_counted(
    storage: DirectoryStorage,
) -> None:
    opened(storage).abandon()
    writer = reopen(storage, BOOT_ID, 0, batch(1, 3), SEGMENT_BYTES_MAX)
    assert writer.bytes_since(1) == writer.bytes_since(3) == 0
    writer.append(batch(4, 2), 4)
    assert writer.bytes_since(1) == sum(map(len, batch(4, 2)))
    writer.close()


def test_bytes_are_counted_across_segments(storage: DirectoryStorage) -> None:
    writer = opened(storage)
    control = encode(1, 1, Kind.CONTROL, 5, 0, b"", b"", b"fold")
    writer.append_control(control, 1)
    total, lsn = len(control), 2
    while first_lsn_of(writer.segment) == 1:
        writer.append(batch(lsn, 10), lsn)
        total += sum(map(len, batch(lsn, 10)))
        lsn += 10
    assert writer.bytes_since(1) == total
    assert writer.bytes_since(lsn - 10) == sum(map(len, batch(lsn - 10, 10)))
    writer.close()


def test_an_append_out_of_order_is_our_bug(storage: DirectoryStorage) -> None:
    writer = opened(storage)
    with pytest.raises(AssertionError):
        writer.append(batch(2, 1), 2)
    writer.abandon()


class Limited:
    """A disk with room for so many more bytes: it makes writes short, then refuses them."""

    def __init__(self, patch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self.write = DescriptorFile.write
        limited = self

        def write(file: DescriptorFile, offset: int, data: bytes | memoryview) -> int:
            if limited.room == 0:
                raise OSError(errno.ENOSPC, "no room")
            taken = limited.write(file, offset, memoryview(data)[: limited.room])
            limited.room -= taken
            return taken

        patch.setattr(DescriptorFile, "write", write)


def test_whole_records_of_a_short_write_count_and_the_rest_never_happened(
    storage: DirectoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(batch(1, 1)[0])
    for room in range(5 * size):
        for name in storage.names():
            storage.remove(name)
        writer = opened(storage)
        with monkeypatch.context() as patch:
            Limited(patch, room)
            with pytest.raises(AppendFailed, match="no room") as caught:
                writer.append(batch(1, 5), 1)
        assert caught.value.whole == room // size == writer.last_lsn
        assert writer.failed
        assert Path(storage.path(writer.segment)).stat().st_size == writer.end
        view = read_log(storage)
        assert (view.raw(1), view.torn) == (batch(1, caught.value.whole), None)
        with pytest.raises(AssertionError):
            writer.append(batch(writer.last_lsn + 1, 1), writer.last_lsn + 1)
        writer.abandon()


def test_a_write_that_is_short_and_then_goes_on_is_no_failure(
    storage: DirectoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = DescriptorFile.write

    def slowly(file: DescriptorFile, offset: int, data: bytes | memoryview) -> int:
        return write(file, offset, memoryview(data)[:7])

    monkeypatch.setattr(DescriptorFile, "write", slowly)
    writer = opened(storage)
    writer.append(batch(1, 5), 1)
    assert read_log(storage).raw(1) == batch(1, 5)
    writer.close()


def test_half_a_record_that_can_not_be_cut_off_ends_the_process(
    storage: DirectoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_file: DescriptorFile, _size: int) -> None:
        raise OSError(errno.EIO, "no cut")

    writer = opened(storage)
    with monkeypatch.context() as patch:
        Limited(patch, 10)
        patch.setattr(DescriptorFile, "truncate", refuse)
        with pytest.raises(TruncateFailed, match="can't be cut at 64"):
            writer.append(batch(1, 5), 1)
    writer.abandon()


def test_a_full_segment_that_can_not_be_synced_takes_no_part_of_the_batch(
    storage: DirectoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_file: DescriptorFile) -> None:
        raise OSError(errno.EIO, "no sync")

    writer = opened(storage)
    writer.append(batch(1, 1, size=SEGMENT_BYTES_MAX // 2 - 100), 1)
    with monkeypatch.context() as patch:
        patch.setattr(DescriptorFile, "sync", refuse)
        with pytest.raises(SealFailed) as caught:
            writer.append(batch(2, 2, size=200), 2)
    assert caught.value.whole == 0
    assert (writer.last_lsn, writer.durable_lsn, writer.failed) == (1, 0, True)
    writer.abandon()
    again = reopen(storage, BOOT_ID, 0, read_log(storage).raw(1), SEGMENT_BYTES_MAX)
    assert again.durable_lsn == 1
    again.append(batch(2, 1), 2)
    assert read_log(storage).last_lsn == 2
    again.close()
