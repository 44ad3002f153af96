"""The core's actions: what becomes of those that can't be carried out."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from osupervisor.supervisor.core.outbox import LoadBrain
from osupervisor.supervisor.runtime.actions import Actions
from osupervisor.supervisor.runtime.brain_process import Verdict
from osupervisor.supervisor.runtime.brains import Brains
from osupervisor.supervisor.runtime.loading import Loading, NothingToLoad

ELSE: Any = None
"""What is done here needs no other part."""


def say(level: str, event: str, /, **fields: object) -> None:
    """Nobody reads it."""


@pytest.mark.parametrize(("after", "is_damage"), [(0, True), (7, False)])
def test_only_a_start_from_nothing_tells_that_the_log_is_damaged(
    after: int, is_damage: bool
) -> None:
    """A follower may have fallen behind what is kept of the log: another begins at a checkpoint."""

    def load(process: object, behind: int) -> None:
        raise NothingToLoad(f"records behind {behind} are in no segment")

    process = SimpleNamespace(loads=0)
    killed: list[object] = []
    damages: list[str] = []

    def kill(found: object, _: Verdict) -> None:
        killed.append(found)

    brains: dict[str, dict[int, object] | Callable[[object, Verdict], None]] = {
        "by_id": {1: process},
        "kill": kill,
    }
    actions = Actions(
        cast("Brains", SimpleNamespace(**brains)),
        ELSE,
        cast("Loading", SimpleNamespace(load=load)),
        ELSE,
        ELSE,
        ELSE,
        say,
        granted=ELSE,
        damaged=damages.append,
    )
    actions.carry_out(LoadBrain(1, after))
    assert killed == [process]
    assert bool(damages) is is_damage
