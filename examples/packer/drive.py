"""Streams bin-packing instances through the packer service, and says how well that went.

    python examples/packer/drive.py                       one instance
    python examples/packer/drive.py or4_u1000 --index 3 --chaos 20
    python examples/packer/drive.py --all --chaos 20      all of them, against the published figures

The service must run: osupervisor start --config examples/packer/osupervisor.toml

With --chaos the brain is killed (kill -9, from here, by its pid) that many times, spread over the
items: every other time while a call is in flight, else just before one. In the end the packing is
compared with one that was made here, in this process, by plain loops and undisturbed.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import BridgeError

HERE = Path(__file__).parent
INSTANCES = HERE / "instances"
PUBLISHED = {
    "or1_u120": {"best_fit": 5.81, "first_fit": 6.42},
    "or2_u250": {"best_fit": 6.06, "first_fit": 6.45},
    "or3_u500": {"best_fit": 5.37, "first_fit": 5.74},
    "or4_u1000": {"best_fit": 4.94, "first_fit": 5.23},
    "weibull_5k": {"best_fit": 3.98, "first_fit": 4.23},
}
"""Excess over the lower bound in percent, of each set."""
POLICIES = ("best_fit", "first_fit")
STANDBY_S = 30.0
"""How long a new standby is waited for before the next kill, so that each finds one."""
LOOK_S = 0.002


@dataclass(frozen=True, slots=True)
class Instance:
    """A stream of items in their order of arrival. `l1`: the lower bound on its bins."""

    name: str
    capacity: int
    items: tuple[int, ...]
    l1: int


@dataclass(slots=True)
class Tally:
    """What the driving of several instances came to. Times in seconds."""

    requests: int = 0
    busy_s: float = 0.0
    worst_s: float = 0.0
    killed: list[int] = field(default_factory=list[int])


@dataclass(frozen=True, slots=True)
class Packed:
    """One instance, packed. `identical`: as the undisturbed packing, bin by bin."""

    name: str
    items: int
    bins: int
    lower_bound: int
    identical: bool


def load(name: str) -> list[Instance]:
    """The instances of a set, from its file."""
    content: dict[str, Any] = json.loads((INSTANCES / f"{name}.json").read_bytes())
    return [
        Instance(f"{name}/{each['name']}", each["capacity"], tuple(each["items"]), each["l1"])
        for each in content["instances"]
    ]


def pack(items: Iterable[int], capacity: int, policy: str) -> list[int]:
    """The bin of each item, by looking at every bin: the reference for the brain's short ways."""
    free: list[int] = []
    placed: list[int] = []
    for item in items:
        fitting = (number for number, left in enumerate(free) if left >= item)
        if policy == "best_fit":
            chosen = min(fitting, key=lambda number: (free[number], number), default=None)
        else:
            chosen = next(fitting, None)
        if chosen is None:
            chosen = len(free)
            free.append(capacity)
        free[chosen] -= item
        placed.append(chosen)
    return placed


def excess_percent(packed: Sequence[Packed]) -> float:
    """How far the bins are above the lower bound, over all instances together."""
    bins, bound = sum(one.bins for one in packed), sum(one.lower_bound for one in packed)
    return 100 * (bins - bound) / bound


class Killer:
    """Kills the primary at certain requests, counted over the whole run."""

    def __init__(self, client: Client, kills: int, requests: int) -> None:
        """`client`: one of its own, as asking for pids is no part of the stream."""
        self._client = client
        self.due = {round((number + 1) * requests / (kills + 1)) for number in range(kills)}
        assert len(self.due) == kills, "more kills than requests"

    def aim(self) -> int:
        """The primary's pid, as soon as a standby is there to take over."""
        deadline = time.monotonic() + STANDBY_S
        while time.monotonic() < deadline:
            status = self._client.status()
            if status["primary"] and status["standby"]:
                return int(status["primary"]["pid"])
            time.sleep(LOOK_S)
        raise SystemExit(f"no standby came in {STANDBY_S:g} s; see: osupervisor status")


def drive(
    client: Client, instance: Instance, policy: str, killer: Killer, tally: Tally, tick: Any
) -> Packed:
    """Stream one instance; each item is sent when the one before it has its bin."""
    client.call("reset", instance.capacity, policy)
    placed: list[int] = []
    for item in instance.items:
        placed.append(_place(client, item, killer, tally))
        tick()
    summary = client.query("summary")
    wanted = pack(instance.items, instance.capacity, policy)
    assert summary["items"] == len(instance.items), "the service has seen another number of items"
    identical = placed == wanted and summary["bins"] == max(wanted) + 1
    return Packed(instance.name, len(placed), summary["bins"], instance.l1, identical)


def _place(client: Client, item: int, killer: Killer, tally: Tally) -> int:
    tally.requests += 1
    pid = killer.aim() if tally.requests in killer.due else None
    in_flight = len(tally.killed) % 2 == 1
    began = time.perf_counter()
    if pid is None:
        number: int = client.call("place", item)
    else:
        number = _place_and_kill(client, item, pid, in_flight)
        tally.killed.append(pid)
    spent_s = time.perf_counter() - began
    tally.busy_s += spent_s
    tally.worst_s = max(tally.worst_s, spent_s)
    return number


