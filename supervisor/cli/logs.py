"""`osupervisor logs`: the log files of all processes, merged by time. Reads files: no service."""

import json
import sys
import time
from pathlib import Path

import click

from osupervisor.supervisor.cli.failure import CliError
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.printing import write
from osupervisor.supervisor.logs.reader import LogReader
from osupervisor.supervisor.logs.record import LEVELS, as_text

FOLDER = "logs"
LAST = 100
LOOK_S = 0.1
"""Time between two looks of --follow: short for an eye, and nothing for the machine."""

Record = dict[str, object]


@command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "-n", "--last", type=click.IntRange(min=0), default=LAST, show_default=True, help="Lines back."
)
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="The least to show.")
@click.option("--source", help="Only of this one: supervisor, heart, nursery, brain.")
def logs(invocation: Invocation, follow: bool, last: int, level: str, source: str | None) -> None:
    """Show the log lines of all processes; with -f also those to come.

    Lines are counted before --level and --source leave some out. Times are UTC.
    """
    folder = Path(invocation.data, FOLDER)
    if not folder.is_dir() and not follow:
        raise CliError(
            f"{folder}: there are no logs",
            "name the data directory of a service that was started once: --data DIR",
        )
    reader = LogReader(folder, last)
    try:
        while True:
            for record in reader.poll():
                if _is_wanted(record, level, source):
                    _show(invocation, record)
            if not follow:
                return
            sys.stdout.flush()
            time.sleep(LOOK_S)
    finally:
        reader.close()


def _is_wanted(record: Record, level: str, source: str | None) -> bool:
    found = record["level"]
    rank = LEVELS.index(found) if found in LEVELS else len(LEVELS)
    return rank >= LEVELS.index(level) and source in (None, record["source"])


def _show(invocation: Invocation, record: Record) -> None:
    if invocation.json:
        write(json.dumps(record, ensure_ascii=False))
        return
    traceback = record.get("traceback")
    write(as_text({name: value for name, value in record.items() if name != "traceback"}))
    if isinstance(traceback, str):
        write("\n".join(f"    {line}" for line in traceback.rstrip().splitlines()))
