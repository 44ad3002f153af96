"""A supervisor's use of the log, and what the log owes it: the oracle of the crash tests.

A session starts by reading the log and reopening it, appends, syncs and heals as the supervisor
does, and remembers what it was told: `log`, the records that were appended whole, and `durable`,
the last LSN known durable. `check` compares a later reading with that.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

from osupervisor.wal import record
from osupervisor.wal.errors import AppendFailed, ReopenFailed, SealFailed, TruncateFailed
from osupervisor.wal.record import Kind
from osupervisor.wal.recover import LogView, read_log, reopen
from osupervisor.wal.storage import Storage
from osupervisor.wal.succession import Succession
from osupervisor.wal.writer import Writer
from tests.wal.disk import Disk

BOOT_ID = b"0123456789abcdef"
SEGMENT_BYTES_MAX = 2048


@dataclass(slots=True)
class Owed:
    """What was promised so far. `maybe` may follow `log`: a crash cut its append short."""

    log: list[bytes] = field(default_factory=list[bytes])
    maybe: list[bytes] = field(default_factory=list[bytes])
    durable: int = 0

    def check(self, view: LogView, power_cut: bool) -> None:
        """The log that is found holds what is owed; from now on it is what was found."""
        found = view.raw(view.first_lsn)
        possible = self.log + self.maybe
        least = self.durable if power_cut else len(self.log)
        assert view.first_lsn == 1
        assert least <= view.last_lsn <= len(possible), (view, least, len(possible))
        assert found == possible[: view.last_lsn]
        assert view.control is None or view.control.lsn <= view.last_lsn
        self.log = found
        self.maybe = []


def check_durable_claim(disk: Disk, view: LogView) -> None:
    """What a reading holds for durable is on the platter, whatever a power cut leaves."""
    cut = copy.deepcopy(disk)
    cut.cut_power()
    assert read_log(cut).last_lsn >= view.durable_lsn, view


class Session:
    """One process. Its methods let Crash, ReopenFailed and TruncateFailed through."""

    def __init__(self, storage: Storage, owed: Owed, epoch: int) -> None:
        self.storage = storage
        self.owed = owed
        self.epoch = epoch
        self.readonly = False
        self.succession: Succession | None = None
        view = read_log(storage)
        records = view.raw(view.durable_lsn + 1)
        self.writer: Writer = reopen(storage, BOOT_ID, view.durable_lsn, records, SEGMENT_BYTES_MAX)
        owed.durable = self.writer.durable_lsn

    def encode(self, kind: Kind, size: int, at: int) -> bytes:
        """A record for the `at`-th place behind the log's end; epochs make each one unique."""
        lsn = len(self.owed.log) + 1 + at
        filler = bytes((lsn + n) % 251 for n in range(size))
        return record.encode(
            lsn, self.epoch, kind, 1000 + lsn, self.owed.durable, b"key", filler, filler
        )

    def append(self, sizes: Sequence[int]) -> None:
        """Append commits with requests and commits of these sizes, unless read-only."""
        self._append([self.encode(Kind.COMMIT, size, at) for at, size in enumerate(sizes)])

    def append_control(self, size: int) -> None:
        if not self.readonly:
            self._append([self.encode(Kind.CONTROL, size, 0)], control=True)

    def sync(self) -> None:
        """Make durable what there is, unless read-only."""
        if self.readonly or self.succession is not None:
            return
        target = self.writer.sync_target()
        try:
            target.run()
        except OSError:
            self.readonly = True
            return
        self.writer.note_durable(target.lsn)
        self._note()

    def begin_succession(self) -> None:
        """Have a successor made for the segment, unless that is being done."""
        if not self.readonly and self.succession is None:
            self.succession = self.writer.succession()

    def end_succession(self) -> None:
        """What the thread does, and what the appender does then."""
        if self.succession is None:
            return
        succession, self.succession = self.succession, None
        try:
            succession.run()
        except OSError:
            self.readonly = True
            return
        if not self.readonly:
            self.writer.note_durable(succession.lsn)
        try:
            self.writer.succeed(succession)
        except AppendFailed:
            self.readonly = True
        self._note()

    def heal(self) -> None:
        """Leave the read-only mode, if the disk lets it."""
        if not self.readonly:
            return
        self.end_succession()  # one thread does both
        durable = self.owed.durable
        try:
            writer = reopen(
                self.storage, BOOT_ID, durable, self.owed.log[durable:], SEGMENT_BYTES_MAX
            )
        except ReopenFailed:
            return
        self.writer.abandon()
        self.writer = writer
        self.readonly = False
        self._note()

    def close(self) -> None:
        try:
            self.writer.close()
        except SealFailed:
            return
        self._note()

    def _append(self, records: list[bytes], control: bool = False) -> None:
        if self.readonly:
            return
        first_lsn = len(self.owed.log) + 1
        self.owed.maybe = records
        try:
            if control:
                self.writer.append_control(records[0], first_lsn)
            else:
                self.writer.append(records, first_lsn)
        except AppendFailed as error:
            self.owed.log += records[: error.whole]
            self.readonly = True
        except TruncateFailed:
            raise
        else:
            self.owed.log += records
        self.owed.maybe = []
        self._note()

    def _note(self) -> None:
        assert self.writer.last_lsn == len(self.owed.log)
        assert self.writer.durable_lsn >= self.owed.durable
        self.owed.durable = self.writer.durable_lsn
