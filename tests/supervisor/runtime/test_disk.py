"""The log's disk: what may wait for it, and what may not."""

import asyncio
import threading
from pathlib import Path

import pytest

from osupervisor.supervisor.runtime.disk import Disk
from osupervisor.wal import storage as storage_module
from osupervisor.wal.record import Kind, encode
from osupervisor.wal.recover import read_log, reopen
from osupervisor.wal.storage import DescriptorFile, DirectoryStorage

BOOT_ID = b"0123456789abcdef"
SEGMENT_BYTES_MAX = 64 * 1024


def record(lsn: int) -> bytes:
    return encode(lsn, 1, Kind.COMMIT, 5, 0, b"key", b"r" * 1000, b"")


def test_segments_follow_each_other_and_the_loop_waits_for_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = DirectoryStorage(tmp_path)
    writer = reopen(storage, BOOT_ID, 0, [], SEGMENT_BYTES_MAX)
    waited: list[str] = []
    sync, sync_directory = DescriptorFile.sync, storage_module._sync_directory  # pyright: ignore[reportPrivateUsage]

    def seen(what: str) -> None:
        waited.append(f"{what} on {threading.current_thread().name}")

    def sync_seen(self: DescriptorFile) -> None:
        seen("fdatasync")
        sync(self)

    def sync_directory_seen(path: Path) -> None:
        seen("fsync")
        sync_directory(path)

    allocate = DescriptorFile.allocate

    def allocate_seen(self: DescriptorFile, size: int) -> None:
        seen("fallocate")
        allocate(self, size)

    async def serve(loop: asyncio.AbstractEventLoop) -> int:
        disk = Disk(storage, writer, BOOT_ID, SEGMENT_BYTES_MAX, loop)
        lsn, durable = 0, [0]
        while lsn < 400:
            lsn += 1
            disk.append([record(lsn)], lsn, control=False)
            if disk.writer.is_nearly_full and not disk.busy:
                disk.sync(durable.append, pytest.fail)
            if disk.busy:
                await asyncio.sleep(0.001)
        while disk.busy:
            await asyncio.sleep(0.001)
        assert durable == sorted(durable) and durable[-1] <= lsn
        monkeypatch.undo()
        disk.close()
        return lsn

    monkeypatch.setattr(DescriptorFile, "sync", sync_seen)
    monkeypatch.setattr(DescriptorFile, "allocate", allocate_seen)
    monkeypatch.setattr(storage_module, "_sync_directory", sync_directory_seen)
    with asyncio.Runner() as runner:
        last = runner.run(serve(runner.get_loop()))
    assert len([name for name in storage.names() if name.endswith(".wal")]) >= 5
    assert read_log(storage).raw(1) == [record(lsn) for lsn in range(1, last + 1)]
    assert {"fdatasync", "fsync", "fallocate"} <= {each.split()[0] for each in waited}
    assert [each for each in waited if "MainThread" in each] == []
