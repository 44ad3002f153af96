"""The log on the disk: appends by the turn, fdatasync in a thread, and reopening after trouble.

    writing --(append or sync fails)--> broken --(reopen succeeds)--> writing

One thread runs fdatasync and reopen, one at a time; appends happen on the loop, never while the
log is broken.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence

from osupervisor.supervisor.runtime.disk_thread import DiskThread
from osupervisor.supervisor.telemetry.events import execute
from osupervisor.wal.errors import AppendFailed, TruncateFailed
from osupervisor.wal.recover import reopen
from osupervisor.wal.storage import Storage
from osupervisor.wal.writer import Writer

EXIT_UNCUT = 74
"""EX_IOERR: half a record could not be cut off. Its bytes may come back, so nothing is answered."""


SYNCED = "wal.sync"
"""Told behind each try to make the log durable: `duration_s`, with the wait for the thread."""


class Disk:
    """Appends batches and makes them durable."""

    def __init__(
        self,
        storage: Storage,
        writer: Writer,
        boot_id: bytes,
        segment_bytes_max: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._storage = storage
        self._boot_id = boot_id
        self._segment_bytes_max = segment_bytes_max
        self._thread = DiskThread(loop, "disk")
        self.writer = writer
        self.busy = False
        """A sync or a reopen is running."""
        self.syncs = 0
        self.bytes_appended = 0

    def append(self, records: Sequence[bytes], first_lsn: int, *, control: bool) -> None:
        """Into the kernel, with one write. Raises AppendFailed with the records that are whole."""
        try:
            if control:
                self.writer.append_control(records[0], first_lsn)
            else:
                self.writer.append(records, first_lsn)
        except TruncateFailed as error:
            sys.stderr.write(f"{error}\n")
            os._exit(EXIT_UNCUT)
        for record in records:
            self.bytes_appended += len(record)

    def sync(self, done: Callable[[int], None], failed: Callable[[str], None]) -> None:
        """Make all that is appended durable; then `done(lsn)` or `failed(why)` on the loop.

        Where the segment is nearly full the thread also makes the next one ready.
        """
        writer = self.writer
        succession = writer.succession() if writer.is_nearly_full else None
        target = succession or writer.sync_target()
        self.busy = True
        self.syncs += 1
        began_s = time.monotonic()

        def finished(error: Exception | None) -> None:
            self.busy = False
            execute(SYNCED, {"duration_s": time.monotonic() - began_s})
            if error is not None:
                failed(f"fdatasync: {error}")
                return
            if not writer.failed:
                writer.note_durable(target.lsn)
            try:
                if succession is not None:
                    writer.succeed(succession)
            except AppendFailed as failure:
                failed(str(failure))
                return
            done(target.lsn)

        self._thread.run(target.run, finished)

    def reopen(
        self,
        durable: int,
        records: Sequence[bytes],
        done: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        """Write what lies above `durable` again, into a segment of its own; then call back."""
        self.busy = True
        self.writer.abandon()

        opened: list[Writer] = []

        def run() -> None:
            opened.append(
                reopen(
                    self._storage,
                    self._boot_id,
                    durable,
                    records,
                    segment_bytes_max=self._segment_bytes_max,
                )
            )

        def finished(error: Exception | None) -> None:
            self.busy = False
            if error is not None:
                failed(str(error))
                return
            self.writer = opened[0]
            done()

        self._thread.run(run, finished)

    def close(self) -> None:
        """Seal the log and end the thread. The last records are durable unless this raises."""
        self._thread.close()
        if self.writer.failed:
            self.writer.abandon()
        else:
            self.writer.close()
