"""The report of a brain that the supervisor killed: how it ended is known, whoever reaps it."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from osupervisor.bridge.errors import Timeout
from tests.end_to_end.running import Running, wait_for

Start = Callable[..., Running]


def nursery(service: Running) -> int:
    """Its process. It reaps brains."""
    rows: list[dict[str, Any]] = [service.client.request("system.tree")]
    for row in rows:
        if row["id"] == "nursery":
            return int(row["pid"])
        rows += row["children"]
    raise AssertionError("the tree has no nursery")


def causes(service: Running, pid: int) -> list[dict[str, Any]]:
    reports = [service.client.request("system.crashes", ["ls"])]
    return [report["cause"] for report in reports[0] if report["pid"] == pid]


@pytest.mark.parametrize("is_reaped", [True, False])
def test_a_brain_killed_at_a_deadline_is_reported_as_that(start: Start, is_reaped: bool) -> None:
    """A nursery that is stopped reaps nobody: no exit status ever comes."""
    service = start()
    service.pid("standby")
    pid = service.pid("primary")
    if not is_reaped:
        os.kill(nursery(service), signal.SIGSTOP)
    with pytest.raises(Timeout):
        service.client.with_options(timeout_s=0.3).spin()
    wait_for(lambda: causes(service, pid), "the report")
    (cause,) = causes(service, pid)
    assert (cause["kind"], cause["number"], cause["name"]) == ("signal", 9, "SIGKILL")
    assert cause["detail"].startswith("killed: spin ran for ")


def test_a_brain_killed_on_command_is_reported_as_that(start: Start) -> None:
    service = start()
    service.pid("standby")
    os.kill(nursery(service), signal.SIGSTOP)
    pid = int(service.client.request("system.chaos", ["kill", "primary"])["pid"])
    wait_for(lambda: causes(service, pid), "the report")
    (cause,) = causes(service, pid)
    assert (cause["kind"], cause["name"], cause["detail"]) == ("signal", "SIGKILL", "chaos")
