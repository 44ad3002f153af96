"""`osupervisor stop` and `restart`.

heart is asked (SIGTERM), and everything below it is watched until it has ended.
"""

import os
import signal
import time

import click

from osupervisor.bridge.errors import BridgeError
from osupervisor.bridge.methods import SYSTEM_STOP
from osupervisor.supervisor.cli.failure import CliError, NotRunning, TimedOut
from osupervisor.supervisor.cli.invocation import Invocation, command, heart_pid
from osupervisor.supervisor.cli.printing import print_json, write
from osupervisor.supervisor.cli.processes import Processes, family, started_with
from osupervisor.supervisor.cli.stop_lock import take_stop_lock
from osupervisor.supervisor.cli.values import duration

STOP_S = 60.0
SETTINGS = "settings.json"
"""What a supervisor is started with, in `<data>/run`."""

_timeout = click.option(
    "--timeout",
    type=duration,
    default=STOP_S,
    show_default="60s",
    help="How long to wait for its end.",
)


@command()
@_timeout
def stop(invocation: Invocation, timeout: float) -> None:
    """Stop the service; returns when every process has ended."""
    data = invocation.data
    pids = stop_service(invocation, data, timeout)
    if invocation.json:
        print_json({"state": "stopped", "data": data, "pids": pids})
    else:
        write(f"stopped: {data}, {len(pids)} processes have ended")


@command()
@_timeout
def restart(invocation: Invocation, timeout: float) -> None:
    """Stop the service, and start it again with the same arguments.

    The new one runs in the background, wherever the old one ran. Settings are read anew, from the
    same files and variables. Nothing is stopped while a setting is wrong, or the brain's code can't
    be imported, or a brain of it without any state doesn't start.
    """
    from osupervisor.supervisor.cli.launch import read_arguments
    from osupervisor.supervisor.cli.start import checked, start_in_background
    from osupervisor.supervisor.cli.trial import try_brain

    data = invocation.data
    arguments = read_arguments(data)
    if arguments is None:
        if heart_pid(data) is None:
            raise NotRunning(data)
        hint = "run `osupervisor stop` and `osupervisor start` with the arguments that you want"
        raise CliError(f"{data}/run/start.json doesn't tell how it was started", hint)
    settings = checked(arguments)
    stopped = heart_pid(data) is not None
    if stopped:
        try_brain(settings, timeout)
        stop_service(invocation, data, timeout)
    try:
        start_in_background(settings, arguments, invocation.json, timeout)
    except CliError as error:
        if stopped and error.code == "BrainFailed":
            error.hint = (
                "the service was stopped, and nothing is left running; its state is as it was:"
                " correct the brain, or put the old code back, then `osupervisor start`"
            )
        raise


def stop_service(invocation: Invocation, data: str, timeout_s: float) -> list[int]:
    """Stop it; the ids of the processes that ended. Raises NotRunning, TimedOut."""
    deadline = time.monotonic() + timeout_s
    heart = heart_pid(data)
    if heart is None:
        return _stop_without_heart(invocation, data, deadline)
    if heart == 0:  # its processes can't be waited for, and family(0) is whoever else runs here
        raise CliError(
            f"{data}: the service runs in another container, and can't be stopped from this one",
            "stop that container, or run this command in it",
        )
    pids = _all_of(heart, data)
    with Processes(pids) as processes:
        lock = take_stop_lock(data)
        if lock is not None:
            processes.send(heart, signal.SIGTERM)
            processes.send(heart, signal.SIGCONT)  # a stopped one reads no signals
        try:
            _wait(processes, data, deadline, timeout_s)
        finally:
            if lock is not None:
                os.close(lock)
    return pids


def _all_of(first: int, data: str) -> list[int]:
    """The service's processes: what descends from the one named first, and every supervisor with
    its own. A dead heart's spare descends from nobody, and takes a moment to notice."""
    supervisors = started_with(os.path.join(data, "run", SETTINGS))
    return family(first, *(pid for pid in supervisors if pid != first))


def _stop_without_heart(invocation: Invocation, data: str, deadline: float) -> list[int]:
    """A supervisor that somebody else than heart watches over, or that is just reviving its own.
    Raises NotRunning."""
    timeout_s = max(0.001, deadline - time.monotonic())
    with invocation.client() as client:
        asker = client.with_options(timeout_s=min(timeout_s, 5.0))
        pid = asker.status()["supervisor"]["pid"]
        pids = _all_of(pid, data)
        with Processes(pids) as processes:
            try:
                asker.request(SYSTEM_STOP)
            except BridgeError:  # it may end before it has answered
                processes.send(pid, signal.SIGTERM)
            _wait(processes, data, deadline, timeout_s)
    return pids


def _wait(processes: Processes, data: str, deadline: float, timeout_s: float) -> None:
    if not processes.wait(deadline):
        left = processes.alive
        raise TimedOut(
            f"{data}: after {timeout_s:g} s these processes are left: {', '.join(map(str, left))}",
            "`osupervisor stop` once more kills them at once",
            {"pids": left},
        )
