"""A brain beyond `brain.memory_bytes_max`: ended, replaced, and nothing else."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from osupervisor.bridge.errors import Quarantined
from tests.end_to_end.running import Running, wait_for

Start = Callable[..., Running]
MIB = 2**20
LIMITED = '[brain]\nmemory_bytes_max = "150MiB"\n[health]\nsample_interval_s = 0.1\n'


def restarts(service: Running) -> dict[str, int]:
    """How often each part of the supervision tree was started again."""
    rows: list[dict[str, Any]] = [service.client.request("system.tree")]
    for row in rows:
        rows += row["children"]
    return {row["id"]: row["restarts"] for row in rows if row.get("restarts") is not None}


def too_large(service: Running) -> list[dict[str, Any]]:
    """The deaths for that reason; a standby that was just being forked may have gone as well."""
    rows = service.client.request("system.crashes", ["ls"])
    return [row for row in rows if "brain.memory_bytes_max" in row["cause"]["detail"]]


def swell(service: Running, primary: int) -> None:
    """Grow bit by bit until the primary is ended for it: no bit is too much for a new brain."""

    def ended() -> bool:
        service.client.call("swell", 30 * MIB)
        return service.pid("primary") != primary

    wait_for(ended, "another primary")


def test_a_brain_that_grew_too_large_is_replaced_and_nobody_is_blamed(start: Start) -> None:
    """The health monitor ends it while it looks at all brains: it must not fall over that."""
    service = start(LIMITED)
    supervisor, before = service.pid("supervisor"), restarts(service)
    assert before["health_monitor"] == 0
    for number in range(3):
        primary = service.pid("primary")
        service.pid("standby")
        swell(service, primary)
        assert service.client.put(str(number)) == number + 1
    wait_for(lambda: len(too_large(service)) >= 3, "three reports")
    assert service.client.request("system.deadletter", ["ls"]) == []
    assert restarts(service) == before and service.pid("supervisor") == supervisor
    dumped = service.run("wal", "dump", "--json").stdout
    assert '"lease"' in dumped and '"death"' not in dumped


def test_a_request_that_always_takes_too_much_is_quarantined_alone(start: Start) -> None:
    """Innocents wait behind it, are executed between its brains' deaths, and beside it at first."""
    service = start(LIMITED)
    with ThreadPoolExecutor(8) as pool:
        innocents = [pool.submit(service.client.put, f"before {n}") for n in range(20)]
        with pytest.raises(Quarantined):
            service.client.call("gorge", 200 * MIB)
        innocents += [pool.submit(service.client.put, f"behind {n}") for n in range(20)]
        for innocent in innocents:
            innocent.result()
    assert len(set(service.tokens())) == len(service.tokens()) == 40
    letters = service.client.request("system.deadletter", ["ls"])
    assert [letter["op"] for letter in letters] == ["gorge"]
    deaths = [row["cause"]["detail"] for row in service.client.request("system.crashes", ["ls"])]
    assert all("brain.memory_bytes_max" in detail for detail in deaths)
