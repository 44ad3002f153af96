"""The power goes: a virtual machine under load, its disk's cache lost, everything recovered.

    python -m benchmarks.power_cut --kernel FOLDER [--cuts 80] [--seconds 60] [--seed 1]
                                   [--only NAME ...] [--again 1] [--lie 1] [--folder FOLDER]

For each scenario (scenario.py) a machine is started, with a service on a disk of its own that is
loaded by clients; each reply is told over a serial port. disk.py is that disk: it has a cache, and
writes down every write, every answer, every flush and every line that was told. After so many
seconds of load the machine is killed. Then, for each of `--cuts` places drawn among all that
happened: what a disk holds that lost its power there (platter.py), mounted by this machine's
kernel, a service started on it, and its state compared with what was told by then (recovery.py):

* `always`: nothing that was answered is missing; `everysec`: the age of the oldest that is
* the state is a prefix of the order in which entries were answered: no gap, nothing half
* an entry sent again under its key is not made again
* `wal verify` and `checkpoints verify` find no damage, before the start and behind it

`--again`: so many cuts of each scenario go on: a machine is started on what they left, recovers,
is loaded, and its power goes too, from its first write on.

`--lie`: the disk says that a flush is done so many seconds before it is. Replies must be found
missing then, and file systems broken: whoever sees none of it knows that nothing was tested.

Needs root, loop devices, qemu-system-x86_64, busybox-static, the tools of the file systems, and a
kernel for the machine with its modules; says so where one is missing. Emulated: a scenario takes
some minutes, a cut three seconds. Not part of `make bench`: nothing here is a speed. `--folder`
keeps recordings, and those that are there are used again; else all goes at the end.
"""

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.power_cut import events, machine
from benchmarks.power_cut.events import Event
from benchmarks.power_cut.platter import LOSSES, Platter
from benchmarks.power_cut.recovery import Told, Verdict, judge, mounted
from benchmarks.power_cut.scenario import SCENARIOS, Scenario
from benchmarks.power_cut.session import Session, Yard, copy, empty


@dataclass(slots=True)
class Sum:
    """What the cuts of one recording showed."""

    name: str
    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    dropped: int = 0
    cached: int = 0


def left(session: Session, place: int, seed: int) -> Callable[[Path], Told]:
    """What a cut of an earlier recording left."""

    def make(image: Path) -> Told:
        source = random.Random(seed)
        for *_, told in cuts(session, [place], image, source, loss="sectors"):
            return told
        raise AssertionError("one place is one cut")

    return make


def cuts(
    session: Session,
    places: Sequence[int],
    target: Path,
    source: random.Random,
    *,
    loss: str = "",
    lie_s: float = 0.0,
) -> Iterator[tuple[int, str, tuple[int, int], Told]]:
    """The image of a cut at each of `places`, in `target`: place, loss, bytes, what was told."""
    moving = target.with_name("platter")
    copy(session.image, moving)
    platter = Platter(moving, session.happened, lie_s)
    told, heard = session.before.copy(), 0
    try:
        for place in sorted(places):
            platter.advance(place)
            for event in session.happened[heard:place]:
                told.hear(event)
            heard = place
            is_end = place == len(session.happened)
            drawn = loss or ("nothing" if is_end else source.choice(LOSSES))
            yield place, drawn, platter.cut(target, drawn, source), told
    finally:
        moving.unlink()


def try_cuts(
    yard: Yard, session: Session, name: str, first: int, options: argparse.Namespace
) -> Sum:
    """Cut the power at places drawn from `first` on, recover, compare."""
    happened = session.happened
    source = random.Random(f"{options.seed} {name}")
    drawn = source.sample(range(first, len(happened)), min(options.cuts, len(happened) - first))
    found = Sum(name)
    target = yard.folder / "cut"
    places = [*drawn, len(happened)]
    for place, loss, bytes_of, told in cuts(session, places, target, source, lie_s=options.lie):
        try:
            with mounted(target, session.scenario, yard.mount) as data:
                verdict = judge(data, session.scenario, told, happened[place - 1].at)
        except subprocess.CalledProcessError as error:
            verdict = Verdict([f"what is left can't be mounted: {error}"])
        found.verdicts.append(verdict)
        found.cached += bytes_of[0]
        found.dropped += bytes_of[0] - bytes_of[1]
        if verdict.wrong:
            print(f"{name}, event {place}, {loss} lost: {verdict.wrong}", flush=True)
            if not options.lie:
                copy(target, yard.folder / f"wrong-{name}-{place}")
        target.unlink()
    return found