def _place_and_kill(client: Client, item: int, pid: int, in_flight: bool) -> int:
    if not in_flight:
        os.kill(pid, signal.SIGKILL)
    with client.pipeline() as pipeline:
        reply = pipeline.call("place", item)
        pipeline.flush()
        if in_flight:
            os.kill(pid, signal.SIGKILL)
        number: int = reply.result()
    return number


@contextmanager
def progress(requests: int, shown: bool) -> Generator[Any]:
    """A function to be called after each request; it moves a bar on stderr."""
    if not shown:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed

    columns = (TextColumn("packing"), BarColumn(), MofNCompleteColumn(), Elapsed())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("packing", total=requests)
        yield lambda: bar.advance(task)


def run(options: argparse.Namespace) -> int:
    """The whole: choose, drive, compare, report. The exit code."""
    names = list(PUBLISHED) if options.all else [options.set]
    chosen = {name: load(name) for name in names}
    if not options.all:
        chosen = {name: _one(found, options.index) for name, found in chosen.items()}
    requests = sum(len(one.items) for found in chosen.values() for one in found)
    if options.chaos >= requests:
        most = requests - 1
        raise SystemExit(f"--chaos {options.chaos}: at most {most} of {requests} requests are hit")
    tally = Tally()
    shown = sys.stderr.isatty() and not options.json
    with Client(options.data) as client, Client(options.data) as asker:
        killer = Killer(asker, options.chaos, requests)
        with progress(requests, shown) as tick:
            packed = {
                name: [drive(client, one, options.policy, killer, tally, tick) for one in found]
                for name, found in chosen.items()
            }
    return report(packed, tally, options)


def _one(found: list[Instance], index: int) -> list[Instance]:
    if not 0 <= index < len(found):
        raise SystemExit(f"--index {index}: the set has 0 to {len(found) - 1}")
    return [found[index]]


def report(packed: dict[str, list[Packed]], tally: Tally, options: argparse.Namespace) -> int:
    """Print it. The exit code: 1 where a packing or a published figure is not what it must be."""
    every = [one for found in packed.values() for one in found]
    identical = all(one.identical for one in every)
    figures = {name: round(excess_percent(found), 2) for name, found in packed.items()}
    wrong = {
        name: figure
        for name, figure in figures.items()
        if options.all and figure != PUBLISHED[name][options.policy]
    }
    rate = tally.requests / tally.busy_s
    if options.json:
        result = {
            "policy": options.policy,
            "packed": [asdict(one) for one in every],
            "excess_percent": figures,
            "published": {name: PUBLISHED[name][options.policy] for name in figures},
            "identical": identical,
            "kills": len(tally.killed),
            "requests": tally.requests,
            "requests_per_s": round(rate, 1),
            "worst_delay_ms": round(tally.worst_s * 1e3, 3),
        }
        print(json.dumps(result))
    else:
        _print(packed, figures, tally, options)
        print(f"kills        {len(tally.killed)} (kill -9 of the brain)")
        print(f"identical    {'yes' if identical else 'NO'}: as packed undisturbed")
        print(f"requests/s   {rate:,.0f}")
        print(f"worst delay  {tally.worst_s * 1e3:.1f} ms")
    if wrong:
        print(f"not the published figures: {wrong}", file=sys.stderr)
    return 0 if identical and not wrong else 1


def _print(
    packed: dict[str, list[Packed]],
    figures: dict[str, float],
    tally: Tally,
    options: argparse.Namespace,
) -> None:
    policy = options.policy.replace("_", " ")
    if not options.all:
        ((one,),) = packed.values()
        print(f"{one.name}: {one.items:,} items, {policy}")
        print(f"bins         {one.bins}")
        excess = excess_percent([one])
        print(f"excess       {excess:.2f} % over the lower bound of {one.lower_bound}")
        return
    print(f"{len(packed)} sets, {tally.requests:,} items, {policy}")
    for name, found in packed.items():
        published = PUBLISHED[name][options.policy]
        bins = sum(one.bins for one in found)
        print(f"{name:<12} {bins:>6} bins   {figures[name]:.2f} % (published {published:.2f} %)")


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="drive.py", description="Streams bin-packing instances through the packer service."
    )
    parser.add_argument("set", nargs="?", choices=list(PUBLISHED), default="weibull_5k")
    parser.add_argument("--index", type=int, default=0, help="which instance of the set")
    parser.add_argument("--all", action="store_true", help="every instance of every set")
    parser.add_argument("--policy", choices=POLICIES, default="best_fit")
    parser.add_argument("--chaos", type=int, default=0, metavar="N", help="kill the brain N times")
    parser.add_argument("--data", default=str(HERE / "data"), help="the service's data directory")
    parser.add_argument("--json", action="store_true", help="print JSON")
    found = parser.parse_args(arguments)
    if found.chaos < 0:
        parser.error("--chaos: wanted 0 or more")
    return found


def main() -> int:
    """The script."""
    try:
        return run(options_of(sys.argv[1:]))
    except BridgeError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
