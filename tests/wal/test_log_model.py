"""The log against its oracle under any sequence of appends, faults, deaths and power cuts."""

from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from osupervisor.wal import reader, retention
from osupervisor.wal.errors import ReopenFailed, TruncateFailed
from osupervisor.wal.record import decode
from osupervisor.wal.recover import read_log
from osupervisor.wal.verify import verify
from tests.wal.disk import Crash, Disk, Fault
from tests.wal.session import SEGMENT_BYTES_MAX, Owed, Session, check_durable_claim

FAULTS: list[Fault] = ["crash", "crash after", "EIO", "ENOSPC", "short"]


class Log(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.owed = Owed()
        self.epoch = 0

    @initialize(seed=st.integers(0, 2**32))
    def start(self, seed: int) -> None:
        self.disk = Disk(seed)
        self.session: Session | None = None

    @rule()
    @precondition(lambda self: self.session is None)
    def start_a_process(self) -> None:
        self.epoch += 1
        try:
            self.session = Session(self.disk, self.owed, self.epoch)
        except Crash:
            self.die(power_cut=False)
        except ReopenFailed:
            self.die(power_cut=False)

    @rule(sizes=st.lists(st.integers(0, SEGMENT_BYTES_MAX), min_size=1, max_size=6))
    @precondition(lambda self: self.session is not None)
    def append(self, sizes: list[int]) -> None:
        self.run(lambda session: session.append(sizes))

    @rule(size=st.integers(0, 700))
    @precondition(lambda self: self.session is not None)
    def append_control(self, size: int) -> None:
        self.run(lambda session: session.append_control(size))

    @rule()
    @precondition(lambda self: self.session is not None)
    def sync(self) -> None:
        self.run(lambda session: session.sync())

    @rule()
    @precondition(lambda self: self.session is not None)
    def begin_succession(self) -> None:
        self.run(lambda session: session.begin_succession())

    @rule()
    @precondition(lambda self: self.session is not None)
    def end_succession(self) -> None:
        self.run(lambda session: session.end_succession())

    @rule()
    @precondition(lambda self: self.session is not None)
    def heal(self) -> None:
        self.run(lambda session: session.heal())

    @rule(steps_ahead=st.integers(1, 12), fault=st.sampled_from(FAULTS))
    def plan_a_fault(self, steps_ahead: int, fault: Fault) -> None:
        self.disk.faults[self.disk.steps + steps_ahead] = fault

    @rule(full=st.booleans(), syncs_fail=st.booleans(), truncates_fail=st.booleans())
    def change_the_disk(self, full: bool, syncs_fail: bool, truncates_fail: bool) -> None:
        self.disk.full = full
        self.disk.syncs_fail = syncs_fail
        self.disk.truncates_fail = truncates_fail

    @rule()
    @precondition(lambda self: self.session is not None)
    def stop(self) -> None:
        self.run(lambda session: session.close())
        self.die(power_cut=False)

    @rule(power_cut=st.booleans())
    def die(self, power_cut: bool) -> None:
        if power_cut:
            self.disk.cut_power()
        else:
            self.disk.kill()
        self.session = None
        view = read_log(self.disk)
        self.owed.check(view, power_cut)
        check_durable_claim(self.disk, view)
        assert verify(self.disk).ok

    @invariant()
    def a_follower_reads_what_is_owed(self) -> None:
        if self.session is None:
            return
        view = read_log(self.disk)
        commits = [
            found
            for part in view.segments
            for found in reader.iter_commits(
                self.disk.open(part.name), part.first_lsn - 1, part.last_lsn
            )
        ]
        expected = [
            (found[0].lsn, found[0].epoch, found[0].commit)
            for raw in self.owed.log
            if (found := decode(raw, 0)) is not None and found[0].kind == 1
        ]
        assert commits == expected

    @invariant()
    def leftovers_are_bounded(self) -> None:
        assert len([name for name in self.disk.names() if name.endswith(".torn")]) <= 10
        assert len([name for name in self.disk.names() if name.endswith(".tmp")]) <= 4
        assert len(retention.extents(self.disk)) <= len(self.owed.log) + 2

    def run(self, act: Callable[[Session], None]) -> None:
        assert self.session is not None
        try:
            act(self.session)
        except Crash:
            self.die(power_cut=self.disk.rng.random() < 0.5)
        except TruncateFailed:
            self.die(power_cut=False)


Log.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLog = Log.TestCase
