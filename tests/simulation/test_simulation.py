"""The service's own core in the simulator: many seeds, and the bugs that it must find."""

import pytest

from osupervisor.supervisor.core import core, execution
from osupervisor.supervisor.core.context import Context
from tests.simulation.__main__ import failures, first_failure, try_seed
from tests.simulation.planted import PLANTS
from tests.simulation.scene import Row
from tests.simulation.world import STEPS, World
from tests.source import needs_source

SEEDS = 2000


def test_every_seed_holds() -> None:
    found = list(failures(range(SEEDS)))
    assert not found, "\n".join(found)


def _trace(seed: int) -> list[Row]:
    world = World(seed)
    for _ in range(STEPS):
        world.step()
    return world.trace


def test_a_seed_repeats_exactly() -> None:
    assert _trace(7) == _trace(7)


def test_faults_of_every_kind_happen() -> None:
    """What a simulation does not do, it does not test."""
    happened = {row.what for seed in range(40) for row in _trace(seed)}
    wanted = {
        "brain_dies", "supervisor_dies", "supervisor_dies_in_io", "power_fails", "disk_breaks",
        "heal", "follower_lags", "checkpoint_ends", "connections_break", "crash",
    }  # fmt: skip
    assert wanted <= happened


@needs_source(core)
def test_leases_use_up_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    renew = execution.renew
    ended = 0

    def counted(context: Context) -> None:
        nonlocal ended
        before = context.lease.primary
        renew(context)
        ended += before is not None and context.lease.primary is None

    monkeypatch.setattr(execution, "renew", counted)
    for seed in range(40):
        try_seed(seed)
    assert ended > 80


@needs_source(core)
@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_found_within_2000_seeds(name: str) -> None:
    assert first_failure(name, SEEDS) is not None, f"{name}: not found in {SEEDS} seeds"
