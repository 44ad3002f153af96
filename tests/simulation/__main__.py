"""`python -m tests.simulation [--seeds N] [--start S] [--steps N] [--trace]`: run many seeds."""

import argparse
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.simulation.planted import planted
from tests.simulation.world import World

SETTLE_STEPS = 6000
TRACE_ROWS = 200


def try_seed(seed: int, steps: int = 400) -> str:
    """Empty when the seed holds, else what is wrong."""
    world = World(seed)
    try:
        world.start_supervisor()
        for _ in range(steps):
            world.step()
        world.settle(SETTLE_STEPS)
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{where.name}, {Path(where.filename).name}:{where.lineno}"
        what = f"{type(error).__name__}: {error!s:.300}"
        return f"seed {seed} step {world.steps}: {what} ({place})"
    return ""


def first_failure(plant: str, seeds: int) -> str | None:
    """The first seed that finds a planted bug; None: none of `seeds` does."""
    with planted(plant):
        return next((found for seed in range(seeds) if (found := try_seed(seed))), None)


def show(seed: int, steps: int) -> int:
    """Run one seed and print the end of its trace."""
    world = World(seed)
    try:
        world.start_supervisor()
        for _ in range(steps):
            world.step()
        world.settle(SETTLE_STEPS)
    finally:
        print("\n".join(world.trace[-TRACE_ROWS:]))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    if options.trace:
        return show(options.start, options.steps)
    failures = 0
    begun = time.monotonic()
    seeds = range(options.start, options.start + options.seeds)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for failure in pool.map(try_seed, seeds, [options.steps] * len(seeds), chunksize=20):
            if failure:
                failures += 1
                print(failure, flush=True)
    taken = time.monotonic() - begun
    print(f"{options.seeds} seeds from {options.start}: {failures} failed, {taken:.1f} s")
    print("a failing seed again: python -m tests.simulation --start SEED --trace")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
