"""Faults on command: a process of the service is killed, stopped or hung, and blamed for nothing.

kill   SIGKILL
stop   SIGSTOP: the process is there and does nothing, as under a debugger
hang   a brain: its interpreter sleeps with every signal blocked; the supervisor: its loop
       sleeps. Heart's whole work is one poll: `stop` is its hang
"""

import asyncio
import os
import signal
import time
from typing import Literal, cast, get_args

from osupervisor.bridge.errors import InvalidArguments, Unavailable
from osupervisor.supervisor.runtime.brain_process import BrainProcess
from osupervisor.supervisor.runtime.brains import Brains
from osupervisor.supervisor.runtime.engine import Engine

Action = Literal["kill", "stop", "hang"]
Target = Literal["primary", "standby", "supervisor", "heart"]

HANG_SIGNAL = signal.SIGUSR1
SUPERVISOR_HANG_S = 3600.0
"""Far beyond heart's watchdog, which ends it."""
ANSWER_FIRST_S = 0.02


class Chaos:
    """Carries out one fault at a time."""

    def __init__(
        self, engine: Engine, brains: Brains, loop: asyncio.AbstractEventLoop, *, allowed: bool
    ) -> None:
        self._engine = engine
        self._brains = brains
        self._loop = loop
        self._allowed = allowed

    def strike(self, action: str, target: str, heart_pid: int) -> dict[str, object]:
        """Do it; which process it was. Raises InvalidArguments, Unavailable."""
        if not self._allowed:
            raise InvalidArguments("chaos is not allowed here", "chaos.allowed = true allows it")
        if action not in get_args(Action) or target not in get_args(Target):
            raise InvalidArguments(
                f"chaos {action!r} of {target!r}",
                f"actions: {', '.join(get_args(Action))}; targets: {', '.join(get_args(Target))}",
            )
        if target in ("primary", "standby"):
            return {"pid": self._strike_brain(cast("Action", action), cast("Target", target))}
        if action == "hang" and target == "heart":
            raise InvalidArguments("heart can't be hung", "stop it: its whole work is one poll")
        pid = heart_pid if target == "heart" else os.getpid()
        self._loop.call_later(ANSWER_FIRST_S, _strike_process, action, pid)
        return {"pid": pid}

    def _strike_brain(self, action: Action, target: Target) -> int:
        process = self._find(target)
        if process is None:
            raise Unavailable(
                f"there is no {target} now", "wait: `osupervisor status --wait ready`"
            )
        process.excused = True
        match action:
            case "kill":
                process.signal(signal.SIGKILL)
            case "stop":
                process.signal(signal.SIGSTOP)
            case "hang":
                process.signal(HANG_SIGNAL)
        return process.pid

    def _find(self, target: Target) -> BrainProcess | None:
        primary = self._engine.core.primary
        if target == "primary":
            return self._brains.by_id.get(primary.id) if primary is not None else None
        for view in self._engine.core.brains.values():
            process = self._brains.by_id.get(view.id)
            if view is not primary and not view.safe and process is not None and process.ready:
                return process
        return None


def _strike_process(action: str, pid: int) -> None:
    match action:
        case "kill":
            os.kill(pid, signal.SIGKILL)
        case "stop":
            os.kill(pid, signal.SIGSTOP)
        case _:
            time.sleep(SUPERVISOR_HANG_S)
