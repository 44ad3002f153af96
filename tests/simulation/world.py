"""The world of one seed: supervisor, disk, brains, clients and faults, one random step at a time.

The supervisor is the service's own core over the service's own log; its shell is this file. Every
choice comes from one generator: a seed that fails, fails again.
"""

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from osupervisor.bridge import frames, packing
from osupervisor.bridge.port_messages import PORT_FRAME_BYTES_MAX, READ_ID_MIN
from osupervisor.supervisor.core import key as keys
from osupervisor.supervisor.core.call import Call, Waiter
from osupervisor.supervisor.core.context import Limits
from osupervisor.supervisor.core.core import Core
from osupervisor.supervisor.core.fold import Fold, split_commit
from osupervisor.supervisor.core.key import encode as encode_key
from osupervisor.supervisor.core.outbox import (
    AnswerFromLog,
    BeginCheckpoint,
    ForkBrain,
    KillBrain,
    LoadBrain,
)
from osupervisor.wal import record as wal_record
from osupervisor.wal.errors import AppendFailed, TruncateFailed, WalError
from osupervisor.wal.record import Kind
from osupervisor.wal.recover import read_log, reopen
from osupervisor.wal.writer import SyncTarget, Writer
from tests.simulation import toy
from tests.simulation.brain import Brain
from tests.simulation.client import KINDS, Client, Sent
from tests.simulation.oracle import Oracle, Violation
from tests.wal.disk import Crash, Disk

SEGMENT_BYTES = 4096
RING_BYTES = 3000
LIMITS = Limits(
    window=4, queue_max=12, queue_bytes_max=4000, op_timeout_us=1_000_000,
    wait_timeout_us=4_000_000, pending_max=40,
)  # fmt: skip
WINDOW_US = 60_000_000
KEYS_MAX = 200
BRAINS_WANTED = 2
BRAINS_MAX = 4
OPEN_CALLS_MAX = 4
STEP_US = 20_000


@dataclass(slots=True, eq=False)
class Asker:
    """Where an answer goes: one copy of one request, on one connection."""

    client: Client
    sent: Sent
    connection: int

    def answer(self, message_id: int, outcome: bytes) -> bool:
        raise AssertionError("the world hands out answers")

    def flush(self) -> None:
        raise AssertionError("the world hands out answers")


@dataclass(slots=True)
class Checkpoint:
    lsn: int
    epoch: int
    control: bytes
    state: bytes


@dataclass(frozen=True, slots=True)
class Copy:
    """One delivery of a request, on its way: with the `seen` that it was sent with."""

    client: Client
    sent: Sent
    seen: int
    connection: int


@dataclass(slots=True)
class Supervisor:
    """One supervisor process."""

    core: Core
    writer: Writer
    syncing: SyncTarget | None = None
    calls: list[Copy] = field(default_factory=list[Copy])


