"""The simulated supervisor process: the service's own core over the service's own log.

It does what the runtime's engine, disk and recovery do, and nothing else: every decision is the
core's.
"""

from osupervisor.bridge import frames, packing
from osupervisor.bridge.port_messages import PORT_FRAME_BYTES_MAX
from osupervisor.supervisor.core.core import Core
from osupervisor.supervisor.core.fold import Fold, split_commit
from osupervisor.supervisor.core.outbox import (
    Action,
    AnswerFromLog,
    BeginCheckpoint,
    ForkBrain,
    GoesAlone,
    Granted,
    KeepDeadLetter,
    KillBrain,
    LoadBrain,
)
from osupervisor.wal import record as wal_record
from osupervisor.wal.errors import AppendFailed, ReopenFailed, TruncateFailed, WalError
from osupervisor.wal.record import Kind
from osupervisor.wal.recover import LogView, read_log, reopen
from osupervisor.wal.succession import Succession
from osupervisor.wal.writer import SyncTarget, Writer
from tests.simulation import bounds
from tests.simulation.crowd import Crowd
from tests.simulation.oracle import Memory, Violation
from tests.simulation.population import Checkpoint, Population
from tests.simulation.scene import Scene
from tests.wal.disk import Crash

SEGMENT_BYTES = 4096


