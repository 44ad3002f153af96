"""The end of the log: whole batches appended to the segment that this process made.

Rules: one write per batch; a process writes only to segments that it created itself (`reopen` in
`recover` makes the first); a full segment is made durable before its successor exists; after a
failure the writer takes nothing more, and `reopen` makes another one.

`append` puts records into the kernel: they survive the death of any process. They are durable
when a `SyncTarget` taken after the append has run, perhaps in a thread, and `note_durable` says so
to the writer.
"""

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from osupervisor.wal import hint
from osupervisor.wal.errors import AppendFailed, SealFailed, TruncateFailed
from osupervisor.wal.hint import Hint
from osupervisor.wal.placement import Placed, place
from osupervisor.wal.segment import SEGMENT_HEADER_SIZE, segment_name
from osupervisor.wal.storage import LogFile, Storage

SEGMENT_BYTES_MAX: Final = 64 * 1024 * 1024

# Each mark is a control record or a segment's start: enough of them for the oldest checkpoint.
_MARKS_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class SyncTarget:
    """What a sync begun now will make durable: every record up to `lsn`."""

    lsn: int
    _file: LogFile

    def run(self) -> None:
        """Make it durable; blocks. Raises OSError: then nothing more may be acknowledged."""
        self._file.sync()


@dataclass(frozen=True, slots=True)
class Mark:
    """`bytes_before`: bytes of the log that this writer had appended before record `lsn`."""

    lsn: int
    bytes_before: int


class Writer:
    """Appends to the newest segment. `recover.reopen` makes one."""

    def __init__(
        self,
        storage: Storage,
        boot_id: bytes,
        segment_bytes_max: int,
        first: Placed,
    ) -> None:
        """`first` is the segment that this process begins with."""
        self._storage = storage
        self._boot_id = boot_id
        self._segment_bytes_max = segment_bytes_max
        self._file = first.file
        self._segment_lsn = first.first_lsn
        self._end = first.end
        self._last_lsn = first.last_lsn
        self._durable_lsn = first.last_lsn
        self._bytes_appended = 0
        self._marks = deque([Mark(first.last_lsn + 1, 0)], maxlen=_MARKS_MAX)
        self._control: Hint | None = None
        self._failed = False

    @property
    def last_lsn(self) -> int:
        """The last record that is in the kernel whole."""
        return self._last_lsn

    @property
    def durable_lsn(self) -> int:
        """The last record known durable: by reopening, sealing, and what `note_durable` said."""
        return self._durable_lsn

    @property
    def segment(self) -> str:
        """The name of the segment that holds the last record, or begins behind it."""
        return segment_name(self._segment_lsn)

    @property
    def end(self) -> int:
        """The offset in `segment` behind the last record."""
        return self._end

    @property
    def failed(self) -> bool:
        """An append or a seal has failed: only `abandon` is left."""
        return self._failed

    def bytes_since(self, lsn: int) -> int:
        """Bytes appended since record `lsn`, that one included.

        Counted from the nearest control record or segment start at or before it, so this may be
        more by what lies between; of records older than this writer it counts none.
        """
        before = 0
        for mark in self._marks:
            if mark.lsn > lsn:
                break
            before = mark.bytes_before
        return self._bytes_appended - before

    def append(self, records: Sequence[bytes], first_lsn: int) -> None:
        """Append whole encoded records numbered from `first_lsn`, in one write.

        Raises AppendFailed when the disk refuses (SealFailed when it was the sync of a full
        segment), TruncateFailed when half a record could not be cut off: then end the process.
        """
        assert first_lsn == self._last_lsn + 1, (first_lsn, self._last_lsn)
        assert not self._failed, "append after a failure: reopen first"
        data = b"".join(records)
        if self._end + len(data) > self._segment_bytes_max and self._end > SEGMENT_HEADER_SIZE:
            self._rotate()
        written = 0
        try:
            while written < len(data):
                rest = memoryview(data)[written:] if written else data
                written += self._file.write(self._end + written, rest)
        except OSError as error:
            self._cut(records, written, error)
        self._end += len(data)
        self._last_lsn += len(records)
        self._bytes_appended += len(data)

    def append_control(self, record: bytes, lsn: int) -> None:
        """Append a control record by itself; a start will begin with it once it is durable.

        Raises as `append` does.
        """
        before = self._bytes_appended
        self.append([record], lsn)
        self._marks.append(Mark(lsn, before))
        self._control = Hint(self._segment_lsn, self._end - len(record), lsn)

    def note_durable(self, lsn: int) -> None:
        """A sync has succeeded: everything up to `lsn` is durable.

        Only now the hint may lead a start to the control record: a start checks nothing before
        it. A hint that can't be written is no failure: a start then searches.
        """
        self._durable_lsn = max(self._durable_lsn, lsn)
        if self._control is not None and self._control.lsn <= self._durable_lsn:
            with contextlib.suppress(OSError):
                hint.write(self._storage, self._control)
            self._control = None

    def sync_target(self) -> SyncTarget:
        """Everything appended so far, to be made durable by its `run`, perhaps in a thread."""
        return SyncTarget(self._last_lsn, self._file)

    def close(self) -> None:
        """Seal the segment: durable, without preallocated bytes. Raises SealFailed."""
        try:
            if not self._failed:
                self._seal()
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Let go of the file as it is, after a failure or in favour of a reopened writer."""
        self._failed = True
        self._file.close()

    def _rotate(self) -> None:
        self._seal()
        first_lsn = self._last_lsn + 1
        try:
            placed = place(self._storage, self._boot_id, self._segment_bytes_max, first_lsn, ())
        except OSError as error:
            self._failed = True
            raise AppendFailed(0, f"no new segment: {error}") from error
        self._file.close()
        self._file = placed.file
        self._segment_lsn = first_lsn
        self._end = placed.end
        self._marks.append(Mark(first_lsn, self._bytes_appended))

    def _seal(self) -> None:
        with contextlib.suppress(OSError):  # zeros left at the end do no harm
            self._file.truncate(self._end)
        try:
            self._file.sync()
        except OSError as error:
            self._failed = True
            raise SealFailed(f"{self.segment} can't be synced: {error}") from error
        self.note_durable(self._last_lsn)

    def _cut(self, records: Sequence[bytes], written: int, error: OSError) -> NoReturn:
        """Count the whole records among `written` bytes, cut off what follows them."""
        self._failed = True
        whole = size = 0
        for record in records:
            if size + len(record) > written:
                break
            whole += 1
            size += len(record)
        self._end += size
        self._last_lsn += whole
        self._bytes_appended += size
        try:
            self._file.truncate(self._end)
        except OSError as failure:
            raise TruncateFailed(
                f"{self.segment} can't be cut at {self._end} after a failed append: {failure}"
            ) from error
        raise AppendFailed(whole, str(error)) from error
