"""`osupervisor checkpoint`, and `checkpoints ls|verify`, which read the files themselves."""

from pathlib import Path
from typing import Any

import click

from osupervisor.bridge.methods import SYSTEM_CHECKPOINT
from osupervisor.supervisor.cli.failure import CliError
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.printing import moment, print_json, print_table, write
from osupervisor.supervisor.cli.values import duration

FOLDER = "checkpoints"
WRITTEN_S = 600.0
"""As long as the service itself takes before it gives one up, by default."""

Json = dict[str, Any]


@command()
@click.option(
    "--timeout", type=duration, default=WRITTEN_S, show_default="10m", help="How long to wait."
)
def checkpoint(invocation: Invocation, timeout: float) -> None:
    """Write a checkpoint now; returns when it is durable."""
    with invocation.client() as client:
        written: Json = client.with_options(timeout_s=timeout).request(SYSTEM_CHECKPOINT)
    if invocation.json:
        print_json(written)
    else:
        write(f"checkpoint of lsn {written['lsn']}: {written['bytes']} bytes")


@click.group()
def checkpoints() -> None:
    """List the checkpoints, or check every byte of them; also while nothing runs."""


@command()
def ls(invocation: Invocation) -> None:
    """List the checkpoints, the newest first."""
    found = _ls(Path(invocation.data, FOLDER))
    if invocation.json:
        print_json(found)
        return
    rows = [
        (one["lsn"], one["epoch"], _time(one), one["bytes"], one["damage"] or "whole")
        for one in found
    ]
    empty = f"no checkpoints in {invocation.data}/{FOLDER}"
    print_table(("lsn", "epoch", "time", "bytes", "state"), rows, empty)


@command()
@click.argument("lsn", type=click.IntRange(min=0), required=False)
def verify(invocation: Invocation, lsn: int | None) -> None:
    """Check every byte of all checkpoints, or of that of LSN.

    Exits with 1 when one is damaged.
    """
    folder = Path(invocation.data, FOLDER)
    wanted = [lsn] if lsn is not None else [one["lsn"] for one in _ls(folder)]
    found = [_verified(folder, each, named=lsn is not None) for each in wanted]
    checked = [one for one in found if one is not None]
    damaged = [one for one in checked if not one["whole"]]
    if invocation.json:
        print_json({"ok": not damaged, "checkpoints": checked})
    else:
        rows = [(one["lsn"], one["damage"] or "whole") for one in checked]
        print_table(("lsn", "state"), rows, f"no checkpoints in {folder}")
    if damaged:
        raise CliError(
            f"{len(damaged)} of {len(checked)} checkpoints are damaged",
            "a start uses the newest whole one; remove the damaged folders when you have looked",
            {"lsns": [one["lsn"] for one in damaged]},
            code="Damaged",
        )


def _ls(folder: Path) -> list[Json]:
    """What each manifest says, newest first; sizes are compared, content isn't read."""
    from osupervisor.vault_store.checkpoint import CheckpointStore
    from osupervisor.vault_store.errors import NoCheckpointError

    for _ in range(3):  # the service may remove one while we look
        try:
            entries = CheckpointStore(folder).ls()
            break
        except NoCheckpointError:
            continue
    else:
        raise CliError(f"{folder} changes faster than it can be read", "try again")
    return [
        {
            "lsn": entry.lsn,
            "epoch": entry.manifest.epoch if entry.manifest else None,
            "whole": entry.damage is None,
            "damage": None if entry.damage is None else str(entry.damage),
            "bytes": entry.manifest.state.bytes if entry.manifest else None,
            "created_unix_s": entry.manifest.created_unix_s if entry.manifest else None,
            "code_version": entry.manifest.code_version if entry.manifest else None,
        }
        for entry in reversed(entries)
    ]


def _verified(folder: Path, lsn: int, *, named: bool) -> Json | None:
    """None: it was removed meanwhile. One that was asked for by `named` must be there."""
    from osupervisor.vault_store.checkpoint import CheckpointStore
    from osupervisor.vault_store.errors import CorruptCheckpointError, NoCheckpointError

    try:
        manifest = CheckpointStore(folder).verify(lsn)
    except CorruptCheckpointError as error:
        place = {"file": error.path, "offset": error.offset}
        return {"lsn": lsn, "whole": False, "damage": str(error), **place}
    except NoCheckpointError as error:
        if named:
            raise CliError(str(error), "name one of these, or none to check all") from error
        return None
    return {"lsn": lsn, "whole": True, "damage": None, "bytes": manifest.state.bytes}


def _time(one: Json) -> str | None:
    return None if one["created_unix_s"] is None else moment(one["created_unix_s"])


checkpoints.add_command(ls)
checkpoints.add_command(verify)
