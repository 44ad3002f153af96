"""`python -m tests.simulation [--seeds N] [--start S] [--steps N] [--trace]`: run many seeds."""

import argparse
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.world import World


def try_seed(seed: int, steps: int) -> str:
    """Empty when the seed holds."""
    world = World(seed)
    try:
        world.start_supervisor()
        for _ in range(steps):
            world.step()
        world.settle(6000)
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"seed {seed} step {world.steps}: {type(error).__name__}: {error!s:.300} ({where.name} {where.filename.rsplit('/', 1)[-1]}:{where.lineno})"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    if options.trace:
        world = World(options.start)
        try:
            world.start_supervisor()
            for _ in range(options.steps):
                world.step()
            world.settle(6000)
        finally:
            print("\n".join(world.trace[-200:]))
        return 0
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
    print(f"a failing seed again: python -m tests.simulation --start SEED --trace")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
