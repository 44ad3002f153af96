"""A brain's code that breaks under a running service, and is mended: said, survived, healed."""

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import ReadOnly
from tests.end_to_end.running import BRAIN, Running, wait_for

Start = Callable[..., Running]
SOON_GIVEN_UP = "[brain]\nstart_failures_max = 1\n"
NOT_TO_IMPORT = "import no_such_module\n" + BRAIN
DEADLY = "import os\nos.register_at_fork(after_in_child=lambda: os._exit(9))\n" + BRAIN
"""It is imported, and each brain that is forked from it dies at once."""
CHATTER = "import time\nwhile True: print('chatter' * 100, flush=True); time.sleep(0.002)"
CHATTY = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {CHATTER!r}])\n"


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


def write(service: Running, code: str) -> None:
    (service.folder / "brain.py").write_text(code)


def roles(service: Running) -> set[str]:
    """Of the brains in the tree."""
    rows: list[dict[str, Any]] = [service.client.request("system.tree")]
    for row in rows:
        rows += row["children"]
    return {row["role"] for row in rows if "role" in row}


def kill_brains(service: Running) -> None:
    """Both at once, so that none is left to be forked."""
    for pid in [service.pid("standby"), service.pid("primary")]:
        os.kill(pid, signal.SIGKILL)


def check_that_the_operator_is_answered(service: Running, tokens: list[str]) -> None:
    """It reads the state, writes a checkpoint, and refuses with a reason what it can't do."""
    wait_for(lambda: service.status()["state"] == "readonly", "readonly")
    status = service.status()
    assert (status["rung"], status["health"], status["primary"]) == ("read-only", "unhealthy", None)
    assert "brains do not start" in status["complaints"] and status["reason"]
    assert service.client.state(["tokens"]) == tokens
    assert "safe" in roles(service)
    wait_for(lambda: 'role="safe"' in service.client.metrics(), "the safe brain's memory")
    with Client(service.data, timeout_s=30, retries=False) as impatient:
        for op, arguments in (("put", ["refused"]), ("tokens", [])):
            with pytest.raises(ReadOnly) as caught:
                impatient.call(op, *arguments)
            assert status["reason"].split()[0] in str(caught.value)
            assert "brain.state" in caught.value.hint
    assert service.client.request("system.checkpoint")["lsn"] == service.status()["lsn"]
    shown = service.run("status")
    assert shown.returncode == 0 and shown.stdout.startswith("readonly")


def check_that_it_heals(service: Running, tokens: list[str]) -> None:
    write(service, BRAIN)
    wait_for(lambda: service.status()["state"] == "ready", "its healing")
    assert service.client.put("healed") == len(tokens) + 1
    assert service.tokens() == [*tokens, "healed"]
    service.pid("standby")
    wait_for(lambda: roles(service) == {"primary", "standby"}, "the safe brain's end")
    status = service.status()
    assert (status["reason"], status["rung"]) == ("", "same code")
    assert service.client.request("system.deadletter", ["ls"]) == []


def test_brains_that_die_before_they_are_ready_leave_a_service_that_answers(start: Start) -> None:
    service = start(SOON_GIVEN_UP)
    service.client.put("a")
    service.client.later(0.1, "timer")
    wait_for(lambda: service.tokens() == ["a", "timer"], "the timer")
    ready = count(service, "nursery.ready")
    write(service, DEADLY)
    kill_nursery(service)
    wait_for(lambda: count(service, "nursery.ready") > ready, "the deadly code")
    kill_brains(service)
    check_that_the_operator_is_answered(service, ["a", "timer"])
    steps = count(service, "ladder.down")
    supervisor = service.kill("supervisor")
    wait_for(lambda: service.pid("supervisor") != supervisor, "another supervisor")
    check_that_the_operator_is_answered(service, ["a", "timer"])
    assert count(service, "ladder.down") == steps, "the next one is where the dead one was"
    check_that_it_heals(service, ["a", "timer"])


def test_code_that_cant_be_imported_when_all_brains_die_leaves_one_too(start: Start) -> None:
    service = start(SOON_GIVEN_UP)
    service.client.put("a")
    write(service, NOT_TO_IMPORT)
    kill_nursery(service)
    wait_for(lambda: "no_such_module" in service.status()["reason"], "the reason")
    assert service.status()["state"] == "ready"
    kill_brains(service)
    check_that_the_operator_is_answered(service, ["a"])
    check_that_it_heals(service, ["a"])


def test_a_first_start_whose_brains_die_is_told_and_nothing_stays(start: Start) -> None:
    service = start(SOON_GIVEN_UP)
    assert service.run("stop").returncode == 0
    write(service, DEADLY)
    ran = service.run("start", "--daemon", "--json")
    assert ran.returncode == 1
    error = json.loads(ran.stderr.splitlines()[-1])
    assert error["code"] == "BrainFailed" and "die before they are ready" in error["message"]
    assert service.run("status").returncode == 3
    write(service, BRAIN)
    service.start()


def test_the_log_of_a_nursery_that_goes_on_printing_is_bounded(start: Start) -> None:
    """Brains have an output of their own; this is what the imported code has started."""
    service = start('[logs]\nbytes_max = "64KiB"\nkept = 3\n')
    ready = count(service, "nursery.ready")
    write(service, CHATTY + BRAIN)
    kill_nursery(service)
    wait_for(lambda: count(service, "nursery.ready") > ready, "the chatty code")
    logs = service.data / "logs"
    wait_for((logs / "nursery.log.3").exists, "the third rotation")

    def sizes() -> list[int]:
        try:
            return [path.stat().st_size for path in logs.glob("nursery.log.[0-9]")]
        except FileNotFoundError:
            return []  # a rotation went on meanwhile

    def is_bounded() -> bool:
        found = sizes()
        return len(found) == 3 and max(found) <= 64 * 1024

    wait_for(is_bounded, "three files and no more")
    wait_for(lambda: (logs / "nursery.log").stat().st_size < 64 * 1024, "another rotation")
    assert service.client.call("add", "x", 1) == 1
    shown = service.run("logs", "--source", "nursery", "--last", "100000")
    assert "nursery.log_rotated" in shown.stdout and "chatter" in shown.stdout


def test_the_reason_goes_when_the_mended_code_was_imported(start: Start) -> None:
    service = start()
    service.pid("standby")
    ready = count(service, "nursery.ready")
    write(service, NOT_TO_IMPORT)
    kill_nursery(service)
    wait_for(lambda: "no_such_module" in service.status()["reason"], "the reason")
    assert service.client.call("add", "x", 1) == 1
    assert service.status()["state"] == "ready"
    write(service, BRAIN)
    wait_for(lambda: count(service, "nursery.ready") > ready, "the mended code")
    wait_for(lambda: not service.status()["reason"], "an empty reason")
