"""How long syncs, takeovers and checkpoints take is in the metrics, by histograms."""

import os
import signal
from collections.abc import Callable

import pytest

from tests.end_to_end.running import Running, nursery, wait_for

Start = Callable[..., Running]


def observed(service: Running, name: str) -> tuple[int, float]:
    """How many values a histogram has seen, and their sum."""
    rows = dict(row.rsplit(" ", 1) for row in service.client.metrics().splitlines())
    return int(rows[f"{name}_count"]), float(rows[f"{name}_sum"])


@pytest.mark.parametrize("durability", ["everysec", "always"])
def test_every_sync_is_timed(start: Start, durability: str) -> None:
    service = start(f'durability = "{durability}"\n')
    before, _ = observed(service, "osupervisor_wal_sync_duration_s")
    service.client.with_options(durability="always").call("add", "x", 1)
    count, total = observed(service, "osupervisor_wal_sync_duration_s")
    assert count > before
    assert 0 < total < 60


def test_a_takeover_is_timed_and_the_death_of_a_standby_is_none(start: Start) -> None:
    service = start()
    service.kill("standby")
    wait_for(lambda: service.status()["restarts"] == 1, "the standby's death")
    assert observed(service, "osupervisor_failover_duration_s") == (0, 0.0)
    service.pid("standby")
    service.kill("primary")
    service.client.call("add", "x", 1)
    count, total = observed(service, "osupervisor_failover_duration_s")
    assert count == 1
    assert 0 < total < 60


def test_a_takeover_that_takes_long_is_timed_too(start: Start) -> None:
    """The report of the death is written long before somebody is there to take over."""
    service = start('[brain]\nstandbys = 0\nstart_timeout_s = "1s"\n')
    os.kill(nursery(service), signal.SIGSTOP)
    service.kill("primary")
    service.client.call("add", "x", 1)
    count, total = observed(service, "osupervisor_failover_duration_s")
    assert count == 1
    assert 0.9 < total < 60


def test_the_sealing_of_a_checkpoint_is_timed(start: Start) -> None:
    service = start('[checkpoint]\ninterval_s = "1h"\n')
    service.client.call("add", "x", 1)
    assert observed(service, "osupervisor_checkpoint_seal_duration_s")[0] == 0
    service.client.request("system.checkpoint")
    count, total = observed(service, "osupervisor_checkpoint_seal_duration_s")
    assert count == 1
    assert 0 < total < 60