class World:
    """One run. `step` does one thing; `settle` ends the faults and waits for every answer."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.disk = Disk(seed)
        self.oracle = Oracle(always=self.rng.random() < 0.5)
        self.now_us = 1_000_000
        self.brains: dict[int, Brain] = {}
        self.parked: list[Brain] = []
        self.checkpoints: list[Checkpoint] = []
        self.writing: list[Checkpoint] = []
        self.clients = [
            Client(f"c{n}", KINDS[n % len(KINDS)], self.rng) for n in range(self.rng.randint(2, 5))
        ]
        for client in self.clients:
            client.renew(self.now_us)
        self.next_brain = 1
        self.connection = 0
        self.backlog: list[Copy] = []
        """Copies that wait in the listening socket while no supervisor lives."""
        self.faults = True
        self.poison = self.rng.random() < 0.3
        self.supervisor: Supervisor | None = None
        self.trace: list[str] = []
        self.steps = 0
        self._actions: list[tuple[float, Callable[[], None]]] = [
            (20, self.client_sends),
            (14, self.supervisor_receives_call),
            (20, self.turn),
            (22, self.brain_steps),
            (10, self.brain_flushes),
            (20, self.supervisor_reads_port),
            (5, self.sync_begins),
            (6, self.sync_ends),
            (8, self.time_passes),
            (3, self.tick),
            (3, self.keep_population),
            (1.0, self.want_checkpoint),
            (2.0, self.checkpoint_ends),
            (1.2, self.brain_dies),
            (0.4, self.follower_lags),
            (0.5, self.supervisor_dies),
            (0.3, self.supervisor_dies_in_io),
            (0.2, self.power_fails),
            (0.5, self.disk_breaks),
            (1.5, self.disk_recovers),
            (2.0, self.heal),
            (2.0, self.connections_break),
        ]
        self._weights = [weight for weight, _ in self._actions]

    def step(self) -> None:
        self.steps += 1
        _, action = self.rng.choices(self._actions, self._weights)[0]
        self.note(action.__name__)
        try:
            action()
        except Crash:
            self.note("crash")
            self._supervisor_gone()
        if self.supervisor is None:
            self.start_supervisor()

    def note(self, what: str) -> None:
        self.trace.append(f"{self.steps} {self.now_us} {what}")

    # --- clients

    def client_sends(self) -> None:
        client = self.rng.choice(self.clients)
        if len(client.open) < OPEN_CALLS_MAX and self.rng.random() < 0.6 and self.faults:
            sent = client.make(self.poison and self.rng.random() < 0.05)
        else:
            idle = [sent for sent in client.open.values() if sent.in_flight == 0]
            if not idle:
                return
            sent = self.rng.choice(idle)
            if sent.key is None and sent.deliveries:
                del client.open[sent.number]
                return
        self._send(client, sent)
        if sent.key is not None and self.rng.random() < 0.1 and self.faults:
            self._send(client, sent)

    def _send(self, client: Client, sent: Sent) -> None:
        if self.supervisor is None:
            return
        sent.in_flight += 1
        sent.deliveries += 1
        if sent.key is not None:
            self.oracle.refused.discard(sent.key)
        seen = client.seen if client.kind == "library" else 0
        self.supervisor.calls.append(Copy(client, sent, seen, self.connection))

    def supervisor_receives_call(self) -> None:
        supervisor = self.supervisor
        if supervisor is None or not supervisor.calls:
            return
        fresh = [c for c in supervisor.calls if c.connection == self.connection]
        late = self.rng.random() < 0.1 or not fresh
        copy = self.rng.choice(supervisor.calls if late else fresh[:2])
        supervisor.calls.remove(copy)
        sent, seen = copy.sent, copy.seen
        core = supervisor.core
        core.at(self.now_us)
        asker = Asker(copy.client, sent, copy.connection)
        core.call(
            Call(
                key=sent.key if sent.key is not None else "",
                key_bytes=b"" if sent.key is None else encode_key(sent.key, seen),
                seen=seen,
                op=sent.op,
                params=sent.params,
                crc=zlib.crc32(sent.params),
                waiters=[Waiter(asker, sent.number, sent.durable)],
                admitted_us=core.context.now_us,
                timeout_us=self.rng.choice((0, 0, 0, 500_000)),
                query=sent.op in toy.QUERIES,
            )
        )

    def connections_break(self) -> None:
        """Every client reconnects, and sends again what has no answer. Of the copies that were
        on their way some are lost, and some arrive late, perhaps when the client has its answer."""
        if self.supervisor is not None and self.rng.random() < 0.5:
            self.supervisor.calls.clear()
        self._forget_copies()

    def _forget_copies(self) -> None:
        self.connection += 1
        for client in self.clients:
            for sent in list(client.open.values()):
                sent.in_flight = 0
                if sent.key is None and sent.deliveries:
                    del client.open[sent.number]

    def _answer(self, waiter: Waiter, outcome: bytes) -> None:
        asker = waiter.asker
        assert isinstance(asker, Asker)
        client, sent = asker.client, asker.sent
        found: Any = packing.unpack(b"\x92" + outcome)
        code = found[0]["code"] if found[0] else ""
        if code == "ProtocolError":
            raise Violation(f"{sent.key} was refused: {found[0]['message']}")
        if sent.key is not None:
            self.oracle.answered(
                sent.key, outcome, durable=sent.durable, query=sent.op in toy.QUERIES
            )
        if sent.op == toy.READ and not code:
            assert self.supervisor is not None
            durable = self.supervisor.core.context.log.durable
            self.oracle.read(found[1], sent.knew, durable)
        if asker.connection != self.connection:
            return
        sent.in_flight = max(0, sent.in_flight - 1)
        if code in ("ReadOnly", "Overloaded", "Unavailable", "Timeout"):
            if code in ("ReadOnly", "Overloaded") and sent.deliveries == 1 and sent.key is not None:
                self.oracle.refuse(sent.key)
            if code != "Timeout" or not found[0]["data"]["final"]:
                if sent.key is None:
                    client.open.pop(sent.number, None)
                return
        client.open.pop(sent.number, None)
        if sent.key is not None and sent.key in self.oracle.final:
            client.seen_lsn = max(client.seen_lsn, self.oracle.final[sent.key])

    # --- the supervisor

    def start_supervisor(self) -> None:
        """Read the log, fold, reopen; take over the brains that live."""
        self.disk.full = self.disk.full and self.faults
        try:
            view = read_log(self.disk)
            found = view.raw(1)
            fold = Fold(WINDOW_US, KEYS_MAX, KEYS_MAX)
            first, since = 1, 0
            control = view.control_record()
            if control is not None:
                fold.restore(control.request)
                fold.count(control.lsn, control.t_us)
                first = control.lsn + 1
            for record in view.records(first):
                fold.apply(record)
                since += 100
            newest = view.raw(view.durable_lsn + 1)
            writer = reopen(
                self.disk, self.rng.randbytes(16), view.durable_lsn, newest,
                segment_bytes_max=SEGMENT_BYTES,
            )  # fmt: skip
        except (OSError, WalError) as error:
            if not isinstance(error, OSError) and "reopen" not in type(error).__name__.lower():
                raise
            self.note(f"start failed: {error}")
            self.disk_recovers()
            return
        except Crash:
            self.disk.kill()
            return
        whole = max((c.lsn for c in self.checkpoints), default=0)
        self.oracle.recovered(found, power_cut=self._power_cut, checkpoint=whole)
        self._power_cut = False
        self._check_full_fold(fold, found)
        core = Core(
            fold, always=self.oracle.always, boot=self.rng.getrandbits(60),
            seed=self.rng.getrandbits(64), limits=LIMITS, ring_bytes_max=RING_BYTES,
            since_control=since, newest=newest,
        )  # fmt: skip
        core.at(self.now_us)
        self.supervisor = Supervisor(core, writer, calls=self.backlog)
        self.backlog = []
        parked, self.parked = self.parked, []
        for brain in parked:
            if self.rng.random() < 0.8:
                self.brains[brain.id] = brain
                brain.say_ready()

    _power_cut = False

    def _check_full_fold(self, fold: Fold, found: list[bytes]) -> None:
        """What was folded from the newest control record on equals the fold of everything."""
        whole = Fold(WINDOW_US, KEYS_MAX, KEYS_MAX)
        for data in found:
            decoded = wal_record.decode(data, 0)
            assert decoded is not None
            whole.apply(decoded[0])
        if whole.dump() != fold.dump():
            raise Violation("the fold from the control record is not the fold of the log")

    def turn(self) -> None:
        supervisor = self.supervisor
        if supervisor is None:
            return
        core = supervisor.core
        core.at(self.now_us)
        while records := core.turn():
            log = core.context.log
            control = log.batch[0].kind is Kind.CONTROL
            try:
                if control:
                    supervisor.writer.append_control(records[0], log.last + 1)
                else:
                    supervisor.writer.append(records, log.last + 1)
            except AppendFailed as error:
                for record in records[: error.whole]:
                    self.oracle.appended(record)
                core.cut_short(error.whole, str(error))
                break
            except TruncateFailed as error:
                raise Crash("half a record") from error
            for record in records:
                self.oracle.appended(record)
            core.written()
        self._carry_out(core)

    def _carry_out(self, core: Core) -> None:
        actions, core.out.actions = core.out.actions, []
        for action in actions:
            match action:
                case KillBrain(brain, reason):
                    self.note(f"kill {brain}: {reason}")
                    self._end_brain(brain, blame=False)
                case AnswerFromLog(waiter, lsn):
                    self._answer(waiter, split_commit(self.oracle.log[lsn - 1].commit)[0])
                case LoadBrain(brain, _):
                    self._send_to(brain, packing.pack([2, "load", [{}]]))
                case BeginCheckpoint(_, lsn, epoch, control):
                    self.writing.append(Checkpoint(lsn, epoch, control, b""))
                case ForkBrain():
                    pass
                case _:
                    pass
        for view in list(core.brains.values()):
            if view.records and self.rng.random() < 0.7:
                view.frame_records()
            sent, view.out = view.out, []
            bodies, _ = frames.split(b"".join(sent), PORT_FRAME_BYTES_MAX)
            for body in bodies:
                self._send_to(view.id, body)
        answers, core.out.answers = core.out.answers, []
        for waiter, outcome in answers:
            self._answer(waiter, outcome)

    def _send_to(self, brain: int, body: bytes) -> None:
        if brain in self.brains:
            self.note(f"    S>B{brain} {_short(body)}")
            self.brains[brain].inbox.append(body)

    def tick(self) -> None:
        supervisor = self.supervisor
        if supervisor is None:
            return
        core = supervisor.core
        core.at(self.now_us)
        primary = core.primary
        brain = None if primary is None else self.brains.get(primary.id)
        core.tick(0 if brain is None else brain.cell)
        if brain is not None and brain.hung:
            call = core.overdue(brain.id, brain.cell, LIMITS.op_timeout_us + 1)
            if call is not None:
                self._end_brain(brain.id, blame=False, hung=True)

    def sync_begins(self) -> None:
        supervisor = self.supervisor
        if supervisor is None or supervisor.syncing or supervisor.core.read_only:
            return
        if supervisor.core.context.log.last > supervisor.core.context.log.durable:
            supervisor.syncing = supervisor.writer.sync_target()

    def sync_ends(self) -> None:
        supervisor = self.supervisor
        if supervisor is None or supervisor.syncing is None:
            return
        target, supervisor.syncing = supervisor.syncing, None
        supervisor.core.at(self.now_us)
        try:
            target.run()
        except OSError as error:
            supervisor.core.sync_failed(str(error))
        else:
            supervisor.core.synced(target.lsn)
        self._carry_out(supervisor.core)

    def heal(self) -> None:
        supervisor = self.supervisor
        if supervisor is None or not supervisor.core.read_only or supervisor.syncing:
            return
        log = supervisor.core.context.log
        supervisor.writer.abandon()
        try:
            supervisor.writer = reopen(
                self.disk, self.rng.randbytes(16), log.durable, log.ring.since(log.durable + 1),
                segment_bytes_max=SEGMENT_BYTES,
            )  # fmt: skip
        except (OSError, WalError):
            return
        supervisor.core.at(self.now_us)
        supervisor.core.healed()
        self._carry_out(supervisor.core)

    # --- brains

    def brain_steps(self) -> None:
        able = [b for b in self.brains.values() if b.inbox and not b.hung and not b.killed_by]
        if not able:
            return
        brain = self.rng.choice(able)
        for _ in range(self.rng.randint(1, 6)):
            if not brain.inbox or brain.hung or brain.killed_by:
                break
            brain.step()
            self._serve_wants(brain)
        if brain.killed_by:
            self._end_brain(brain.id, blame=True)

    def _serve_wants(self, brain: Brain) -> None:
        wants, brain.wants = brain.wants, []
        for want in wants:
            match want:
                case ["load", _]:
                    self._load(brain)
                case ["checkpoint", int(lsn), _]:
                    brain.flush()
                    for checkpoint in self.writing:
                        if checkpoint.lsn == lsn:
                            checkpoint.state = brain.state.packed()
                case ["spawn", int(child)]:
                    brain.flush()
                    self._spawn(child, brain)
                case _:
                    raise AssertionError(want)

    def _load(self, brain: Brain) -> None:
        """From the newest checkpoint and the log behind it, as far as the log goes now."""
        base = self.checkpoints[-1] if self.checkpoints and brain.lsn == 0 else None
        if base is not None:
            brain.state, brain.lsn = toy.State.unpacked(base.state), base.lsn
        for record in self.oracle.log[brain.lsn :]:
            brain.apply(record)
        brain.epoch = self.oracle.epoch_at(brain.lsn)
        brain.say_ready()

    def _spawn(self, child: int, parent: Brain | None) -> None:
        brain = Brain(child)
        if parent is not None:
            brain.state = toy.State.unpacked(parent.state.packed())
            brain.lsn, brain.epoch = parent.lsn, parent.epoch
        self.brains[child] = brain
        brain.say_ready()

    def brain_flushes(self) -> None:
        for brain in self.brains.values():
            if brain.buffer and not brain.hung:
                brain.flush()

    def supervisor_reads_port(self) -> None:
        able = [brain for brain in self.brains.values() if brain.outbox]
        if self.supervisor is None or not able:
            return
        brain = self.rng.choice(able)
        for _ in range(self.rng.randint(1, 6)):
            if not brain.outbox:
                break
            self._hear(brain, brain.outbox.popleft())

    def _hear(self, brain: Brain, body: bytes) -> None:
        assert self.supervisor is not None
        core = self.supervisor.core
        core.at(self.now_us)
        message: Any = packing.unpack(body)
        self.note(f"    B{brain.id}>S {_short(body)}")
        if message[0] == 2:
            method, params = message[1], message[2]
            if method == "ready":
                fields = params[0]
                core.ready(
                    brain.id, fields["lsn"], fields["epoch"], version="v",
                    abilities=frozenset(), queries=toy.QUERIES,
                )  # fmt: skip
                self._check_follower(brain)
            elif method == "fenced":
                core.fenced(brain.id, params[0])
            return
        n, value = message[1], message[3]
        if n >= READ_ID_MIN:
            core.read_done(brain.id, n, value[1])
        elif len(value) == 2:
            core.response(brain.id, n, value[0], value[1], None, b"")
        else:
            epoch, outcome, ops, effects = value
            commit = packing.pack(outcome) + packing.pack(ops) + packing.pack(effects)
            core.response(brain.id, n, epoch, outcome, effects, commit)

    def _check_follower(self, brain: Brain) -> None:
        if not brain.lease and not brain.inbox:
            self.oracle.follower(brain.lsn, brain.state, f"brain {brain.id}")

    def keep_population(self) -> None:
        if self.supervisor is None or len(self.brains) >= BRAINS_WANTED:
            return
        self.next_brain += 1
        core = self.supervisor.core
        if self.rng.random() < 0.7 and core.want_fork(self.next_brain):
            return
        if len(self.brains) < BRAINS_MAX:
            self._spawn(self.next_brain, None)

    def brain_dies(self) -> None:
        if self.brains and self.faults:
            brain = self.rng.choice(list(self.brains.values()))
            self._end_brain(brain.id, blame=False)

    def _end_brain(self, brain_id: int, *, blame: bool, hung: bool = False) -> None:
        """A brain's process ends; its port is read to the end, unless that is left out."""
        brain = self.brains.get(brain_id)
        if brain is None:
            return
        if self.supervisor is not None:
            if self.rng.random() < 0.8:
                while brain.outbox:
                    self._hear(brain, brain.outbox.popleft())
            core = self.supervisor.core
            core.at(self.now_us)
            if blame and brain.cell:
                self._count_death(brain)
            core.died(brain.id, brain.cell, blame=blame, hung=hung)
        self.brains.pop(brain_id, None)

    def _count_death(self, brain: Brain) -> None:
        key, _ = keys.decode(brain.killed_by)
        self.oracle.deaths[key] = self.oracle.deaths.get(key, 0) + 1

    def follower_lags(self) -> None:
        if self.supervisor is None:
            return
        core = self.supervisor.core
        for view in list(core.brains.values()):
            if view.streaming and self.rng.random() < 0.5:
                core.lagging(view.id)
            elif not view.streaming and core.primary is not view:
                core.drained(view.id)
        self._carry_out(core)

    # --- checkpoints

    def want_checkpoint(self) -> None:
        if self.supervisor is not None:
            self.supervisor.core.want_checkpoint()

    def checkpoint_ends(self) -> None:
        """The manifest is renamed in once the log is durable that far."""
        if self.supervisor is None or not self.writing:
            return
        log = self.supervisor.core.context.log
        ready = [c for c in self.writing if c.state and log.durable >= c.lsn]
        for checkpoint in ready:
            self.writing.remove(checkpoint)
            if checkpoint.state != self.oracle.state_at(checkpoint.lsn):
                raise Violation(f"11: checkpoint {checkpoint.lsn} is not the fold")
            self.checkpoints.append(checkpoint)

    # --- time and faults

    def time_passes(self) -> None:
        self.now_us += self.rng.choice((1, STEP_US, STEP_US, 20 * STEP_US))

    def supervisor_dies(self) -> None:
        if self.faults:
            self._supervisor_gone()

    def supervisor_dies_in_io(self) -> None:
        """At one of its next disk operations, before or after it is done."""
        if self.faults:
            at = self.disk.steps + self.rng.randint(1, 6)
            self.disk.faults[at] = self.rng.choice(("crash", "crash after"))

    def _supervisor_gone(self) -> None:
        """Brains read what is still in their ports, fence themselves and wait on their lines."""
        if self.supervisor is not None and self.rng.random() < 0.5:
            self.backlog = self.supervisor.calls
        self.supervisor = None
        self.disk.kill()
        self.writing.clear()
        self._forget_copies()
        for brain in self.brains.values():
            while brain.inbox and not brain.hung and not brain.killed_by:
                brain.step()
                brain.wants.clear()
            if brain.hung or brain.killed_by:
                continue
            brain.inbox.clear()
            brain.outbox.clear()
            brain.fence()
            self.parked.append(brain)
        self.brains = {}

    def power_fails(self) -> None:
        if not self.faults:
            return
        self._supervisor_gone()
        self.parked.clear()
        self.backlog = []
        self.disk.cut_power()
        self._power_cut = True
        for client in self.clients:
            client.name += "'"
            client.renew(self.now_us)
        self.oracle.refused.clear()

    def disk_breaks(self) -> None:
        if not self.faults:
            return
        choice = self.rng.randrange(4)
        if choice == 0:
            self.disk.full = True
        elif choice == 1:
            self.disk.syncs_fail = True
        else:
            at = self.disk.steps + self.rng.randint(1, 4)
            self.disk.faults[at] = self.rng.choice(("EIO", "ENOSPC", "short"))

    def disk_recovers(self) -> None:
        self.disk.full = self.disk.syncs_fail = False
        if not self.faults:
            self.disk.faults.clear()

    # --- the end

    def settle(self, steps: int) -> None:
        """No more faults: every call must be answered, every cast and timer done."""
        self.faults = False
        self.disk.faults.clear()
        self.disk_recovers()
        for _ in range(steps):
            self.step()
            if self._is_settled():
                break
        else:
            raise Violation(f"13: not settled after {steps} steps: {self._unsettled()}")
        self._check_end()

    def _is_settled(self) -> bool:
        core = self.supervisor.core if self.supervisor is not None else None
        return core is not None and not (
            any(client.open for client in self.clients)
            or core.context.fold.pending
            or core.context.live
            or core.primary is None
        )

    def _unsettled(self) -> str:
        core = self.supervisor.core if self.supervisor is not None else None
        if core is None:
            return "no supervisor"
        context = core.context
        waiting = [sent for client in self.clients for sent in client.open.values()]
        return (
            f"open {waiting[:3]}, live {list(context.live)[:5]},"
            f" pending {list(context.fold.pending)[:5]}, lease {context.lease.state}, mode {context.mode}, brains {list(self.brains)}"
        )

    def _check_end(self) -> None:
        core = self.supervisor.core if self.supervisor is not None else None
        assert core is not None
        context = core.context
        for brain in self.brains.values():
            while brain.inbox:
                brain.step()
                brain.wants.clear()
            if not brain.undo:
                self.oracle.follower(brain.lsn, brain.state, f"brain {brain.id}")
        if len(context.fold.done.strings) > KEYS_MAX:
            raise Violation("12: more string keys than keys_max")
        tokens = toy.State.unpacked(self.oracle.states[-1]).tokens
        if len(tokens) != len(set(tokens)):
            raise Violation("4: a request took effect twice")


def _short(body: bytes) -> str:
    message: Any = packing.unpack(body)
    if message[:2] == [2, "record"]:
        return f"records of {len(message[2][0])} bytes"
    return f"{message!r:.150}"


def run(seed: int, steps: int = 400, settle: int = 6000) -> World:
    """One seed, to its end. Raises what is wrong; the world's trace tells how it came."""
    world = World(seed)
    world.start_supervisor()
    for _ in range(steps):
        world.step()
    world.settle(settle)
    return world
