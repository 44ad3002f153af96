"""`python -m tests.simulation [--seeds N] [--start S] [--steps N] [--trace]`: run many seeds."""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.simulation.planted import planted
from tests.simulation.world import STEPS, World

TRACE_ROWS = 200
CHUNK_SEEDS = 20
FAILURES_SHOWN = 20


def try_seed(seed: int, steps: int = STEPS) -> str:
    """Empty when the seed holds, else what is wrong."""
    world = World(seed)
    try:
        for _ in range(steps):
            world.step()
        world.settle()
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{where.name}, {Path(where.filename).name}:{where.lineno}"
        what = f"{type(error).__name__}: {error!s:.300}"
        return f"seed {seed} step {world.scene.step}: {what} ({place})"
    return ""


def failures(seeds: range, steps: int = STEPS) -> Iterator[str]:
    """What is wrong with each seed that fails; every core is used."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        tried = pool.map(try_seed, seeds, [steps] * len(seeds), chunksize=CHUNK_SEEDS)
        yield from filter(None, tried)


def first_failure(plant: str, seeds: int) -> str | None:
    """The first seed that finds a planted bug; None: none of `seeds` does."""
    with planted(plant):
        return next((found for seed in range(seeds) if (found := try_seed(seed))), None)


def show(seed: int, steps: int) -> int:
    """Run one seed and print the end of its trace."""
    world = World(seed)
    try:
        for _ in range(steps):
            world.step()
        world.settle()
    finally:
        print("\n".join(map(str, world.trace[-TRACE_ROWS:])))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    if options.trace:
        return show(options.start, options.steps)
    begun = time.monotonic()
    failed = 0
    for failure in failures(range(options.start, options.start + options.seeds), options.steps):
        failed += 1
        if failed <= FAILURES_SHOWN:
            print(failure, flush=True)
    taken = time.monotonic() - begun
    print(f"{options.seeds} seeds from {options.start}: {failed} failed, {taken:.1f} s")
    print("a failing seed again: python -m tests.simulation --start SEED --trace")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
