"""`kill -9` of the primary under a closed-loop client: from the kill to the next right answer.

    python benchmarks/kill_primary.py [--state 1GB] [--kills 200] [--seed 7] [--quick] [--json]

Goals (100,000 keys x 100 B, 200 kills): p50 <= 2 ms, p99 <= 15 ms; with 1 GB of state (20 kills)
p50 <= 5 ms; 0 failed, lost, doubled.

A client of the library calls in a closed loop; each call sets one key. Seeded, at a random moment
of a call's life, the same thread kills the primary. `next answer` is the time from before kill(2)
to the right answer of the first call that was *sent after* it, which only the standby can give; the
answer of the call that was in flight comes before it and is `in flight`. The calls go on for 100
ms, in which a new standby is forked: the slowest of them is `slowest_after`. Between two kills the
service gets its standby back. A model at the client checks every answer, and the whole state at the
end. The state of 1 GB is a second table, of 10,000 B values.

Floor, in turns with the kills: a primary and a standby behind socket pairs, noticed by futex; with
1 GB, a primary that holds as much memory.
"""

import argparse
import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import bare_standby
import figures
from caller import Caller, fill
from figures import Arguments, Figure
from service import Service

from osupervisor.config.duration import parse_size

VALUE_BYTES: Final = 100
BULK_BYTES: Final = 10_000
AFTER_S: Final = 0.1
CALL_S: Final = 0.0003
"""A little more than a call takes: the kill falls before, in and after its execution."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Seconds since the kill; `slowest_after`: of one call in the AFTER_S behind it."""

    in_flight: float
    next_answer: float
    slowest_after: float


def kill_once(service: Service, caller: Caller, source: random.Random) -> Kill:
    """Some calls, a kill somewhere in the next one, and the answers after it."""
    pid = service.wait_whole()["primary"]["pid"]
    for _ in range(source.randrange(20, 60)):
        caller.call()
    reply = caller.send()
    until = time.perf_counter() + source.random() * CALL_S
    while time.perf_counter() < until:
        pass
    killed = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    in_flight = caller.receive(reply)
    next_answer = answer = caller.call()
    slowest = 0.0
    while answer < killed + AFTER_S:
        before, answer = answer, caller.call()
        slowest = max(slowest, answer - before)
    return Kill(in_flight - killed, next_answer - killed, slowest)


def measure(arguments: Arguments) -> Sequence[Figure]:
    options = arguments.options
    large = options.state is not None
    keys = arguments.pick(full=100_000, quick=100_000, tiny=1000)
    kills = options.kills or arguments.pick(full=20 if large else 200, quick=15, tiny=3)
    state_bytes = parse_size(options.state) if large else 0
    source = random.Random(options.seed)
    found: list[Kill] = []
    floor: list[float] = []
    with Service() as service, service.client() as client:
        caller = Caller(client, keys, VALUE_BYTES, source)
        if state_bytes:
            fill(client, "bulk", state_bytes // BULK_BYTES, BULK_BYTES)
        for _ in range(kills):
            found.append(kill_once(service, caller, source))
            floor.append(bare_standby.kill_once(state_bytes))
        wrong = caller.wrong()
    wrong["calls"] = caller.calls
    return _figures(found, floor, wrong, large)


def _figures(
    found: list[Kill], floor: list[float], wrong: dict[str, float], large: bool
) -> list[Figure]:
    name = "kill -9 of the primary" + (", large state" if large else "")
    answers = [kill.next_answer * 1e3 for kill in found]
    bare = [seconds * 1e3 for seconds in floor]
    spread = figures.spread(answers)
    in_flight = figures.median([kill.in_flight * 1e3 for kill in found])
    slowest = [kill.slowest_after * 1e3 for kill in found]
    after = {
        "slowest_after_p50": figures.median(slowest),
        "slowest_after_worst": round(max(slowest), 3),
    }
    return [
        Figure(
            f"{name}: next answer, p50",
            "ms",
            spread["p50"],
            at_most=5 if large else 2,
            peer="bare standby, futex",
            peer_value=figures.median(bare),
            details={
                **spread,
                "in_flight_p50": in_flight,
                **after,
                "bare_worst": round(max(bare), 3),
            },
        ),
        Figure(
            f"{name}: next answer, p99",
            "ms",
            spread["p99"],
            at_most=None if large else 15,
            peer="bare standby, futex",
            peer_value=round(figures.percentile(bare, 0.99), 3),
        ),
        Figure(
            f"{name}: failed, lost, doubled",
            "",
            sum(held for which, held in wrong.items() if which != "calls"),
            at_most=0,
            details=wrong,
        ),
    ]


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", metavar="SIZE", help="this much more state, such as 1GB")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int, default=7)


if __name__ == "__main__":
    figures.run(__doc__, measure, add)
