"""72,000 random requests: tree, follower, reference and plain Python are equal; undo restores."""

from random import Random

import pytest

from osupervisor.brain import journal
from tests.brain.state.twins import Twins
from tests.source import needs_source

REQUESTS = 72_000
SEEDS = 12
WINDOW = 8


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=needs_source(journal) if seed % 2 else ()) for seed in range(SEEDS)],
)
def test_random_requests_equal_plain_python_and_are_followed_and_undone(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"seed {seed}: pytest {__file__} -k '[{seed}]'")
    if seed % 2:
        monkeypatch.setattr(journal, "ORDER_KEPT_MIN", 2)
        monkeypatch.setattr(journal, "ORDERS_MAX", 3)
        monkeypatch.setattr(journal, "SPOTS_MAX", 4)
    rng = Random(seed)
    twins = Twins(rng)
    waiting: list[bytes] = []
    for _ in range(REQUESTS // SEEDS):
        form = rng.random()
        if form < 0.1:
            twins.aborted(rng.randrange(1, 6))
        elif form < 0.2 and waiting:
            count = rng.randrange(1, len(waiting) + 1)
            twins.rollback(count, together=rng.random() < 0.5)
            del waiting[-count:]
        else:
            ops = twins.request(rng.randrange(1, 6))
            if ops is not None:
                waiting.append(ops)
        if len(waiting) >= WINDOW:
            twins.confirm(waiting)
            waiting.clear()
            if rng.random() < 0.2:
                twins.change_roles()
    twins.confirm(waiting)
    assert twins.refused < REQUESTS // SEEDS // 10, "the actions hardly ever succeed"
