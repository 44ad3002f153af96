"""The end of the log: whole batches appended to the segment that this process made.

Rules: one write per batch; a process writes only to segments that it created itself (`reopen` in
`recover` makes the first); what lies before a segment's first record is durable before that segment
exists (`succession` makes it beside the appends, `_rotate` at once); after a failure the writer
takes nothing more, and `reopen` makes another one.

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
from osupervisor.wal.placement import Placed, place, reveal, write_all
from osupervisor.wal.segment import SEGMENT_HEADER_SIZE, segment_name
from osupervisor.wal.storage import LogFile, Storage
from osupervisor.wal.succession import Naming, Succession

SEGMENT_BYTES_MAX: Final = 64 * 1024 * 1024
SUCCESSION_SHARE: Final = 0.875
"""So full a segment is when its successor is made ready: time enough before it is full."""
SUCCESSION_PATIENCE: Final = 2
"""So many times its size a segment may have while its successor is not ready."""

# Each mark is a control record or a segment's start: enough of them for the oldest checkpoint.
_MARKS_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class SyncTarget:
    """What a sync begun now will make durable: every record up to `lsn`."""

    lsn: int
    _file: LogFile
    _naming: Naming | None

    def run(self) -> None:
        """Make it durable; blocks. Raises OSError: then nothing more may be acknowledged."""
        self._file.sync()
        if self._naming is not None and not self._naming.is_durable:
            self._naming.finish()


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
        self._succession: Succession | None = None
        self._succeed_at = SUCCESSION_SHARE * segment_bytes_max
        self._naming: Naming | None = None
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

    @property
    def is_nearly_full(self) -> bool:
        """Whether it is time for a succession, and none is under way."""
        return self._end > self._succeed_at and self._succession is None and not self._failed

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
        if self._end + len(data) > self._limit() and self._may_rotate():
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
        if self._succession is not None:
            self._succession.tail.append(data)

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
        return SyncTarget(self._last_lsn, self._file, self._naming)

    def succession(self) -> Succession:
        """Begin one: `run` it, perhaps in a thread, then call `note_durable` and `succeed`.

        It is a sync as well, and there may be no other between its begin and `succeed`: what that
        made durable in this segment would count no more.
        """
        assert self._succession is None, "one at a time"
        assert not self._failed
        self._succession = Succession(
            self.sync_target(), self._storage, self._boot_id, self._segment_bytes_max, self._end
        )
        self._marks.append(Mark(self._last_lsn + 1, self._bytes_appended))
        return self._succession

    def succeed(self, succession: Succession) -> None:
        """Go on in the successor that was made ready. One that failed or is late is let go of.

        Raises AppendFailed when it isn't known whether the successor has its name: reopen.
        """
        if self._failed or succession is not self._succession:
            succession.discard()
            return
        self._succession = None
        file, tail = succession.file, b"".join(succession.tail)
        if file is None:
            self._put_off()
            return
        try:
            write_all(file, SEGMENT_HEADER_SIZE, tail)
        except OSError:
            succession.discard()
            self._put_off()
            return
        first_lsn = succession.lsn + 1
        try:
            reveal(self._storage, first_lsn)
        except OSError as error:
            self._failed = True
            file.close()
            raise AppendFailed(0, f"no new segment: {error}") from error
        self._naming = Naming(self._storage, self._file, self._end)
        if self._control is not None and self._control.lsn > succession.lsn:
            offset = SEGMENT_HEADER_SIZE + self._control.offset - succession.end
            self._control = Hint(first_lsn, offset, self._control.lsn)
        self._file, self._segment_lsn = file, first_lsn
        self._end = SEGMENT_HEADER_SIZE + len(tail)
        self._succeed_at = SUCCESSION_SHARE * self._segment_bytes_max

    def _put_off(self) -> None:
        """The disk has no room for a successor: the next is tried when half of what is left here is
        used, for each try allocates a segment and costs a sync."""
        self._succeed_at = self._end + max(0, self._segment_bytes_max - self._end) / 2

    def close(self) -> None:
        """Seal the segment: durable, without preallocated bytes. Raises SealFailed."""
        try:
            if not self._failed:
                self._seal()
        finally:
            self._close()

    def abandon(self) -> None:
        """Let go of the file as it is, after a failure or in favour of a reopened writer."""
        self._failed = True
        self._close()

    def _close(self) -> None:
        if self._succession is not None:
            self._succession.discard()
            self._succession = None
        if self._naming is not None:
            self._naming.old.close()
        self._file.close()

    def _may_rotate(self) -> bool:
        """Whether a segment that begins now would be neither this one nor the successor that is
        being made: two threads must not make one file."""
        begun = self._succession
        return self._end > SEGMENT_HEADER_SIZE and (begun is None or bool(begun.tail))

    def _limit(self) -> int:
        """While a succession is under way the segment may grow beyond its size, within reason."""
        patience = 1 if self._succession is None else SUCCESSION_PATIENCE
        return self._segment_bytes_max * patience

    def _rotate(self) -> None:
        """The same as a succession, at once: where there was none, or it takes too long."""
        self._succession = None
        self._seal()
        first_lsn = self._last_lsn + 1
        try:
            placed = place(self._storage, self._boot_id, self._segment_bytes_max, first_lsn, ())
        except OSError as error:
            self._failed = True
            raise AppendFailed(0, f"no new segment: {error}") from error
        self._file.close()
        self._file, self._naming = placed.file, None
        self._succeed_at = SUCCESSION_SHARE * self._segment_bytes_max
        self._segment_lsn = first_lsn
        self._end = placed.end
        self._marks.append(Mark(first_lsn, self._bytes_appended))

    def _seal(self) -> None:
        with contextlib.suppress(OSError):  # zeros left at the end do no harm
            self._file.truncate(self._end)
        try:
            self.sync_target().run()
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
