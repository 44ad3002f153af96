"""One life of a log, with a fault at any of its steps, and the start that must survive it."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from osupervisor.wal.errors import ReopenFailed, TruncateFailed
from osupervisor.wal.recover import read_log
from osupervisor.wal.verify import verify
from tests.wal.disk import Crash, Disk, Fault
from tests.wal.session import Owed, Session, check_durable_claim

CRASHES: tuple[Fault, ...] = ("crash", "crash after")
FAILURES: tuple[Fault, ...] = ("EIO", "ENOSPC", "short")


@dataclass(frozen=True, slots=True)
class Case:
    seed: int
    fault: Fault
    step: int
    power_cut: bool


def cases(faults: tuple[Fault, ...], seeds: range) -> Iterator[Case]:
    """Every step of the life that each seed makes, with each fault, killed and with power cut."""
    for seed in seeds:
        disk = Disk(seed)
        live(disk, Owed(), random.Random(seed))
        for step in range(1, disk.steps + 1):
            for fault in faults:
                for power_cut in (False, True):
                    yield Case(seed, fault, step, power_cut)


def run(case: Case) -> None:
    """Raises whatever is wrong, with a note that says where."""
    disk, owed = Disk(case.seed), Owed()
    disk.faults[case.step] = case.fault
    try:
        try:
            live(disk, owed, random.Random(case.seed))
        except (Crash, ReopenFailed, TruncateFailed):
            pass  # it died, could not start, or had to end
        if case.power_cut:
            disk.cut_power()
        else:
            disk.kill()
        start_again(disk, owed, case.power_cut)
    except BaseException as error:
        error.add_note(f"{case}: {disk.trace[-40:]}")
        raise


def live(disk: Disk, owed: Owed, rng: random.Random) -> None:
    """A life with all in it: start, appends, syncs, rotations, successions, control records,
    healing; an end at any turn, in any mode, or an orderly one.
    """
    session = Session(disk, owed, epoch=1)
    for turn in range(rng.randint(4, 12)):
        if rng.random() < 0.3:
            session.begin_succession()
        session.append([rng.randint(0, 300) for _ in range(rng.randint(1, 4))])
        if turn % 4 == 1:
            session.append_control(rng.randint(0, 700))
        if rng.random() < 0.5:
            session.end_succession()
        if turn % 3 == 2:
            session.sync()
        if turn == 7:
            session.readonly = True  # as after a failed fsync
        if turn % 2 == 0:
            session.heal()
    if rng.random() < 0.3:
        session.close()


def start_again(disk: Disk, owed: Owed, power_cut: bool) -> None:
    """What recovery finds is what is owed, and it goes on from there."""
    view = read_log(disk)
    owed.check(view, power_cut)
    check_durable_claim(disk, view)
    assert verify(disk).ok
    session = Session(disk, owed, epoch=2)
    session.append([10, 20])
    session.sync()
    assert owed.durable == len(owed.log)
    owed.check(read_log(disk), power_cut)
    disk.cut_power()
    owed.check(read_log(disk), power_cut=True)
