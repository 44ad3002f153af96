"""Crash reports as files: `<data>/crashes/<id>.json`, the last so many of them.

Each file is written whole under another name, synced and renamed into place: a reader
never sees half a report, and one that is there after a power cut is whole. What is there
and can't be read (damage, another program's file) is listed as such and shown to nobody
as a report. Every call blocks for its file operations; call `put` in a thread.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from osupervisor.supervisor.reports.crash_report import CrashReport, decode, encode
from osupervisor.supervisor.reports.errors import CorruptReportError, ReportNotFoundError

KEPT = 100
# The most that `crashes.output_bytes_max` allows is 16 MiB, and JSON may write six
# characters for one. A longer file is no report, and is not read.
REPORT_BYTES_MAX = 128 * 1024 * 1024
_ID = re.compile(r"[0-9]{13}-[0-9]+")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file among the reports that is not one."""

    id: str
    reason: str


class CrashStore:
    """`directory` is made at the first `put`, readable by its owner alone."""

    def __init__(self, directory: Path, kept: int = KEPT) -> None:
        self._directory = directory
        self._kept = kept

    def put(self, report: CrashReport) -> None:
        """Write it, or write it anew under its id (once it is known who took over).

        Durable when it returns; older reports beyond `kept` are gone. Raises OSError,
        ValueError for an id that report_id did not make.
        """
        if not _ID.fullmatch(report.id):
            raise ValueError(f"crash report id {report.id!r} is none; report_id makes them")
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_whole(self._directory, f"{report.id}.json", encode(report))
        self._prune()

    def ls(self) -> list[CrashReport | Unreadable]:
        """All of them, the newest first."""
        return list(self._read_all())

    def show(self, report_id: str) -> CrashReport:
        """Raises ReportNotFoundError, CorruptReportError."""
        if not _ID.fullmatch(report_id):
            raise ReportNotFoundError(report_id)
        path = self._path(report_id)
        try:
            with path.open("rb") as file:
                data = file.read(REPORT_BYTES_MAX + 1)
        except FileNotFoundError:
            raise ReportNotFoundError(report_id) from None
        except OSError as error:
            raise CorruptReportError(path, f"it can't be read: {error.strerror}") from error
        if len(data) > REPORT_BYTES_MAX:
            raise CorruptReportError(path, f"more than {REPORT_BYTES_MAX} bytes")
        try:
            return decode(data)
        except ValueError as error:
            raise CorruptReportError(path, str(error)) from error

    def _read_all(self) -> Iterator[CrashReport | Unreadable]:
        for report_id in reversed(self._ids()):
            try:
                yield self.show(report_id)
            except CorruptReportError as error:
                yield Unreadable(report_id, error.reason)
            except ReportNotFoundError:
                # Another process has put a report just now, and this one was the oldest.
                continue

    def _ids(self) -> list[str]:
        """The oldest first. What is not named like a report is somebody else's."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        stems = [name.removesuffix(".json") for name in names if name.endswith(".json")]
        return sorted((stem for stem in stems if _ID.fullmatch(stem)), key=_age)

    def _prune(self) -> None:
        """Also what an earlier `put` left behind when its process died in it."""
        ids = self._ids()
        if len(ids) <= self._kept:
            return
        oldest = _age(ids[-self._kept])
        for name in os.listdir(self._directory):
            stem = name.removesuffix(".tmp").removesuffix(".json")
            if _ID.fullmatch(stem) and _age(stem) < oldest:
                # What can't be removed is no reason to lose the new report.
                with suppress(OSError):
                    (self._directory / name).unlink()

    def _path(self, report_id: str) -> Path:
        return self._directory / f"{report_id}.json"


def _age(report_id: str) -> tuple[int, ...]:
    return tuple(int(part) for part in report_id.split("-"))


def _write_whole(directory: Path, name: str, data: bytes) -> None:
    temporary = directory / f"{name}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, directory / name)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
