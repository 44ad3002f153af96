"""`osupervisor crashes`: what is known of each death. Reads the files: the service may be down."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from osupervisor.supervisor.cli.failure import CliError
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.printing import moment, print_json, print_table, write
from osupervisor.supervisor.reports.crash_report import CrashReport
from osupervisor.supervisor.reports.crash_store import CrashStore, Unreadable
from osupervisor.supervisor.reports.errors import CorruptReportError, ReportNotFoundError

FOLDER = "crashes"
COLUMNS = ("id", "time", "role", "pid", "cause", "request", "took over")


@click.group()
def crashes() -> None:
    """Show the deaths of processes: all in short, or one report in full."""


@command()
def ls(invocation: Invocation) -> None:
    """List the reports, the newest first."""
    found = CrashStore(Path(invocation.data, FOLDER)).ls()
    if invocation.json:
        print_json([_as_map(report) for report in found])
    else:
        empty = f"no crash reports in {invocation.data}/{FOLDER}"
        print_table(COLUMNS, [_row(report) for report in found], empty)


@command()
@click.argument("report_id", metavar="ID")
def show(invocation: Invocation, report_id: str) -> None:
    """Show one report in full."""
    try:
        report = CrashStore(Path(invocation.data, FOLDER)).show(report_id)
    except ReportNotFoundError as error:
        raise CliError(
            f"there is no crash report {report_id!r:.60} in {invocation.data}/{FOLDER}",
            "`osupervisor crashes ls` lists those that there are",
        ) from error
    except CorruptReportError as error:
        raise CliError(str(error), "`osupervisor crashes ls` lists the others") from error
    if invocation.json:
        print_json(_as_map(report))
    else:
        write(describe(report))


def describe(report: CrashReport) -> str:
    """All of it, for people."""
    lines = [
        f"{report.id}: {_who(report)} died at {moment(report.unix_s)}",
        f"cause      {_cause(report)}",
    ]
    if report.request is not None:
        lines.append(f"request    {report.request.op}, key {report.request.key}")
    if report.took_over is not None:
        lines.append(f"took over  {report.took_over}")
    if report.lsn is not None:
        lines.append(f"log        lsn {report.lsn}, epoch {report.epoch}")
    lines += [f"memory     {name}: {size}" for name, size in report.memory.items()]
    if report.traceback:
        lines += ["", report.traceback.rstrip()]
    if report.output:
        lines += ["", "its last output:", *(f"  {line}" for line in report.output)]
    return "\n".join(lines)


def _as_map(report: CrashReport | Unreadable) -> dict[str, Any]:
    return asdict(report)


def _row(report: CrashReport | Unreadable) -> tuple[object, ...]:
    if isinstance(report, Unreadable):
        return report.id, None, None, None, f"unreadable: {report.reason}", None, None
    request = report.request.op if report.request is not None else None
    when = moment(report.unix_s)
    return report.id, when, report.role, report.pid, _cause(report), request, report.took_over


def _who(report: CrashReport) -> str:
    name = f" {report.brain}" if report.brain else ""
    return f"{report.role}{name}, process {report.pid}"


def _cause(report: CrashReport) -> str:
    cause = report.cause
    return " ".join(filter(None, (cause.kind, cause.name or str(cause.number or ""), cause.detail)))


crashes.add_command(ls)
crashes.add_command(show)
