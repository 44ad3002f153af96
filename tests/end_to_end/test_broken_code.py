"""A brain's code that breaks under a running service, and is mended: said, survived, healed."""

import os
import signal
from collections.abc import Callable
from typing import Any

from tests.end_to_end.running import BRAIN, Running, wait_for

Start = Callable[..., Running]


def nursery(service: Running) -> int:
    """Its process; 0 while there is none."""
    rows: list[dict[str, Any]] = [service.client.request("system.tree")]
    for row in rows:
        if row["id"] == "nursery":
            return row["pid"] or 0
        rows += row["children"]
    raise AssertionError("the tree has no nursery")


def kill_nursery(service: Running) -> None:
    os.kill(nursery(service), signal.SIGKILL)


def count(service: Running, message: str) -> int:
    return sum(row["message"] == message for row in service.log())


def test_the_reason_goes_when_the_mended_code_was_imported(start: Start) -> None:
    service = start()
    service.pid("standby")
    ready = count(service, "nursery.ready")
    (service.folder / "brain.py").write_text("import no_such_module\n" + BRAIN)
    kill_nursery(service)
    wait_for(lambda: "no_such_module" in service.status()["reason"], "the reason")
    assert service.client.call("add", "x", 1) == 1
    assert service.status()["state"] == "ready"
    (service.folder / "brain.py").write_text(BRAIN)
    wait_for(lambda: count(service, "nursery.ready") > ready, "the mended code")
    wait_for(lambda: not service.status()["reason"], "an empty reason")
