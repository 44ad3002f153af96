"""The crash tests find bugs: each rule that is broken here makes them fail."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from osupervisor.wal import hint, placement, recover, scan, writer
from osupervisor.wal.errors import AppendFailed, WalError
from osupervisor.wal.hint import Hint
from osupervisor.wal.recover import LogView, read_log
from osupervisor.wal.scan import Behind, Stop
from osupervisor.wal.succession import Naming, Succession
from osupervisor.wal.writer import Writer
from tests.wal import session
from tests.wal.campaign import CRASHES, FAILURES, cases, run
from tests.wal.disk import Disk, DiskFile

Patch = pytest.MonkeyPatch


def trust_what_was_read(patch: Patch) -> None:
    """Bytes that an earlier process wrote are taken for durable."""

    def trusting(storage: Disk) -> LogView:
        view = read_log(storage)
        return replace(view, durable_lsn=view.last_lsn)

    patch.setattr(session, "read_log", trusting)


def no_sync_of_a_new_segment(patch: Patch) -> None:
    place = placement.place

    def nothing(_: DiskFile) -> None: ...

    def unsynced(
        storage: Disk, boot_id: bytes, allocated: int, first_lsn: int, records: Sequence[bytes]
    ) -> placement.Placed:
        with Patch.context() as inner:
            inner.setattr(DiskFile, "sync", nothing)
            return place(storage, boot_id, allocated, first_lsn, records)

    patch.setattr(recover, "place", unsynced)
    patch.setattr(writer, "place", unsynced)


def no_sync_of_the_directory(patch: Patch) -> None:
    def nothing(_: Disk) -> None: ...

    patch.setattr(Disk, "sync_dir", nothing)


def no_sync_of_a_full_segment(patch: Patch) -> None:
    def claim(self: Writer) -> None:
        self.note_durable(self.last_lsn)

    patch.setattr(Writer, "_seal", claim)


def hint_before_it_is_durable(patch: Patch) -> None:
    append_control = Writer.append_control

    def eager(self: Writer, record: bytes, lsn: int) -> None:
        append_control(self, record, lsn)
        found = Hint(int(self.segment[:20]), self.end - len(record), lsn)
        with contextlib.suppress(OSError):
            hint.write(self._storage, found)  # pyright: ignore[reportPrivateUsage]

    patch.setattr(Writer, "append_control", eager)


def no_cut_after_a_failed_append(patch: Patch) -> None:
    def nothing(_: DiskFile, _size: int) -> None: ...

    patch.setattr(DiskFile, "truncate", nothing)


def refuse_what_was_written_whole(patch: Patch) -> None:
    """A short write is denied as a whole."""

    def deny(self: Writer, _records: Sequence[bytes], _written: int, error: OSError) -> None:
        self._failed = True  # pyright: ignore[reportPrivateUsage]
        raise AppendFailed(0, str(error)) from error

    patch.setattr(Writer, "_cut", deny)


def holes_are_damage(patch: Patch) -> None:
    """Whole records behind a bad one are taken for proof of damage."""
    headers_behind = scan.headers_behind

    def all_durable(data: bytes, stop: Stop) -> Iterator[Behind]:
        for found in headers_behind(data, stop):
            yield replace(found, header=found.header._replace(synced=2**63))

    patch.setattr(scan, "headers_behind", all_durable)


def name_before_content(patch: Patch) -> None:
    """A segment gets its name at once, and is written in place."""

    def nothing(_: Disk, _old: str, _new: str) -> None: ...

    patch.setattr(placement, "TMP_SUFFIX", "")
    patch.setattr(Disk, "rename", nothing)


def old_segment_removed_first(patch: Patch) -> None:
    """A segment that is replaced is taken away before the new one is there."""

    def away(storage: Disk, name: str) -> None:
        if name in storage.names():
            storage.remove(name)

    patch.setattr(placement, "_set_aside", away)


def no_sync_before_a_succession(patch: Patch) -> None:
    """The successor is there while the old segment is not durable."""

    def unsynced(self: Succession) -> None:
        with contextlib.suppress(OSError):
            self.file = placement.prepare(
                self.storage, self.boot_id, self.allocated, self.lsn + 1, ()
            )

    patch.setattr(Succession, "run", unsynced)


def no_sync_of_a_successors_name(patch: Patch) -> None:
    def claim(self: Naming) -> None:
        self.is_durable = True

    patch.setattr(Naming, "finish", claim)


def a_successor_without_what_was_appended_meanwhile(patch: Patch) -> None:
    def nothing(_file: DiskFile, _offset: int, _data: bytes) -> None: ...

    patch.setattr(writer, "write_all", nothing)


BUGS = [
    no_sync_before_a_succession,
    no_sync_of_a_successors_name,
    a_successor_without_what_was_appended_meanwhile,
    trust_what_was_read,
    no_sync_of_a_new_segment,
    no_sync_of_the_directory,
    no_sync_of_a_full_segment,
    hint_before_it_is_durable,
    no_cut_after_a_failed_append,
    refuse_what_was_written_whole,
    holes_are_damage,
    name_before_content,
    old_segment_removed_first,
]


@pytest.mark.parametrize("plant", BUGS)
def test_a_broken_rule_is_found(plant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    todo = list(cases(CRASHES + FAILURES, range(6)))
    plant(monkeypatch)
    for case in todo:
        try:
            run(case)
        except (AssertionError, WalError):
            return
    pytest.fail(f"not found in {len(todo)} cases")
