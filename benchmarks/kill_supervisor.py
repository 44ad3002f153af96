"""`kill -9` of the supervisor under a closed-loop client: from the kill to the next right answer.

    python benchmarks/kill_supervisor.py [--kills 100] [--seed 7] [--quick] [--json]

Goals (100,000 keys x 100 B): p50 <= 500 ms, worst <= 1.5 s; 0 errors through the library; 0 lost,
doubled. Told beside it: after how many kills both brains were the same processes as before.

The client is that of kill_primary.py, and so are its model, its checks and the moment of the kill:
somewhere in the life of a call. Time ends with the right answer of the first call that was sent
after the kill. Before the next kill the service has a primary and a standby again, and has had a
moment to start its spare.

Floor, in turns with the kills: a spare process that is handed the listening socket.
"""

import argparse
import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import bare_spare
import figures
from caller import Caller
from figures import Arguments, Figure
from service import Service, Status

VALUE_BYTES: Final = 100
CALL_S: Final = 0.0003
QUIET_S: Final = 1.2
"""Beyond heart's `healthy` second: the next death is a first one, and the spare is there."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Seconds to the answer; whether both brains are the processes that they were."""

    next_answer: float
    same_brains: bool


def kill_once(service: Service, caller: Caller, source: random.Random) -> Kill:
    before = service.wait_whole()
    for _ in range(source.randrange(20, 60)):
        caller.call()
    reply = caller.send()
    until = time.perf_counter() + source.random() * CALL_S
    while time.perf_counter() < until:
        pass
    killed = time.perf_counter()
    os.kill(before["supervisor"]["pid"], signal.SIGKILL)
    caller.receive(reply)
    took = caller.call() - killed
    after = service.wait_whole()
    assert after["supervisor"]["pid"] != before["supervisor"]["pid"]
    return Kill(took, brains(before) == brains(after))


def brains(status: Status) -> set[int]:
    return {status[role]["pid"] for role in ("primary", "standby")}


def measure(arguments: Arguments) -> Sequence[Figure]:
    options = arguments.options
    keys = arguments.pick(full=100_000, quick=100_000, tiny=1000)
    kills = options.kills or arguments.pick(full=100, quick=8, tiny=2)
    quiet_s = arguments.pick(full=QUIET_S, quick=QUIET_S, tiny=0.2)
    source = random.Random(options.seed)
    found: list[Kill] = []
    floor: list[float] = []
    with Service() as service, service.client() as client:
        caller = Caller(client, keys, VALUE_BYTES, source)
        for _ in range(kills):
            time.sleep(quiet_s + source.random() / 10)
            found.append(kill_once(service, caller, source))
            floor.append(bare_spare.kill_once())
        wrong = caller.wrong()
    wrong["calls"] = caller.calls
    return _figures(found, [seconds * 1e3 for seconds in floor], wrong)


def _figures(found: list[Kill], bare: list[float], wrong: dict[str, float]) -> list[Figure]:
    name = "kill -9 of the supervisor"
    spread = figures.spread([kill.next_answer * 1e3 for kill in found])
    lived_on = sum(kill.same_brains for kill in found)
    return [
        Figure(
            f"{name}: next answer, p50",
            "ms",
            spread["p50"],
            at_most=500,
            peer="bare spare",
            peer_value=figures.median(bare),
            details={**spread, "brains_lived_on": lived_on, "bare_worst": round(max(bare), 3)},
        ),
        Figure(f"{name}: next answer, worst", "ms", spread["worst"], at_most=1500),
        Figure(
            f"{name}: failed, lost, doubled",
            "",
            sum(held for which, held in wrong.items() if which != "calls"),
            at_most=0,
            details=wrong,
        ),
    ]


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int, default=7)


if __name__ == "__main__":
    figures.run(__doc__, measure, add)
