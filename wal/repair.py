"""Mending a damaged log, as far as that can be done; what is taken out is kept as `.broken`.

A log must be gapless, so damage splits it into stretches of which one can be kept: the one on
which the next start can go on. That is the stretch which reaches back to the newest whole
checkpoint, or holds the log's first record when there is none. What lies before it is history that
recovery doesn't need; what lies behind it is lost, acknowledged or not. `plan` says which is
which, `carry_out` does it.

Each step leaves a log that is refused still, or that is the mended one: it can be cut short
anywhere and run again. Nobody else may use the log meanwhile: hold the directory lock.
"""

import contextlib
from dataclasses import dataclass
from typing import Final

from osupervisor.wal import hint, scan
from osupervisor.wal.placement import place, remove_if_there, segment_lsns
from osupervisor.wal.segment import BOOT_ID_SIZE, BROKEN_SUFFIX, TORN_SUFFIX, segment_name
from osupervisor.wal.storage import Storage
from osupervisor.wal.verify import Part, verify

# Segments that repair made name no run of the machine.
_NO_BOOT: Final = bytes(BOOT_ID_SIZE)

LsnRange = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, if it is `needed` at all. LSN ranges are (first, last), None when empty.

    `lost_before` is history that the checkpoint holds, `lost_behind` is lost for good. With
    nothing kept the log begins anew at `next_lsn`, behind the checkpoint.
    `rewrite` are the parts that get a segment of their own, `aside` the segments that become
    `.broken`; one that is in neither stays as it is.
    """

    needed: bool
    next_lsn: int = 1
    kept: LsnRange | None = None
    lost_before: LsnRange | None = None
    lost_behind: LsnRange | None = None
    rewrite: tuple[Part, ...] = ()
    aside: tuple[str, ...] = ()


def plan(storage: Storage, checkpoint_lsn: int) -> Plan:
    """How to mend the log; changes nothing. Raises OSError.

    `checkpoint_lsn` is that of the newest whole checkpoint, 0 when there is none. A log that ends
    before it has lost its end, whatever its checksums say.
    """
    report = verify(storage)
    firsts = segment_lsns(storage)
    base = max(checkpoint_lsn, firsts[0] - 1 if firsts else 0)
    ends = [part.last_lsn for part in report.parts]
    last_lsn = max(firsts[-1] - 1 if firsts else 0, *ends, 0)
    if report.ok and last_lsn >= checkpoint_lsn:
        return Plan(needed=False, next_lsn=last_lsn + 1)
    bad = {damage.segment_lsn for damage in report.damage}
    kept = _stretch(report.parts, base)
    whole = {part.segment_lsn for part in kept if part.segment_lsn not in bad}
    last_known = max(last_lsn, *(damage.lsn for damage in report.damage), 0)
    first_kept, last_kept = (kept[0].first_lsn, kept[-1].last_lsn) if kept else (base + 1, base)
    return Plan(
        True,
        last_kept + 1,
        _range(first_kept, last_kept),
        _range(firsts[0], first_kept - 1) if firsts else None,
        _range(last_kept + 1, last_known),
        tuple(part for part in kept if part.segment_lsn in bad),
        tuple(segment_name(first) for first in firsts if first not in whole),
    )


def carry_out(storage: Storage, todo: Plan) -> None:
    """Do what `plan` said. Durable when it returns; raises OSError, then run both again."""
    remove_if_there(storage, hint.HINT_NAME)
    storage.sync_dir()
    behind = [name for name in todo.aside if name >= segment_name(todo.next_lsn)]
    for name in reversed(behind):
        _set_aside(storage, name)
    for part in reversed(todo.rewrite):
        _rewrite(storage, part)
    remade = {segment_name(part.first_lsn) for part in todo.rewrite}
    for name in todo.aside:
        if name not in remade and name not in behind:
            _set_aside(storage, name)
    if todo.kept is None and todo.next_lsn > 1:
        place(storage, _NO_BOOT, 0, todo.next_lsn, ()).file.close()
    storage.sync_dir()


def _stretch(parts: tuple[Part, ...], checkpoint_lsn: int) -> list[Part]:
    """The parts, one behind the other without a gap, that go on from the checkpoint; or none."""
    best: list[Part] = []
    run: list[Part] = []
    for part in parts:
        if run and run[-1].last_lsn + 1 != part.first_lsn:
            run = []
        run.append(part)
        if run[0].first_lsn <= checkpoint_lsn + 1 <= part.last_lsn + 1:
            best = list(run)
    return best


def _rewrite(storage: Storage, part: Part) -> None:
    """Give the records of `part` a segment that starts with them, under their first LSN."""
    with contextlib.closing(storage.open(part.segment)) as file:
        batches = scan.runs(
            file, part.offset, part.first_lsn, part.last_lsn, part.end, scan.walk_raw
        )
        records = [record for batch in batches for record in batch]
    name = segment_name(part.first_lsn)
    if name in storage.names():
        storage.link(name, _free(storage, name))
    place(storage, _NO_BOOT, 0, part.first_lsn, records).file.close()
    remove_if_there(storage, name + TORN_SUFFIX)  # place keeps it a second time


def _set_aside(storage: Storage, name: str) -> None:
    storage.rename(name, _free(storage, name))
    storage.sync_dir()


def _free(storage: Storage, name: str) -> str:
    """`name.broken`, or with a number when repair was here before."""
    names = set(storage.names())
    free, number = name + BROKEN_SUFFIX, 1
    while free in names:
        number += 1
        free = f"{name}{BROKEN_SUFFIX}.{number}"
    return free


def _range(first_lsn: int, last_lsn: int) -> LsnRange | None:
    return (first_lsn, last_lsn) if first_lsn <= last_lsn else None
