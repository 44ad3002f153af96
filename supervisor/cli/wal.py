"""`osupervisor wal`: the log's files, read as they lie there; `repair` alone changes them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from osupervisor.supervisor.cli.failure import CliError, Misused
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.printing import moment, print_json, print_table, write
from osupervisor.supervisor.cli.records import line, readable
from osupervisor.vault_store.checkpoint import CheckpointStore
from osupervisor.wal import repair as mending
from osupervisor.wal.dump import dump as dump_log
from osupervisor.wal.errors import LockedError
from osupervisor.wal.lock import DirectoryLock
from osupervisor.wal.retention import extents
from osupervisor.wal.scan import LSN_MAX
from osupervisor.wal.storage import DirectoryStorage
from osupervisor.wal.verify import Report
from osupervisor.wal.verify import verify as verify_log

FOLDER = "wal"
_LSN = click.IntRange(min=1)

Json = dict[str, Any]


@click.group()
def wal() -> None:
    """List, dump, check or mend the log; also while nothing runs."""


@command()
def ls(invocation: Invocation) -> None:
    """List the segments, the oldest first."""
    segments = [asdict(extent) for extent in extents(_storage(invocation))]
    if invocation.json:
        print_json(segments)
        return
    rows = [
        (one["name"], one["first_lsn"], one["last_lsn"], one["bytes"], _time(one["ended_us"]))
        for one in segments
    ]
    empty = f"no segments in {invocation.data}/{FOLDER}"
    print_table(("segment", "first lsn", "last lsn", "bytes", "until"), rows, empty)


@command()
@click.option("--from", "first_lsn", type=_LSN, default=1, help="First LSN.", show_default=True)
@click.option("--to", "last_lsn", type=_LSN, default=LSN_MAX, help="Last LSN.  [default: all]")
def dump(invocation: Invocation, first_lsn: int, last_lsn: int) -> None:
    """Print the records, a line each; with --json all that is in them."""
    if first_lsn > last_lsn:
        raise Misused(
            f"--from {first_lsn} is behind --to {last_lsn}", "give the smaller LSN to --from"
        )
    for record in dump_log(_storage(invocation), first_lsn, last_lsn):
        found = readable(record)
        write(json.dumps(found, ensure_ascii=False) if invocation.json else line(found))


@command()
def verify(invocation: Invocation) -> None:
    """Check every checksum of every segment. Exits with 1 when something is damaged."""
    report = verify_log(_storage(invocation))
    if invocation.json:
        print_json(_as_map(report))
    else:
        write(_describe(report))
    if not report.ok:
        raise CliError(
            f"the log in {invocation.data}/{FOLDER} is damaged in {len(report.damage)} places",
            "restore the files from a backup, or see what `osupervisor wal repair --dry-run` does",
            code="Damaged",
        )


@command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def repair(invocation: Invocation, dry_run: bool) -> None:
    """Mend a damaged log as far as that can be done; what is taken out stays as *.broken.

    A service must not run meanwhile. A log without damage is left alone.
    """
    storage, data = _storage(invocation), Path(invocation.data)
    try:
        lock = DirectoryLock.acquire(data)
    except LockedError as error:
        hint = "`osupervisor stop` ends it; then repair again"
        raise CliError(str(error), hint, {"pid": error.pid}, code="AlreadyRunning") from error
    try:
        newest = CheckpointStore(data / "checkpoints").newest_whole()
        plan = mending.plan(storage, newest.lsn if newest is not None else 0)
        if plan.needed and not dry_run:
            mending.carry_out(storage, plan)
    finally:
        lock.release()
    if invocation.json:
        print_json({**asdict(plan), "done": plan.needed and not dry_run})
    else:
        write(_describe_plan(plan, dry_run))


def _storage(invocation: Invocation) -> DirectoryStorage:
    folder = Path(invocation.data, FOLDER)
    if not folder.is_dir():
        raise CliError(
            f"{folder}: there is no log",
            "name the data directory of a service that was started once: --data DIR",
        )
    return DirectoryStorage(folder)


def _as_map(report: Report) -> Json:
    return {
        "ok": report.ok,
        "records": report.records,
        "bytes": report.bytes,
        "parts": [{**asdict(part), "segment": part.segment} for part in report.parts],
        "damage": [asdict(each) for each in report.damage],
        "torn": None if report.torn is None else asdict(report.torn),
        "leftovers": list(report.leftovers),
    }


def _describe(report: Report) -> str:
    lines = [f"{report.records} records, {report.bytes} bytes, all checksums right"]
    if not report.ok:
        lines = [f"{report.records} records are whole, {report.bytes} bytes"]
    for each in report.damage:
        lines.append(f"damaged: {each.file} at offset {each.offset}, lsn {each.lsn}: {each.reason}")
    if report.torn is not None:
        at = f"{report.torn.file} from offset {report.torn.offset} on"
        lines.append(f"torn tail: {at}; a crash leaves one, and it no longer counts")
    lines += [f"does not count: {name}" for name in report.leftovers]
    return "\n".join(lines)


def _describe_plan(plan: mending.Plan, dry_run: bool) -> str:
    if not plan.needed:
        return "the log is whole: nothing to mend"
    verbs = ("would keep", "would lose", "would set") if dry_run else ("kept", "lost", "set")
    lines = [f"{verbs[0]}: {_range(plan.kept)}"]
    lost = [each for each in (plan.lost_before, plan.lost_behind) if each is not None]
    lines += [f"{verbs[1]}: {_range(each)}" for each in lost]
    lines += [f"{verbs[2]} aside as {name}.broken" for name in plan.aside]
    return "\n".join(lines)


def _range(lsns: tuple[int, int] | None) -> str:
    return "no records" if lsns is None else f"records {lsns[0]} to {lsns[1]}"


def _time(t_us: int | None) -> str | None:
    return None if t_us is None else moment(t_us / 1e6)


for each in (ls, dump, verify, repair):
    wal.add_command(each)
