"""`osupervisor chaos`: faults on command, one or many, drawn from a seed."""

import time
from collections.abc import Iterator
from random import Random
from typing import Any

import click

from osupervisor.bridge.call_options import TIMEOUT_S_MAX
from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import BridgeError, NotRunningError, Timeout, Unavailable
from osupervisor.bridge.methods import SYSTEM_CHAOS
from osupervisor.supervisor.cli.failure import CliError, Misused
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.printing import print_json, write
from osupervisor.supervisor.cli.values import duration

ACTIONS = ("kill", "stop", "hang")
TARGETS = ("primary", "standby", "supervisor", "heart")
SPREAD = (0.5, 1.5)
"""The time to the next fault, as a share of --every: even steps would meet the same phase of the
service's own beats again and again."""
LEFT_S_MIN = 0.001
"""The shortest wait for an answer, at the very end of --for."""

Strike = dict[str, Any]


@command()
@click.argument("action", type=click.Choice(ACTIONS))
@click.option("--target", type=click.Choice(TARGETS), default="primary", show_default=True)
@click.option("--every", "every_s", type=duration, help="Again and again, about so often.")
@click.option("--for", "for_s", type=duration, help="With --every: for so long.  [default: ^C]")
@click.option("--seed", type=int, help="Seed of the times between.  [default: a random one]")
def chaos(
    invocation: Invocation,
    action: str,
    target: str,
    every_s: float | None,
    for_s: float | None,
    seed: int | None,
) -> None:
    """Kill, stop or hang processes of the service, to see it go on.

    ACTION is kill (SIGKILL), stop (SIGSTOP) or hang (it lives and does nothing). The same seed
    gives the same times between the faults.
    """
    if every_s is None and (for_s is not None or seed is not None):
        raise Misused("--for and --seed are for --every", "such as: --every 2s --for 60s --seed 7")
    with invocation.client() as client:
        if every_s is None:
            _show(invocation, _strike(client, action, target))
            return
        if seed is None:
            seed = time.time_ns() % 1_000_000
        struck = missed = 0
        for left_s in _moments(Random(seed), every_s, for_s):
            strike = _try(client.with_options(timeout_s=left_s), action, target)
            struck, missed = struck + (strike["pid"] is not None), missed + (strike["pid"] is None)
            _show(invocation, strike)
    _sum_up(invocation, struck, missed, seed)


def _moments(random: Random, every_s: float, for_s: float | None) -> Iterator[float | None]:
    """Returns at each moment at which a fault is due: the seconds left, None without an end."""
    now = time.monotonic()
    end = None if for_s is None else now + for_s
    due = now
    while True:
        due += every_s * random.uniform(*SPREAD)
        if end is not None and due > end:
            time.sleep(max(0.0, end - time.monotonic()))
            return
        time.sleep(max(0.0, due - time.monotonic()))
        yield None if end is None else _asked_s(end - time.monotonic())


def _asked_s(left_s: float) -> float:
    return min(max(LEFT_S_MIN, left_s), TIMEOUT_S_MAX)


def _strike(client: Client, action: str, target: str) -> Strike:
    answer: Strike = client.request(SYSTEM_CHAOS, [action, target])
    return {"action": action, "target": target, "unix_s": round(time.time(), 3), **answer}


def _try(client: Client, action: str, target: str) -> Strike:
    """A strike, or why there was none: a target may be on its way back from the last one, and a
    supervisor that was struck answers nobody."""
    try:
        return _strike(client, action, target)
    except NotRunningError:
        raise
    except (Timeout, Unavailable) as error:
        missed = {"pid": None, "reason": error.message}
        return {"action": action, "target": target, "unix_s": round(time.time(), 3), **missed}
    except BridgeError as error:
        raise CliError(error.message, error.hint or "see `osupervisor status`") from error


def _show(invocation: Invocation, strike: Strike) -> None:
    if invocation.json:
        print_json(strike)
    elif strike["pid"] is None:
        write(f"{strike['action']} {strike['target']}: missed, {strike['reason']}")
    else:
        write(f"{strike['action']} {strike['target']}: process {strike['pid']}")


def _sum_up(invocation: Invocation, struck: int, missed: int, seed: int) -> None:
    if invocation.json:
        print_json({"struck": struck, "missed": missed, "seed": seed})
    else:
        write(f"{struck} faults, {missed} missed; --seed {seed} repeats the times between them")