def first_ready(happened: Sequence[Event]) -> int:
    """Behind the event that told that the service is ready."""
    return next(place for place, event in enumerate(happened) if event.data == b"ready") + 1


def report(found: Sum, session: Session) -> str:
    """A recording and its cuts, for people."""
    verdicts = found.verdicts
    kinds = Counter(event.kind for event in session.happened)
    wrong = sum(bool(verdict.wrong) for verdict in verdicts)
    killed = sum(event.data.startswith(b"killed") for event in session.happened)
    kept = sum(event.data.startswith(b"kept") for event in session.happened)
    lost = [verdict for verdict in verdicts if verdict.lost]
    return "\n".join(
        (
            f"{found.name}: {len(verdicts)} cuts, {wrong} wrong",
            f"    recorded: {kept} replies, {kinds[events.WRITE]} writes, "
            f"{kinds[events.FLUSHED]} flushes, {killed} processes killed",
            f"    cached at the cuts {found.cached / 1024:,.0f} KiB, of that lost "
            f"{found.dropped / 1024:,.0f}; torn tails {sum(v.torn for v in verdicts)}, "
            f"half made segments {sum(v.leftovers > 0 for v in verdicts)}, "
            f"half made checkpoints {sum(v.unfinished > 0 for v in verdicts)}",
            f"    recovered without a reply {sum(v.unanswered for v in verdicts)}; replies lost in "
            f"{len(lost)} cuts, {sum(v.lost for v in lost)} in all, the oldest "
            f"{max((v.lost_s for v in lost), default=0.0):.2f} s old; "
            f"{sum(v.took_s for v in verdicts) / len(verdicts):.1f} s for each recovery",
        )
    )


def run(yard: Yard, scenario: Scenario, options: argparse.Namespace) -> list[Sum]:
    """A scenario, and those of its cuts that go on."""
    session = yard.session(scenario, scenario.name, empty(scenario))
    sums = [try_cuts(yard, session, scenario.name, first_ready(session.happened), options)]
    print(report(sums[0], session), flush=True)
    source = random.Random(f"{options.seed} again {scenario.name}")
    for number in range(1, options.again + 1 if scenario.always else 1):
        name = f"{scenario.name}-again-{number}"
        place = source.randrange(first_ready(session.happened), len(session.happened))
        second = yard.session(scenario, name, left(session, place, number))
        sums.append(try_cuts(yard, second, name, 0, options))
        print(report(sums[-1], second), flush=True)
    return sums


def lacking(options: argparse.Namespace) -> list[str]:
    found = machine.lacking(options.kernel)
    if os.geteuid() != 0:
        found.append("root, to mount what a cut left")
    if not Path("/dev/loop-control").exists():
        found.append("loop devices")
    for filesystem in {scenario.filesystem for scenario in options.only}:
        if shutil.which(f"mkfs.{filesystem}") is None:
            found.append(f"mkfs.{filesystem}")
    return found


def main() -> None:
    names = {scenario.name: scenario for scenario in SCENARIOS}
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kernel", type=Path, default=Path("/"))
    parser.add_argument("--cuts", type=int, default=80)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", type=int, default=0)
    parser.add_argument("--lie", type=float, default=0.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", action="append", choices=names)
    options = parser.parse_args()
    options.only = [names[name] for name in options.only or names]
    if missing := lacking(options):
        sys.exit("a power cut needs " + "; ".join(missing))
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        yard = Yard(folder, options.kernel, options.seconds, options.seed)
        sums = [found for scenario in options.only for found in run(yard, scenario, options)]
    cut = sum(len(found.verdicts) for found in sums)
    wrong = sum(bool(verdict.wrong) for found in sums for verdict in found.verdicts)
    print(f"{cut} cuts, {wrong} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
