"""The service's own core in the simulator: many seeds, and the bugs that it must find."""

import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.simulation.__main__ import first_failure, try_seed
from tests.simulation.planted import PLANTS
from tests.simulation.world import World

SEEDS = 2000
STEPS = 400


def test_every_seed_holds() -> None:
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        failures = [each for each in pool.map(try_seed, range(SEEDS), chunksize=25) if each]
    assert not failures, "\n".join(failures)


def test_a_seed_repeats_exactly() -> None:
    def trace(seed: int) -> list[str]:
        world = World(seed)
        world.start_supervisor()
        for _ in range(STEPS):
            world.step()
        return world.trace

    assert trace(7) == trace(7)


def test_faults_of_every_kind_happen() -> None:
    """What a simulation does not do, it does not test."""
    happened: set[str] = set()
    for seed in range(40):
        world = World(seed)
        world.start_supervisor()
        for _ in range(STEPS):
            world.step()
        happened |= {row.split(maxsplit=2)[2] for row in world.trace}
    wanted = {
        "brain_dies", "supervisor_dies", "supervisor_dies_in_io", "power_fails", "disk_breaks",
        "heal", "follower_lags", "checkpoint_ends", "connections_break", "crash",
    }  # fmt: skip
    assert wanted <= happened


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_found_within_2000_seeds(name: str) -> None:
    assert first_failure(name, SEEDS) is not None, f"{name}: not found in {SEEDS} seeds"
