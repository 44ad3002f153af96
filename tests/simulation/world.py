"""The world of one seed: supervisor, disk, brains, clients, faults; one random step at a time."""

import random
from bisect import bisect
from collections.abc import Callable
from itertools import accumulate

from tests.simulation import shell
from tests.simulation.crowd import Crowd
from tests.simulation.oracle import Oracle, Violation
from tests.simulation.population import Population
from tests.simulation.scene import Row, Scene, Sizes
from tests.simulation.shell import Shell
from tests.wal.disk import Crash, Disk

STEP_US = 20_000
STEPS = 400
SETTLE_STEPS = 6000
START_CRASHES = 0.1
LOOK_STEPS = 8
"""How often it is looked whether all is settled."""


class World:
    """One run. `step` does one thing; `settle` ends the faults and waits for every answer."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        sizes = Sizes.draw(rng)
        self.scene = Scene(rng, Disk(seed), sizes, Oracle(rng.random() < 0.5, sizes.memory))
        self.crowd = Crowd(self.scene)
        self.population = Population(self.scene)
        self.shell: Shell | None = None
        self._power_cut = False
        weighted = self._weighted()
        self._actions = [action for _, action in weighted]
        self._weights = list(accumulate(weight for weight, _ in weighted))
        self._start()

    def _weighted(self) -> list[tuple[float, Callable[[], None]]]:
        return [
            (20, self.client_sends),
            (14, self.call_arrives),
            (20, self.turn),
            (22, self.brain_works),
            (10, self.brains_flush),
            (20, self.port_is_read),
            (5, self.sync_begins),
            (6, self.sync_ends),
            (8, self.time_passes),
            (3, self.tick),
            (3, self.population_keeps_up),
            (1.0, self.checkpoint_is_wanted),
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
            (0.3, self.brain_babbles),
        ]

    @property
    def trace(self) -> list[Row]:
        return self.scene.trace

    def step(self) -> None:
        self.scene.step += 1
        drawn = self.scene.rng.random() * self._weights[-1]
        action = self._actions[bisect(self._weights, drawn)]
        self.scene.note(action.__name__)
        try:
            action()
        except Crash:
            self.scene.note("crash")
            self._supervisor_gone()
        if self.shell is None:
            self._start()

    # --- what goes on

    def client_sends(self) -> None:
        self.crowd.send()

    def call_arrives(self) -> None:
        self.crowd.arrive()

    def turn(self) -> None:
        if self.shell is not None:
            self.shell.turn()

    def brain_works(self) -> None:
        self.population.work()

    def brains_flush(self) -> None:
        self.population.flush()

    def port_is_read(self) -> None:
        self.population.be_heard()

    def sync_begins(self) -> None:
        if self.shell is not None:
            self.shell.begin_sync()

    def sync_ends(self) -> None:
        if self.shell is not None:
            self.shell.end_sync()

    def heal(self) -> None:
        if self.shell is not None:
            self.shell.heal()

    def tick(self) -> None:
        if self.shell is not None:
            self.shell.tick()

    def time_passes(self) -> None:
        self.scene.now_us += self.scene.rng.choice((1, STEP_US, STEP_US, 20 * STEP_US))

    def population_keeps_up(self) -> None:
        self.population.keep_up()

    def checkpoint_is_wanted(self) -> None:
        if self.shell is not None:
            self.shell.core.want_checkpoint()

    def checkpoint_ends(self) -> None:
        self.population.finish_checkpoints()

    # --- what goes wrong

    def connections_break(self) -> None:
        self.crowd.reconnect()

    def brain_dies(self) -> None:
        self.population.lose_one()

    def follower_lags(self) -> None:
        self.population.lag()

    def brain_babbles(self) -> None:
        self.population.babble()

    def supervisor_dies(self) -> None:
        if self.scene.faults:
            self._supervisor_gone()

    def supervisor_dies_in_io(self) -> None:
        """At one of its next disk operations, before or after it is done."""
        if self.scene.faults:
            disk, rng = self.scene.disk, self.scene.rng
            disk.faults[disk.steps + rng.randint(1, 6)] = rng.choice(("crash", "crash after"))

    def power_fails(self) -> None:
        if not self.scene.faults:
            return
        self._supervisor_gone()
        self.population.parked.clear()
        self.scene.disk.cut_power()
        self.crowd.lose_power()
        self.scene.oracle.refused.clear()
        self._power_cut = True

    def disk_breaks(self) -> None:
        if not self.scene.faults:
            return
        disk, rng = self.scene.disk, self.scene.rng
        choice = rng.randrange(4)
        if choice == 0:
            disk.full = True
        elif choice == 1:
            disk.syncs_fail = True
        else:
            disk.faults[disk.steps + rng.randint(1, 4)] = rng.choice(("EIO", "ENOSPC", "short"))

    def disk_recovers(self) -> None:
        self.scene.disk.full = self.scene.disk.syncs_fail = False
        if not self.scene.faults:
            self.scene.disk.faults.clear()

    def _supervisor_gone(self) -> None:
        if self.shell is not None and self.scene.rng.random() < 0.5:
            self.crowd.copies.clear()
        self.shell = self.scene.core = None
        self.scene.disk.kill()
        self.population.park()
        self.crowd.forget_copies()

    def _start(self) -> None:
        """Heart starts a supervisor; it takes over the brains that live."""
        scene = self.scene
        if scene.faults and scene.rng.random() < START_CRASHES:
            scene.disk.faults[scene.disk.steps + scene.rng.randint(1, 8)] = "crash"
        try:
            self.shell = shell.start(scene, self.crowd, self.population)
        except Crash:
            scene.note("crash at a start")
            scene.disk.kill()
            return
        if self.shell is None:
            self.disk_recovers()
            return
        whole = max((each.lsn for each in self.population.checkpoints), default=0)
        scene.oracle.recovered(self.shell.found, power_cut=self._power_cut, checkpoint=whole)
        self._power_cut = False
        scene.core = self.shell.core
        self.population.reattach()

    # --- the end

    def settle(self, steps: int = SETTLE_STEPS) -> None:
        """No more faults: every call must be answered, every cast and timer done."""
        self.scene.faults = False
        self.disk_recovers()
        for number in range(steps):
            self.step()
            if number % LOOK_STEPS == 0 and self._is_settled():
                break
        else:
            raise Violation(f"13: not settled after {steps} steps: {self._unsettled()}")
        self._check_end()

    def _is_settled(self) -> bool:
        if self.shell is None or any(client.open for client in self.crowd.clients):
            return False
        context = self.shell.core.context
        return not (context.fold.pending or context.live or self.shell.core.primary is None)

    def _unsettled(self) -> str:
        if self.shell is None:
            return "no supervisor"
        context = self.shell.core.context
        waiting = [sent for client in self.crowd.clients for sent in client.open.values()]
        return (
            f"open {waiting[:3]}, live {list(context.live)[:5]},"
            f" pending {list(context.fold.pending)[:5]}, lease {context.lease.state},"
            f" mode {context.mode}, brains {list(self.population.brains)}"
        )

    def _check_end(self) -> None:
        assert self.shell is not None
        self.population.check()
        self.scene.oracle.check_tokens()


def run(seed: int, steps: int = STEPS) -> World:
    """One seed, to its end. Raises what is wrong; the world's trace tells how it came."""
    world = World(seed)
    for _ in range(steps):
        world.step()
    world.settle()
    return world
