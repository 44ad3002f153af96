"""The report of the supervisor before this one: who else could write it?

Heart says how it ended, the history what it said last, its log what it did before. A supervisor
that was stopped has no successor, so whoever has a predecessor follows on a death.
"""

import os
import time
from pathlib import Path

from osupervisor.supervisor.core.fold import Fold
from osupervisor.supervisor.heart.launch import Predecessor
from osupervisor.supervisor.logs.record import as_text, decode
from osupervisor.supervisor.reports.crash_report import Cause, CrashReport, report_id
from osupervisor.supervisor.runtime.history import LastWords
from osupervisor.supervisor.tree.exit_status import exit_cause, signal_cause

LOG_LINES = 20
LOG_BYTES = 16 * 1024


def report(dead: Predecessor, words: LastWords, log: Path, fold: Fold) -> CrashReport:
    """`log`: the supervisor's log, to which this one has written nothing yet. Raises OSError."""
    now = time.time()
    own = words.text if words.pid == dead.pid else ""
    return CrashReport(
        id=report_id(now, dead.pid),
        unix_s=round(now, 3),
        role="supervisor",
        cause=_cause(dead.status),
        pid=dead.pid,
        traceback=own or None,
        output=_last_lines(log),
        took_over=f"supervisor, process {os.getpid()}",
        lsn=fold.lsn,
        epoch=fold.epoch,
    )


def _cause(status: int | None) -> Cause:
    if status is None:
        return Cause("unknown")
    cause = exit_cause(status) if status >= 0 else signal_cause(-status)
    return Cause(str(cause.kind), cause.number, cause.detail)


def _last_lines(log: Path) -> tuple[str, ...]:
    """As people read them."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_BYTES))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return ()
    whole = lines if size <= LOG_BYTES else lines[1:]
    return tuple(as_text(decode(line)) for line in whole[-LOG_LINES:])
