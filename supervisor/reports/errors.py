"""What goes wrong with crash reports."""

from pathlib import Path


class ReportsError(Exception):
    """The base of all of them."""


class ReportNotFoundError(ReportsError):
    def __init__(self, report_id: str) -> None:
        super().__init__(f"no crash report {report_id!r}; `osupervisor crashes ls` lists them")
        self.report_id = report_id


class CorruptReportError(ReportsError):
    """The file is there and is not a crash report (any more)."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}; nothing depends on it, it may be deleted")
        self.path = path
        self.reason = reason
