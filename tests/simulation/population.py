"""The brains of one world: their lives, their ports, their deaths, the checkpoints they write."""

from dataclasses import dataclass
from typing import Any

from osupervisor.bridge import packing
from osupervisor.bridge.port_messages import READ_ID_MIN
from osupervisor.supervisor.core import key as keys
from osupervisor.supervisor.core.lease import Delivery
from osupervisor.supervisor.core.response import Response
from tests.simulation import toy
from tests.simulation.brain import Brain, BrainBug
from tests.simulation.oracle import Violation
from tests.simulation.scene import Scene

BRAINS_WANTED = 2
BRAINS_MAX = 4
MESSAGES_AT_ONCE = 6


@dataclass(slots=True)
class Checkpoint:
    """`state` is empty until its writer has it."""

    lsn: int
    epoch: int
    control: bytes
    state: bytes = b""


class Population:
    """All brain processes. They outlive a supervisor, not a power cut."""

    def __init__(self, scene: Scene) -> None:
        self.brains: dict[int, Brain] = {}
        self.parked: list[Brain] = []
        """Those that wait on their lines for a new supervisor."""
        self.checkpoints: list[Checkpoint] = []
        self.writing: list[Checkpoint] = []
        self._scene = scene
        self._newest = 1

    # --- ports

    def tell(self, brain: int, message: bytes) -> None:
        """A message of the supervisor, into the brain's port."""
        if brain in self.brains:
            self._scene.note(f"    S>B{brain}", message)
            self.brains[brain].inbox.append(message)

    def work(self) -> None:
        """A brain takes some messages from its port, and does what they say."""
        able = [brain for brain in self.brains.values() if brain.inbox and brain.able]
        if not able:
            return
        brain = self._scene.rng.choice(able)
        for _ in range(self._scene.rng.randint(1, MESSAGES_AT_ONCE)):
            if not brain.inbox or not brain.able:
                break
            self._step(brain)
            self._serve_wants(brain)
        if brain.dead:
            self.end(brain.id, blame=True)

    def _step(self, brain: Brain) -> None:
        """What a brain must die of is a bug, unless it is what it asked for."""
        try:
            brain.step()
        except BrainBug:
            if not brain.babbled:
                raise
            brain.dead = True

    def flush(self) -> None:
        for brain in self.brains.values():
            if brain.buffer and not brain.hung:
                brain.flush()

    def be_heard(self) -> None:
        """The supervisor reads some messages from a brain's port."""
        able = [brain for brain in self.brains.values() if brain.outbox]
        if self._scene.core is None or not able:
            return
        brain = self._scene.rng.choice(able)
        for _ in range(self._scene.rng.randint(1, MESSAGES_AT_ONCE)):
            if not brain.outbox:
                break
            self._hear(brain, brain.outbox.popleft())

    def _hear(self, brain: Brain, body: bytes) -> None:
        core = self._scene.core
        assert core is not None
        core.at(self._scene.now_us)
        inflight = core.context.lease.inflight
        alone = inflight[0] if len(inflight) == 1 and inflight[0].is_alone else None
        self._take(brain, body)
        holder = core.context.lease.holder
        if alone is not None and brain.babbled and holder is None and brain.id not in core.brains:
            self._scene.oracle.died(alone.key)

    def _take(self, brain: Brain, body: bytes) -> None:
        core = self._scene.core
        assert core is not None
        message: Any = packing.unpack(body)
        self._scene.note(f"    B{brain.id}>S", body)
        if message[0] == 2:
            self._hear_note(brain, message[1], message[2])
            return
        n, value = message[1], message[3]
        if n >= READ_ID_MIN:
            core.read_done(brain.id, n, value[1])
        elif len(value) == 2:
            core.responses(brain.id, [Response(n, value[0], value[1], None, b"")])
        else:
            if n in brain.nonsense:
                self._scene.oracle.died(keys.decode(brain.nonsense[n])[0])
            epoch, outcome, ops, effects = value
            commit = packing.pack(outcome) + packing.pack(ops) + packing.pack(effects)
            core.responses(brain.id, [Response(n, epoch, outcome, effects, commit)])

    def _hear_note(self, brain: Brain, method: str, params: list[Any]) -> None:
        core = self._scene.core
        assert core is not None
        if method == "fenced":
            core.fenced(brain.id, params[0])
        elif method == "ready":
            core.ready(
                brain.id,
                params[0]["lsn"],
                params[0]["epoch"],
                version="v",
                abilities=frozenset(),
                queries=toy.QUERIES,
            )
            if not brain.lease and not brain.inbox:
                self._scene.oracle.follower(brain.lsn, brain.state, f"brain {brain.id}")

    def babble(self) -> None:
        """A brain says what it must not: that harms nobody but itself."""
        if not self.brains or not self._scene.faults:
            return
        rng = self._scene.rng
        brain = rng.choice(list(self.brains.values()))
        done = toy.Done(b"\xc0\xc0", b"\x90", b"\x90")
        answer = [brain.lease + rng.randint(0, 1), done.outcome, done.ops, done.effects]
        said: list[Any] = rng.choice(
            (
                [2, "ready", [{"lsn": brain.lsn, "epoch": brain.epoch}]],
                [2, "fenced", [brain.lsn + rng.randint(-1, 1)]],
                [1, 1000, None, answer],
                [1, READ_ID_MIN + 10**6, None, [0, b"\xc0\xc0"]],
            )
        )
        brain.say(said)
        brain.babbled = True

    # --- births

    def keep_up(self) -> None:
        """Replace what is missing: warm from a living brain, or cold."""
        core = self._scene.core
        if core is None or len(self.brains) >= BRAINS_WANTED:
            return
        self._newest += 1
        if self._scene.rng.random() < 0.7 and core.want_fork(self._newest):
            return
        if len(self.brains) < BRAINS_MAX:
            self._spawn(self._newest, None)

    def _spawn(self, child: int, parent: Brain | None) -> None:
        brain = Brain(child)
        if parent is not None:
            brain.state = toy.State.unpacked(parent.state.packed())
            brain.lsn, brain.epoch = parent.lsn, parent.epoch
        self.brains[child] = brain
        brain.say_ready()

    def _serve_wants(self, brain: Brain) -> None:
        wants, brain.wants = brain.wants, []
        for want in wants:
            match want:
                case ["load", _]:
                    self._load(brain)
                case ["checkpoint", int(lsn), *_]:
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
        for record in self._scene.oracle.log[brain.lsn :]:
            brain.apply(record)
        brain.epoch = self._scene.oracle.epoch_at(brain.lsn)
        brain.say_ready()

    # --- deaths

    def lose_one(self) -> None:
        if self.brains and self._scene.faults:
            brain = self._scene.rng.choice(list(self.brains.values()))
            self.end(brain.id, blame=False)

    def look_before(self, brain_id: int, n: int) -> None:
        """A suspect goes alone to this brain."""
        brain = self.brains.get(brain_id)
        if brain is not None:
            brain.within_n = 0 if brain.large else n

    def watch_memory(self) -> None:
        """Those that are too large are ended."""
        for brain in list(self.brains.values()):
            if brain.large:
                self.end(brain.id, blame=False, outgrown=True)

    def end_stopped(self) -> None:
        for brain in list(self.brains.values()):
            if brain.stopped:
                self.end(brain.id, blame=False, halted=True)

    def end_doomed(self) -> None:
        """Those that ran something for too long, and had their time to tell where they were."""
        for brain in list(self.brains.values()):
            if brain.doomed is not None:
                brain.get_through()
                self.end(brain.id, blame=False, hung=brain.doomed)

    def end(
        self,
        brain_id: int,
        *,
        blame: bool,
        hung: Delivery | None = None,
        outgrown: bool = False,
        halted: bool = False,
    ) -> None:
        """A brain's process ends; its port is read to the end, unless that is left out."""
        brain, core = self.brains.get(brain_id), self._scene.core
        if brain is None:
            return
        if core is not None:
            if self._scene.rng.random() < 0.8:
                while brain.outbox:
                    self._hear(brain, brain.outbox.popleft())
            core.at(self._scene.now_us)
            lease = core.context.lease
            did_it_alone = (outgrown or halted) and len(lease.inflight) == 1
            if (blame or did_it_alone) and lease.holder is not None and lease.holder.id == brain.id:
                for call in lease.inflight:
                    if call.n == brain.n:
                        self._scene.oracle.died(call.key)
            if outgrown:
                core.outgrew(brain.id, brain.cell, brain.within_n)
            elif halted:
                core.halted(brain.id)
            else:
                core.died(brain.id, brain.cell, blame=blame, hung=hung)
        self.brains.pop(brain_id, None)

    def lag(self) -> None:
        """Followers fall behind, and catch up."""
        core = self._scene.core
        if core is None:
            return
        for view in list(core.brains.values()):
            if view.streaming and self._scene.rng.random() < 0.5:
                core.lagging(view.id)
            elif not view.streaming and core.primary is not view:
                core.drained(view.id)

    def park(self) -> None:
        """The supervisor is gone: brains read what is still in their ports, fence themselves and
        wait on their lines."""
        self.writing.clear()
        for brain in self.brains.values():
            while brain.inbox and brain.able:
                self._step(brain)
                brain.wants.clear()
            brain.doomed = None
            if not brain.able:
                continue
            brain.inbox.clear()
            brain.outbox.clear()
            brain.fence()
            self.parked.append(brain)
        self.brains = {}

    def reattach(self) -> None:
        """A new supervisor hands out ports; who doesn't take one is killed."""
        parked, self.parked = self.parked, []
        for brain in parked:
            if self._scene.rng.random() < 0.8:
                self.brains[brain.id] = brain
                brain.say_ready()

    # --- checkpoints

    def finish_checkpoints(self) -> None:
        """The manifest is renamed in once the log is durable that far."""
        core = self._scene.core
        if core is None or not self.writing:
            return
        durable = core.context.log.durable
        ready = [each for each in self.writing if each.state and durable >= each.lsn]
        for checkpoint in ready:
            self.writing.remove(checkpoint)
            if checkpoint.state != self._scene.oracle.state_at(checkpoint.lsn):
                raise Violation(f"11: checkpoint {checkpoint.lsn} is not the fold")
            self.checkpoints.append(checkpoint)

    # --- the end

    def check(self) -> None:
        """Every brain that has nothing unconfirmed holds the fold of its LSN."""
        for brain in self.brains.values():
            while brain.inbox and brain.able:
                self._step(brain)
                brain.wants.clear()
            if not brain.undo:
                self._scene.oracle.follower(brain.lsn, brain.state, f"brain {brain.id}")