class Shell:
    """One supervisor process, from its recovery on. Raises OSError, ReopenFailed."""

    def __init__(self, scene: Scene, crowd: Crowd, population: Population) -> None:
        self._scene = scene
        self._crowd = crowd
        self._population = population
        self._syncing: SyncTarget | Succession | None = None
        view = read_log(scene.disk)
        self.found = view.raw(1)
        fold, since_control = _fold(view, scene.sizes.memory)
        newest = view.raw(view.durable_lsn + 1)
        self._writer = self._reopen(view.durable_lsn, newest)
        _check_fold(fold, self.found, scene.sizes.memory)
        self.core = Core(
            fold,
            always=scene.oracle.always,
            boot=scene.rng.getrandbits(60),
            seed=scene.rng.getrandbits(64),
            limits=scene.sizes.limits,
            ring_bytes_max=scene.sizes.ring_bytes,
            since_control=since_control,
            newest=newest,
        )
        self.core.at(scene.now_us)

    def _reopen(self, durable: int, records: list[bytes]) -> Writer:
        scene = self._scene
        boot_id = scene.rng.randbytes(16)
        return reopen(scene.disk, boot_id, durable, records, segment_bytes_max=SEGMENT_BYTES)

    # --- a turn

    def turn(self) -> None:
        core = self.core
        core.at(self._scene.now_us)
        while records := core.turn():
            if not self._append(records):
                break
        bounds.check(core.context, self._scene.sizes.memory)
        self._carry_out()

    def _append(self, records: list[bytes]) -> bool:
        core = self.core
        self._keep_letters()
        log = core.context.log
        try:
            if log.batch[0].kind is Kind.CONTROL:
                self._writer.append_control(records[0], log.last + 1)
            else:
                self._writer.append(records, log.last + 1)
        except AppendFailed as error:
            for record in records[: error.whole]:
                self._scene.oracle.appended(record)
            core.cut_short(error.whole, str(error))
            return False
        except TruncateFailed as error:
            raise Crash("half a record") from error
        for record in records:
            self._scene.oracle.appended(record)
        core.written()
        return True

    def _keep_letters(self) -> None:
        """A letter is durable before the verdict that it belongs to is written."""
        for action in self.core.out.actions:
            if isinstance(action, KeepDeadLetter):
                self._scene.oracle.letters.add(action.key)

    def _carry_out(self) -> None:
        core = self.core
        actions, core.out.actions = core.out.actions, []
        for action in actions:
            self._act(action)
        for view in list(core.brains.values()):
            if view.records and self._scene.rng.random() < 0.7:
                view.frame_records()
            sent, view.out = view.out, []
            bodies, _ = frames.split(b"".join(sent), PORT_FRAME_BYTES_MAX)
            for body in bodies:
                self._population.tell(view.id, body)
        answers, core.out.answers = core.out.answers, []
        for waiter, outcome in answers:
            self._crowd.answer(waiter, outcome)

    def _act(self, action: Action) -> None:
        match action:
            case KillBrain(brain, reason):
                self._scene.note(f"kill {brain}: {reason}")
                self._population.end(brain, blame=False)
            case AnswerFromLog(waiter, lsn):
                commit = self._scene.oracle.log[lsn - 1].commit
                self._crowd.answer(waiter, split_commit(commit)[0])
            case LoadBrain(brain, _):
                self._population.tell(brain, packing.pack([2, "load", ["files"]]))
            case BeginCheckpoint(_, lsn, epoch, control):
                self._population.writing.append(Checkpoint(lsn, epoch, control))
            case KeepDeadLetter(key):
                self._scene.oracle.letters.add(key)
            case GoesAlone(brain, n):
                self._population.look_before(brain, n)
            case ForkBrain() | Granted():
                pass

    def tick(self) -> None:
        core = self.core
        core.at(self._scene.now_us)
        primary = core.primary
        brain = None if primary is None else self._population.brains.get(primary.id)
        core.tick(0 if brain is None else brain.cell)
        self._population.watch_memory()
        self._population.end_stopped()
        self._population.end_doomed()
        if brain is not None and brain.hung and not brain.large:
            call = core.overdue(brain.id, brain.cell, self._scene.sizes.limits.op_timeout_us + 1)
            if call is not None:
                brain.doom((core.context.lease.epoch, brain.cell))

    # --- the disk

    def begin_sync(self) -> None:
        log = self.core.context.log
        if self._syncing is None and not self.core.read_only and log.last > log.durable:
            full = self._writer.end > SEGMENT_BYTES // 2 and self._scene.rng.random() < 0.5
            self._syncing = self._writer.succession() if full else self._writer.sync_target()

    def end_sync(self) -> None:
        if self._syncing is None:
            return
        target, self._syncing = self._syncing, None
        self.core.at(self._scene.now_us)
        try:
            target.run()
        except OSError as error:
            self.core.sync_failed(str(error))
        else:
            self._synced(target)
        self._carry_out()

    def _synced(self, target: SyncTarget | Succession) -> None:
        if not self._writer.failed:
            self._writer.note_durable(target.lsn)
        if isinstance(target, Succession):
            try:
                self._writer.succeed(target)
            except AppendFailed as error:
                self.core.sync_failed(str(error))
                return
        self.core.synced(target.lsn)

    def heal(self) -> None:
        if not self.core.read_only or self._syncing is not None:
            return
        log = self.core.context.log
        self._writer.abandon()
        try:
            self._writer = self._reopen(log.durable, log.ring.since(log.durable + 1))
        except (OSError, WalError):
            return
        self.core.at(self._scene.now_us)
        self.core.healed()
        self._carry_out()


def start(scene: Scene, crowd: Crowd, population: Population) -> Shell | None:
    """A new supervisor; None: the disk did not let it start. Raises Crash."""
    try:
        return Shell(scene, crowd, population)
    except (OSError, ReopenFailed) as error:
        scene.note(f"start failed: {error}")
        return None


def _fold(view: LogView, memory: Memory) -> tuple[Fold, int]:
    """The fold from the newest control record on, and a number for the bytes behind that."""
    fold = memory.fold()
    first, since = 1, 0
    control = view.control_record()
    if control is not None:
        fold.restore(control.request)
        fold.count(control.lsn, control.t_us)
        first = control.lsn + 1
    for record in view.records(first):
        fold.apply(record)
        since += 100
    return fold, since


def _check_fold(fold: Fold, found: list[bytes], memory: Memory) -> None:
    """What was folded from the newest control record on equals the fold of everything."""
    whole = memory.fold()
    for data in found:
        decoded = wal_record.decode(data, 0)
        assert decoded is not None
        whole.apply(decoded[0])
    if whole.dump() != fold.dump():
        raise Violation("the fold from the control record is not the fold of the log")
