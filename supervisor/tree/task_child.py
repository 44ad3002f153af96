"""A child that is a task on the supervisor's loop.

    async def keep_wal(child: TaskInit, path: str) -> None:
        wal = await open_wal(path)      # init: the supervisor waits, and nobody is served
        child.ready()
        await wal.serve()               # until it returns, raises, or is cancelled

    ChildSpec("wal", start=task(keep_wal, "data/wal"))

Asked to end, the task is cancelled and may clean up in `finally` for its shutdown time.
No force can end a task that swallows its cancellation: by force it is cancelled again,
and if it lives on after that the supervisor abandons it.

    the task                              is an end that is
    ------------------------------------  -----------------------------
    returns                               normal; shutdown where asked
    raises Shutdown                       shutdown
    raises anything else                  error
    is cancelled by its supervisor        shutdown, killed
    is cancelled by somebody else         killed
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec

from osupervisor.supervisor.tree.cause import KILLED, NORMAL, SHUTDOWN, Cause, CauseKind
from osupervisor.supervisor.tree.child import Handle, Init, Start
from osupervisor.supervisor.tree.error_cause import error_cause

P = ParamSpec("P")


class Shutdown(Exception):
    """Raised by a task to say: I end as if I had been asked to. OTP's `{shutdown, Term}`."""


class TaskInit:
    """What a task gets: the part of Init that is its own business."""

    __slots__ = ("_init",)

    def __init__(self, init: Init) -> None:
        self._init = init

    @property
    def id(self) -> str:
        return self._init.id

    @property
    def path(self) -> str:
        return self._init.path

    def ready(self, info: object = None) -> None:
        """Init is done; the next child may start. `info` is for who started it by hand."""
        self._init.ready(info)

    def ignore(self) -> None:
        """There is nothing to do: to be followed by the task's return."""
        self._init.ignore()

    def register(self, name: str, value: object) -> None:
        """Offer `value` under `name` while this task lives. Raises NameTakenError."""
        self._init.register(name, value)

    def whereis(self, name: str) -> object | None:
        """What a living child of the tree offers under `name`; None if none does."""
        return self._init.environment.registry.whereis(name)


def task(
    body: Callable[Concatenate[TaskInit, P], Coroutine[Any, Any, object]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Start:
    """The start function of a child that runs `body(child, *args)` as a task."""

    def start(init: Init) -> Handle:
        return _TaskChild(init, body(TaskInit(init), *args, **kwargs))

    return start


class _TaskChild:
    __slots__ = ("_init", "_is_asked", "_is_killed", "_task")

    def __init__(self, init: Init, body: Coroutine[Any, Any, object]) -> None:
        self._init = init
        self._is_asked = False
        self._is_killed = False
        self._task = asyncio.get_running_loop().create_task(body, name=init.path)
        self._task.add_done_callback(self._ended)

    @property
    def pid(self) -> None:
        return None

    def stop(self) -> None:
        self._is_asked = True
        self._task.cancel()

    def kill(self) -> None:
        self._is_killed = True
        self._task.cancel()

    def _ended(self, ended: "asyncio.Task[object]") -> None:
        self._init.exited(self._cause(ended))

    def _cause(self, ended: "asyncio.Task[object]") -> Cause:
        if ended.cancelled():
            if self._is_killed:
                return KILLED
            return SHUTDOWN if self._is_asked else Cause(CauseKind.KILLED, "cancelled")
        match ended.exception():
            case None:
                return SHUTDOWN if self._is_asked else NORMAL
            case Shutdown() as word:
                return Cause(CauseKind.SHUTDOWN, str(word))
            case error:
                return error_cause(error)
