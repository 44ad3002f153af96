"""`osupervisor status`: what runs, also where nothing runs or answers."""

import time
from typing import Any

import click

from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import NotRunningError, Timeout
from osupervisor.supervisor.cli.failure import Exit, TimedOut
from osupervisor.supervisor.cli.invocation import Invocation, command, heart_pid
from osupervisor.supervisor.cli.printing import print_json, write
from osupervisor.supervisor.cli.stop_lock import stop_is_asked_for
from osupervisor.supervisor.cli.values import duration
from osupervisor.supervisor.runtime.process_state import is_stopped

ANSWER_S = 5.0
"""A supervisor that lives answers in milliseconds, and one that has just died is back by then."""
LOOK_S = 0.02
"""Time between two looks of --wait: short beside a promotion or a start."""
SILENT = "heart lives, and the supervisor doesn't answer (yet): it may be reading the log"
STATES = ("starting", "ready", "readonly", "stopping", "stopped")

Status = dict[str, Any]


@command()
@click.option("--wait", type=click.Choice(STATES), help="Wait for this state.")
@click.option(
    "--timeout", type=duration, help="How long to wait for it, or for an answer.  [default: 5s]"
)
def status(invocation: Invocation, wait: str | None, timeout: float | None) -> int:
    """What runs, and how far it is.

    Exits with 3 when no service runs, and with 124 when --wait waited in vain; it also waits for a
    service that isn't up yet.
    """
    deadline = time.monotonic() + (ANSWER_S if timeout is None else timeout)
    found = look(invocation, deadline)
    while wait is not None and found["state"] != wait:
        if time.monotonic() + LOOK_S > deadline:
            if invocation.json:
                print_json(found)
            raise _waited_in_vain(wait, found)
        time.sleep(LOOK_S)
        found = look(invocation, deadline)
    if invocation.json:
        print_json(found)
    else:
        write(describe(found, invocation.data))
    return Exit.NOT_RUNNING if found["state"] == "stopped" and wait is None else Exit.OK


def look(invocation: Invocation, deadline: float) -> Status:
    """The status now; of a service that is down, or whose supervisor is silent, what is known."""
    data = invocation.data
    timeout_s = max(LOOK_S, min(ANSWER_S, deadline - time.monotonic()))
    with Client(data, retries=False, connect_timeout_s=0.0) as client:
        try:
            return client.with_options(timeout_s=timeout_s).status()
        except (NotRunningError, Timeout):
            return _without_supervisor(data)


def _without_supervisor(data: str) -> Status:
    pid = heart_pid(data)
    if pid is None:
        return {"state": "stopped"}
    stopping = stop_is_asked_for(data)
    return {
        "state": "stopping" if stopping else "starting",
        "reason": "" if stopping else _why_silent(pid),
        "heart": {"pid": pid},
        "supervisor": None,
        "primary": None,
        "standby": None,
    }


def _why_silent(heart: int) -> str:
    if not is_stopped(heart):
        return SILENT
    return (
        f"the supervisor doesn't answer, and heart, process {heart}, is stopped (state T): nobody"
        f" starts a supervisor that died; let it go on: kill -CONT {heart}"
    )


def describe(found: Status, data: str) -> str:
    """For people: a line for each part."""
    if found["state"] == "stopped":
        return f"stopped    no service runs on {data}; `osupervisor start` starts it"
    lines = [("", _headline(found))]
    if found.get("reason"):
        lines.append(("reason", str(found["reason"])))
    if "lsn" in found:
        durable = f"durable {found['durable_lsn']} ({found.get('durability', '?')})"
        lines.append(("log", f"lsn {found['lsn']}, {durable}, epoch {found['epoch']}"))
    lines += [(role, _process(found.get(role))) for role in ("heart", "supervisor", "primary")]
    lines.append(("standby", _process(found.get("standby"))))
    if "restarts" in found:
        lines.append(("restarts", str(found["restarts"])))
    lines += [(name, where) for name, where in found.get("listen", {}).items() if where]
    lines.append(("data", data))
    return "\n".join(f"{name:<11}{text}" if name else text for name, text in lines)


def _headline(found: Status) -> str:
    text = f"{found['state']:<11}{found.get('health') or ''}".rstrip()
    if "uptime_s" in found:
        text += f"{',' if found.get('health') else ''} up {found['uptime_s']:.1f} s"
    return text


def _process(part: Any) -> str:
    if not part:
        return "-"
    text = f"process {part['pid']}"
    if "code_version" in part:
        text += f", code {part['code_version']}"
    if "lag_records" in part:
        text += f", {part['lag_records']} records behind"
    if part.get("rss_bytes"):
        text += f", {part['rss_bytes'] / 2**20:.0f} MiB"
    return text


def _waited_in_vain(wait: str, found: Status) -> TimedOut:
    reason = f" ({found['reason']})" if found.get("reason") else ""
    hint = "wait longer with --timeout, or see `osupervisor logs`"
    if found["state"] == "stopped":
        hint = "start it with `osupervisor start`"
    return TimedOut(f"it is not {wait} but {found['state']}{reason}", hint, {"status": found})
