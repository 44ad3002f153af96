"""Post mortem: what brains print while they live, and the report of how each died."""

import asyncio
import contextlib
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from osupervisor.bridge.errors import InvalidArguments
from osupervisor.config.settings import Settings
from osupervisor.supervisor.logs.output import Dropped, Line, Output
from osupervisor.supervisor.reports.crash_report import (
    Cause,
    CrashReport,
    LastRequest,
    report_id,
)
from osupervisor.supervisor.reports.crash_store import CrashStore, Unreadable
from osupervisor.supervisor.reports.errors import ReportsError
from osupervisor.supervisor.runtime import nursery_process
from osupervisor.supervisor.runtime.brain_process import BrainProcess
from osupervisor.supervisor.tree.exit_status import signal_cause, status_cause

TRACEBACK_BEGINS = ("Traceback (most recent call last)", "Fatal Python error", "Thread 0x")
CURRENT_THREAD = "Current thread"
FLOOD_LOOK_S = 1.0
"""A nursery's output that is looked at so often can't grow far beyond its bound."""


class Say(Protocol):
    """Writes a log line: level, event, fields."""

    def __call__(self, level: str, event: str, /, **fields: object) -> None: ...


class PostMortem:
    """Output of all brains, and the store of crash reports."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop, say: Say) -> None:
        self.store = CrashStore(Path(settings.data) / "crashes", settings.crashes.kept)
        self._settings = settings
        self._loop = loop
        self._say = say
        self._outputs: dict[int, Output] = {}
        self._thread = ThreadPoolExecutor(1, "reports")

    def said(self, process: BrainProcess, data: bytes) -> None:
        """Bytes of a brain's standard output and error."""
        output = self._output(process)
        self._write(process, output.feed(data, time.monotonic()))

    def look(self) -> None:
        """Say what was dropped of outputs that fell silent. To be called each FLOOD_LOOK_S."""
        now = time.monotonic()
        for brain, output in self._outputs.items():
            if output.is_missing_some:
                for piece in output.say_what_is_missing(now):
                    self._write_piece(brain, 0, piece)
        self._bound_nursery_log()

    def _bound_nursery_log(self) -> None:
        """In the thread, as it is copied; nobody else would bound it while the nursery lives."""
        data, logs = Path(self._settings.data), self._settings.logs
        with contextlib.suppress(OSError):
            size = (data / "logs" / nursery_process.LOG_NAME).stat().st_size
            if size > logs.bytes_max:
                self._thread.submit(nursery_process.bound_log, data, logs.bytes_max, logs.kept)

    def bury(self, process: BrainProcess, role: str) -> CrashReport | None:
        """Write the report of a death. None for a brain that ended because it was asked to, and
        for one that never was: no process of it is known, and it said nothing."""
        output = self._output(process)
        self._write(process, output.end(time.monotonic()))
        del self._outputs[process.id]
        if process.asked_to_end and not process.status and process.killed is None:
            return None
        lines = output.last_lines()
        if not process.pid and not lines and process.killed is None:
            return None
        death = process.death
        assert death is not None, "a brain that lives is not buried"
        report = CrashReport(
            id=report_id(death.unix_s, process.pid),
            unix_s=round(death.unix_s, 3),
            role=role,
            cause=_cause(process),
            brain=f"brain-{process.id}",
            pid=process.pid or None,
            traceback=_traceback(lines),
            request=None if process.doing is None else LastRequest(*process.doing),
            output=lines,
            memory={"rss_bytes": process.rss_bytes} if process.rss_bytes else {},
            took_over=process.took_over,
            lsn=death.lsn,
            epoch=death.epoch,
        )
        self._thread.submit(self._put, report)
        return report

    def keep(self, report: CrashReport) -> None:
        """Write the report of the supervisor before this one, and say that it died."""
        self._thread.submit(self._put, report)
        cause = report.cause.name or report.cause.kind
        self._say("warning", "supervisor.died", pid=report.pid, cause=cause, crash=report.id)

    def _put(self, report: CrashReport) -> None:
        """In a thread: it waits for the disk, twice."""
        try:
            self.store.put(report)
        except (OSError, ReportsError) as error:
            say, reason = self._say, str(error)
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(
                    lambda: say("warning", "crash.not_kept", reason=reason)
                )

    def close(self) -> None:
        """Every report is on the disk when this returns."""
        self._thread.shutdown(wait=True)

    def crashes(self, params: list[object]) -> object:
        """`system.crashes`: ["ls"] or ["show", id]."""
        match params:
            case ["ls"]:
                return [_row(report) for report in self.store.ls()]
            case ["show", str(name)]:
                try:
                    return asdict(self.store.show(name))
                except ReportsError as error:
                    raise InvalidArguments(str(error), "see `osupervisor crashes ls`") from error
            case _:
                raise InvalidArguments(
                    f"system.crashes {params!r:.100}", 'params are ["ls"] or ["show", id]'
                )

    def _output(self, process: BrainProcess) -> Output:
        output = self._outputs.get(process.id)
        if output is None:
            brain, crashes = self._settings.brain, self._settings.crashes
            output = Output(
                brain.output_bytes_per_s, brain.output_line_bytes_max, crashes.output_bytes_max
            )
            self._outputs[process.id] = output
        return output

    def _write(self, process: BrainProcess, pieces: list[Line | Dropped]) -> None:
        for piece in pieces:
            self._write_piece(process.id, process.pid, piece)

    def _write_piece(self, brain: int, pid: int, piece: Line | Dropped) -> None:
        source = f"brain-{brain}"
        if isinstance(piece, Line):
            self._say("info", piece.text, source=source, pid=pid)
        else:
            lost = {"lines": piece.lines, "bytes": piece.bytes}
            self._say("warning", "output.dropped", source=source, pid=pid, **lost)


def _cause(process: BrainProcess) -> Cause:
    """The exit status where it came, else what is known of the supervisor's own signals."""
    detail = _reason(process)
    if process.status is not None:
        cause = status_cause(process.status)
    elif process.sigkilled:
        cause = signal_cause(signal.SIGKILL)
    else:
        return Cause("unknown", detail=detail)
    return Cause(str(cause.kind), cause.number, cause.detail, detail)


def _reason(process: BrainProcess) -> str:
    """Why the supervisor ended it; empty where it did not."""
    if process.excused:
        return "chaos"
    if process.killed is None:
        return ""
    return f"killed: {process.killed.reason}" if process.sigkilled else process.killed.reason


def _traceback(lines: tuple[str, ...]) -> str | None:
    """The last traceback among the last lines: Python's own, or faulthandler's of a hung one."""
    for index in range(len(lines) - 1, -1, -1):
        if lines[index].startswith(TRACEBACK_BEGINS) or lines[index].startswith(CURRENT_THREAD):
            return "\n".join(lines[index:])
    return None


def _row(report: CrashReport | Unreadable) -> dict[str, object]:
    if isinstance(report, Unreadable):
        return asdict(report)
    return {
        "id": report.id,
        "unix_s": report.unix_s,
        "role": report.role,
        "brain": report.brain,
        "pid": report.pid,
        "cause": asdict(report.cause),
        "took_over": report.took_over,
        "lsn": report.lsn,
    }
