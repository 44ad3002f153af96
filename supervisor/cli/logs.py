"""`osupervisor logs`: the log files of all processes, merged by time. Reads files: no service."""

import json
import re
import sys
import time
from functools import partial
from pathlib import Path

import click

from osupervisor.supervisor.cli.failure import CliError, Misused
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.printing import write
from osupervisor.supervisor.logs.reader import LogReader
from osupervisor.supervisor.logs.record import LEVELS, as_text

FOLDER = "logs"
LAST = 100
LOOK_S = 0.1
"""Time between two looks of --follow: short for an eye, and nothing for the machine."""
ROLES = ("brain", "heart", "nursery", "supervisor")
"""Sources that need not have said anything; `brain` stands for brain-1, brain-2 ... alike."""
EVERYTHING = 2**62
"""More lines than any folder holds."""

_BRAIN = re.compile(r"brain-[0-9]+")

Record = dict[str, object]


@command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "-n", "--last", type=click.IntRange(min=0), default=LAST, show_default=True, help="Lines back."
)
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="The least to show.")
@click.option("--source", help="Only of: supervisor, heart, nursery, brain (all), brain-1.")
def logs(invocation: Invocation, follow: bool, last: int, level: str, source: str | None) -> None:
    """Show the log lines of all processes; with -f also those to come.

    Lines are counted behind --level and --source. Times are UTC.
    """
    folder = Path(invocation.data, FOLDER)
    if not folder.is_dir() and not follow:
        raise CliError(
            f"{folder}: there are no logs",
            "name the data directory of a service that was started once: --data DIR",
        )
    if source is not None:
        _check_source(folder, source, follow)
    everything = source is None and level == LEVELS[0]
    wanted = None if everything else partial(_is_wanted, level, source)
    reader = LogReader(folder, last, wanted)
    try:
        while True:
            for record in reader.poll():
                _show(invocation, record)
            if not follow:
                return
            sys.stdout.flush()
            time.sleep(LOOK_S)
    finally:
        reader.close()


def _is_wanted(level: str, source: str | None, record: Record) -> bool:
    found = record["level"]
    rank = LEVELS.index(found) if found in LEVELS else len(LEVELS)
    return rank >= LEVELS.index(level) and (source is None or _is_of(str(record["source"]), source))


def _is_of(found: str, source: str) -> bool:
    return found == source or (source == "brain" and _BRAIN.fullmatch(found) is not None)


def _check_source(folder: Path, source: str, follow: bool) -> None:
    """Raises Misused where nobody of that name has said anything, or will. Only for a name that
    isn't a role everything is read."""
    if source in ROLES or (follow and _BRAIN.fullmatch(source)):
        return
    reader = LogReader(folder, EVERYTHING)
    try:
        there = sorted({*ROLES, *(str(record["source"]) for record in reader.poll())})
    finally:
        reader.close()
    if source not in there:
        raise Misused(
            f"no line in {folder} is of {source!r:.60}",
            f"name one of {', '.join(there)}",
            {"sources": there},
        )


def _show(invocation: Invocation, record: Record) -> None:
    if invocation.json:
        write(json.dumps(record, ensure_ascii=False))
        return
    traceback = record.get("traceback")
    write(as_text({name: value for name, value in record.items() if name != "traceback"}))
    if isinstance(traceback, str):
        write("\n".join(f"    {line}" for line in traceback.rstrip().splitlines()))
