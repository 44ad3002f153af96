"""The supervisor's memory: with an empty and a full idempotency table, and with a large state.

    python benchmarks/memory.py [--state 1GB] [--quick] [--json]

Goals: <= 60 MB with an empty table, at most 30 MB more with a full one, whatever the state.

    fresh        a service that is ready, with its standby, after one call
    empty        after 60,000 calls under the library's keys, 100 in flight: the log's end that
                 stays in memory (wal.retained_bytes_max, 8 MiB) is full, the table is empty
    full table   50,000 string keys of 128 B, each with the longest outcome that is held (256 B);
                 then such calls again, so that what is compared differs in the table alone
    large state  a service of its own with `--state`, a checkpoint and such calls; then the table

RSS as the kernel counts it, PSS (what is shared with the spare supervisor is halved) and private
memory beside it; MB are 10**6 bytes. What the other processes take is told for information; much of
it is shared between them.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import figures
import store
import uvloop
from caller import fill
from figures import Arguments, Figure
from service import Service, memory_kib

from osupervisor.bridge.async_client import AsyncClient
from osupervisor.bridge.packing import pack
from osupervisor.config.duration import parse_size

KEYS_MAX: Final = 50_000
"""The setting idempotency.keys_max."""
KEY_BYTES: Final = 128
OUTCOME_BYTES: Final = 256
"""Held in the table; a longer one is read from the log."""
AT_ONCE: Final = 500
CALLS: Final = 60_000
BULK_BYTES: Final = 10_000
SETTLE_S: Final = 1.5
"""Beyond a sync, a health sample and the growth of the pools."""

Memory = dict[str, float]


def outcome_text() -> str:
    """A result whose outcome has OUTCOME_BYTES: nil, then this as MessagePack."""
    text = "r" * (OUTCOME_BYTES - 3)
    assert len(b"\xc0" + pack(text)) == OUTCOME_BYTES
    return text


async def fill_table(data: Path, keys: int) -> None:
    text = outcome_text()
    async with AsyncClient(data) as client:
        for first in range(0, keys, AT_ONCE):
            calls = (
                client.with_options(key=f"{number:0{KEY_BYTES}d}").call("echo", text)
                for number in range(first, min(first + AT_ONCE, keys))
            )
            await asyncio.gather(*calls)


def fill_keys(service: Service, keys: int) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(fill_table(service.data, keys))
    held = service.status()["idempotency"]["string_keys"]
    assert held >= keys * 0.95, f"found {held} keys in the table, wanted about {keys}"


def use(service: Service, calls: int) -> None:
    """Ordinary calls, so that every buffer has been used."""
    with service.client() as client, client.pipeline(100) as pipeline:
        for number in range(calls):
            pipeline.call("set", store.name(number % 1000), store.value(number, 0, 100))


def fill_state(service: Service, size: int) -> None:
    with service.client() as client:
        fill(client, "keys", max(1, size // BULK_BYTES), BULK_BYTES)
        client.request("system.checkpoint")


def supervisor(service: Service, settle_s: float) -> Memory:
    """In MB, once it is quiet."""
    service.wait_whole()
    time.sleep(settle_s)
    found = memory_kib(service.status()["supervisor"]["pid"])
    return {name: round(kib * 1024 / 1e6, 1) for name, kib in found.items()}


def others(service: Service) -> Memory:
    """RSS and PSS of each process but the supervisor, in MB."""
    status = service.status()
    roles = {status[role]["pid"]: role for role in ("heart", "supervisor", "primary", "standby")}
    found: Memory = {}
    for pid in service.pids():
        role = roles.get(pid) or ("nursery" if "nursery" in _command(pid) else "spare")
        if role != "supervisor":
            memory = memory_kib(pid)
            found[f"{role}_rss"] = round(memory["Rss"] * 1024 / 1e6, 1)
            found[f"{role}_pss"] = round(memory["Pss"] * 1024 / 1e6, 1)
    return found


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")


def measure(arguments: Arguments) -> Sequence[Figure]:
    size = parse_size(
        arguments.options.state or arguments.pick(full="1GB", quick="100MB", tiny="1MB")
    )
    keys = arguments.pick(full=KEYS_MAX, quick=KEYS_MAX, tiny=500)
    calls = arguments.pick(full=CALLS, quick=CALLS, tiny=1000)
    settle_s = arguments.pick(full=SETTLE_S, quick=SETTLE_S, tiny=0.0)
    with Service() as service:
        with service.client() as client:
            client.call("echo", "x")
        fresh, around = supervisor(service, settle_s), others(service)
        use(service, calls)
        empty = supervisor(service, settle_s)
        fill_keys(service, keys)
        use(service, calls)
        full = supervisor(service, settle_s)
    with Service() as service:
        fill_state(service, size)
        use(service, calls)
        large = supervisor(service, settle_s)
        fill_keys(service, keys)
        use(service, calls)
        full_large = supervisor(service, settle_s)
    state = f"{size / 1e6:g} MB of state"
    return [
        _figure("fresh", fresh, 60, around),
        _figure("empty table", empty, 60, {}),
        _growth("full table, more than empty", full, empty),
        _figure(f"{state}, empty table", large, 60, {}),
        _growth(f"{state}, full table, more than empty", full_large, large),
    ]


def _figure(name: str, found: Memory, at_most: float, more: Memory) -> Figure:
    details = {"pss": found["Pss"], "private_dirty": found["Private_Dirty"], **more}
    return Figure(f"supervisor's RSS, {name}", "MB", found["Rss"], at_most, details=details)


def _growth(name: str, found: Memory, empty: Memory) -> Figure:
    more = round(found["Rss"] - empty["Rss"], 1)
    details = {"rss": found["Rss"], "pss": found["Pss"], "private_dirty": found["Private_Dirty"]}
    return Figure(f"supervisor's RSS, {name}", "MB", more, 30, details=details)


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", metavar="SIZE")


if __name__ == "__main__":
    figures.run(__doc__, measure, add)
