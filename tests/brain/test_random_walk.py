"""Random supervisors: whatever is called, confirmed, fenced, killed or handed over, each brain
holds the state of its LSN, and the log is what executing its requests one after another gives.

The model is a second execution of the log, in this process. A failure prints its seed;
OSUPERVISOR_WALK_SEED repeats it alone, OSUPERVISOR_WALK_SEEDS runs more.
"""

import os
import random
import signal
from collections.abc import Callable
from typing import Any

import pytest

from osupervisor.brain.executor import Executor
from osupervisor.brain.follower import Follower, parts_of
from osupervisor.brain.packing import decode
from osupervisor.brain.program import compile_program
from osupervisor.brain.state import StateTree
from osupervisor.bridge import line as bridge_line
from osupervisor.wal.record import Kind
from osupervisor.wal.record import decode as decode_record
from tests.brain.brains import Counter
from tests.brain.driver import BrainEnd, Log, Nursery, Response, nursery, pack

STEPS = 60
SEEDS = int(os.environ.get("OSUPERVISOR_WALK_SEEDS", "12"))
ONLY = os.environ.get("OSUPERVISOR_WALK_SEED")


class Walk:
    """A supervisor without a plan."""

    def __init__(self, nest: Nursery, seed: int) -> None:
        self.nest = nest
        self.random = random.Random(seed)
        self.log = Log()
        self.epoch = 0
        self.spawned = 0
        self.unlogged: list[Response] = []
        self.primary = self.spawn_cold()
        self.followers = [self.spawn_cold()]
        self.grant()

    def step(self) -> None:
        steps: list[tuple[int, Callable[[], None]]] = [
            (30, self.call),
            (12, self.log_some),
            (3, self.fence),
            (2, self.hand_over),
            (2, self.kill_primary),
            (2, self.kill_follower),
            (2, self.new_supervisor),
            (2, self.spawn_from_follower),
            (2, self.spawn_from_primary),
            (1, self.check),
        ]
        weights = [weight for weight, _step in steps]
        self.random.choices(steps, weights)[0][1]()

    def call(self) -> None:
        """Some calls at once; their responses wait to be logged."""
        count = self.random.randrange(1, 6)
        for _ in range(count):
            self.primary.begin(*self.any_call())
        self.unlogged += [self.primary.response() for _ in range(count)]

    def any_call(self) -> tuple[Any, ...]:
        name = f"key{self.random.randrange(4)}"
        calls: list[tuple[Any, ...]] = [
            ("add", name, self.random.randrange(100)),
            ("put", name, self.random.randrange(100)),
            ("put", f"tree{name}", {"a": [1, {"b": name}], "n": self.random.random()}),
            ("fail", name),
            ("add", name, "not a number"),
            ("nothing",),
            ("draw",),
            ("get", name),
            ("cheat",),
            ("later", 1.5, name),
            ("leave", 1),
        ]
        return self.random.choice(calls)

    def log_some(self) -> None:
        """Append and confirm a few of the responses, and give the records to the followers."""
        count = self.random.randrange(len(self.unlogged) + 1)
        some, self.unlogged = self.unlogged[:count], self.unlogged[count:]
        records = [
            self.log.commit(response, self.primary.request_of(response.n))
            for response in some
            if response.ops is not None
        ]
        if some:
            self.primary.notify("confirm", some[-1].n, self.log.lsn)
        self.give(records)

    def give(self, records: list[bytes]) -> None:
        for follower in self.followers:
            follower.records(*records)

    def grant(self) -> None:
        self.epoch += 1
        record = self.log.lease(self.epoch)
        for brain in (self.primary, *self.followers):
            brain.records(record)
        self.primary.lease(self.epoch, self.log.lsn)
        self.unlogged.clear()

    def fence(self) -> None:
        self.primary.notify("fence")
        assert self.primary.expect("fenced") == [self.log.lsn]
        self.grant()

    def hand_over(self) -> None:
        self.primary.notify("fence")
        assert self.primary.expect("fenced") == [self.log.lsn]
        self.followers.append(self.primary)
        self.primary = self.followers.pop(0)
        self.grant()

    def kill_primary(self) -> None:
        """While it executes, or not."""
        if self.random.random() < 0.5:
            for _ in range(5):
                self.primary.begin(*self.any_call())
        self.primary.kill(signal.SIGKILL)
        self.nest.status_of(self.primary.pid)
        self.primary = self.followers.pop(0)
        if not self.followers:
            self.followers.append(self.spawn_cold())
        self.grant()

    def kill_follower(self) -> None:
        follower = self.followers.pop(self.random.randrange(len(self.followers)))
        follower.kill(signal.SIGKILL)
        self.nest.status_of(follower.pid)
        self.followers.append(self.spawn_cold())

    def new_supervisor(self) -> None:
        """Every brain gets a new port, and tells the LSN that it was confirmed at."""
        for brain in (self.primary, *self.followers):
            brain.new_port(self.epoch + 1)
            ready = brain.expect_ready()
            assert (ready["lsn"], ready["epoch"]) == (self.log.lsn, self.epoch)
        self.grant()

    def spawn_cold(self) -> BrainEnd:
        self.spawned += 1
        brain = self.nest.spawn(f"brain-{self.spawned}")
        brain.records(*self.log.records)
        return brain

    def spawn_from_follower(self) -> None:
        self.followers.append(self.spawn_from(self.random.choice(self.followers)))
        if len(self.followers) > 3:
            self.followers.pop(0).notify("shutdown")

    def spawn_from_primary(self) -> None:
        self.log_all()
        self.followers.append(self.spawn_from(self.primary))

    def log_all(self) -> None:
        while self.unlogged:
            self.log_some()

    def spawn_from(self, parent: BrainEnd) -> BrainEnd:
        self.spawned += 1
        child = self.nest.brain_end()
        brain_id = f"brain-{self.spawned}"
        bridge_line.send(parent.line, ["spawn", brain_id], child.descriptors())
        child.given()
        parent.notify("spawn", brain_id)
        ready = child.expect_ready()
        assert parent.expect_spawned() == [brain_id, ready["pid"]]
        assert (ready["id"], ready["lsn"], ready["epoch"]) == (brain_id, self.log.lsn, self.epoch)
        return child

    def check(self) -> None:
        """Every brain against the fold of the log, byte by byte; the primary undone first."""
        self.fence()
        folded = check_log(self.log)
        for brain in (self.primary, *self.followers):
            assert brain.ping() == {"lsn": self.log.lsn, "epoch": self.epoch}
            assert pack(brain.state()) == pack(folded.plain()[0])
        assert self.primary.hot.snapshot().counters == folded.plain()[1]


def check_log(log: Log) -> StateTree:
    """The state that the log gives; each of its requests is executed again on the way."""
    follower = Follower(StateTree())
    executor = Executor(compile_program(Counter), follower.tree)
    for packed in log.records:
        found = decode_record(packed, 0)
        assert found is not None
        record = found[0]
        if record.kind is Kind.COMMIT:
            outcome, ops, effects, undo = executor.execute(
                decode(record.key), decode(record.request)
            )
            assert parts_of(record.commit) == (outcome, ops, effects), record
            if undo is not None:
                follower.tree.rollback(undo)
        follower.apply(packed)
    return follower.tree


@pytest.mark.parametrize("seed", [int(ONLY)] if ONLY else range(SEEDS))
def test_every_brain_holds_the_state_of_its_lsn(seed: int) -> None:
    print(f"repeat with OSUPERVISOR_WALK_SEED={seed} pytest {__file__}")
    with nursery() as nest:
        walk = Walk(nest, seed)
        for _ in range(STEPS):
            walk.step()
        walk.check()
