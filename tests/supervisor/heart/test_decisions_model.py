"""Random lives of a supervisor: whatever comes, in whatever order, the rules of the table hold."""

import random
import signal

import pytest

from osupervisor.supervisor.heart.actions import Action, Exit, Send, Start, StartSpare
from osupervisor.supervisor.heart.decisions import Decisions, Limits, Phase

SEEDS = 500
STEPS = 200
NOTES = [
    {"READY": "1"},
    {"WATCHDOG": "1"},
    {"WATCHDOG": "trigger"},
    {"STATUS": "x"},
    {"EXTEND_TIMEOUT_USEC": "5000000"},
    {"STOPPING": "1"},
    {"EXIT_STATUS": "78"},
]
WEIGHTS = [20, 40, 1, 10, 3, 1, 1]


class World:
    """A supervisor that lives or not, and what the decisions may do to it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.decisions = Decisions(Limits(3, 2, 4, 1, spare=self.random.random() < 0.5))
        self.now = 0.0
        self.alive = False
        self.spare = False
        self.killed_at: float | None = None
        self.stop_asked_at: float | None = None
        self.exit: Exit | None = None

    def carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            assert self.exit is None, "nothing after the exit"
            match action:
                case Start():
                    assert not self.alive, "two supervisors at once"
                    assert self.stop_asked_at is None, "a start after a stop was asked for"
                    assert action.spare == self.spare, "a spare forgotten, or none to wake"
                    self.alive, self.spare, self.killed_at = True, False, None
                case StartSpare():
                    assert not self.spare
                    self.spare = True
                case Send():
                    assert self.alive, "a signal to nobody"
                    if action.signum == signal.SIGKILL:
                        self.killed_at = self.now
                case Exit():
                    assert not self.alive, "an exit that leaves the supervisor alive"
                    self.exit = action
                case _:
                    pass

    def die(self, status: int | None) -> None:
        self.alive = False
        self.carry_out(self.decisions.ended(self.now, status, self.random.random()))

    def step(self) -> None:
        self.now += self.random.expovariate(4)
        event = self.random.random()
        if self.alive and self.killed_at is not None:
            self.die(-9)
        elif event < 0.6 and self.alive:
            (note,) = self.random.choices(NOTES, WEIGHTS)
            self.carry_out(self.decisions.told(self.now, note))
        elif event < 0.7 and self.alive:
            self.die(self.random.choice([0, 1, -9, -11, None, 78]))
        elif event < 0.71:
            self.ask(self.random.choice([signal.SIGTERM, signal.SIGINT]))
        elif event < 0.75 and self.spare:
            self.spare = False
            self.decisions.spare_ended(self.now)
        self.carry_out(self.decisions.tick(self.now))

    def ask(self, signum: int) -> None:
        if self.stop_asked_at is None:
            self.stop_asked_at = self.now
        self.carry_out(self.decisions.signalled(self.now, signum))


@pytest.mark.parametrize("first", range(0, SEEDS, 100))
def test_the_rules_hold_in_any_order_of_events(first: int) -> None:
    for seed in range(first, first + 100):
        print(f"seed {seed}")
        world = World(seed)
        world.carry_out(world.decisions.begin(0.0))
        for _ in range(STEPS):
            if world.exit is not None:
                assert world.decisions.phase is Phase.ENDED
                assert world.decisions.due() is None
                break
            assert world.alive or world.decisions.due() is not None, "nothing will ever happen"
            world.step()


@pytest.mark.parametrize("first", range(0, SEEDS, 100))
def test_a_stop_ends_in_bounded_time_however_the_supervisor_behaves(first: int) -> None:
    for seed in range(first, first + 100):
        print(f"seed {seed}")
        world = World(seed)
        world.carry_out(world.decisions.begin(0.0))
        for _ in range(world.random.randrange(60)):
            if world.exit is None:
                world.step()
        if world.exit is None:
            world.ask(signal.SIGTERM)
        while world.exit is None:
            due = world.decisions.due()
            world.now = max(world.now, due) if due is not None else world.now
            world.carry_out(world.decisions.tick(world.now))
            if world.alive and world.killed_at is not None:
                world.die(-9)
        assert world.stop_asked_at is None or world.now <= world.stop_asked_at + 10
