"""A supervisor that runs: the shell of supervision.py on an asyncio loop.

It feeds the core what happens and the loop's time, and carries out what comes out:
start functions, handles, one timer, answers to callers, reports. It decides nothing.
All of it happens on the loop's thread; events that come while actions are carried out
(a child that is ready inside its start function) wait for their turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TypeVar, assert_never

from osupervisor.supervisor.tree.actions import (
    Action,
    AllReady,
    Answer,
    AskDelete,
    AskRestart,
    AskStart,
    AskTerminate,
    Ended,
    ForgetChild,
    KillChild,
    Publish,
    Reply,
    Request,
    StartChild,
    StopChild,
)
from osupervisor.supervisor.tree.cause import NORMAL, Cause, CauseKind
from osupervisor.supervisor.tree.child import Handle, Init, Start
from osupervisor.supervisor.tree.child_spec import ChildSpec, Flags
from osupervisor.supervisor.tree.child_table import ChildCounts, ChildView, Started
from osupervisor.supervisor.tree.deaths import Death
from osupervisor.supervisor.tree.environment import Environment
from osupervisor.supervisor.tree.error_cause import error_cause
from osupervisor.supervisor.tree.errors import (
    NoSupervisorError,
    NotFoundError,
    SupervisorStartError,
    TreeError,
)
from osupervisor.supervisor.tree.supervision import Supervision

Blueprint = Callable[[], tuple[Flags, Sequence[ChildSpec]] | None]
Event = Callable[[float], list[Action]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Branch:
    """One node of the tree: a child as which_children shows it, and what is below it."""

    view: ChildView
    children: tuple["Branch", ...] = ()


class Supervisor:
    """One supervisor. Made anew for each start; `name` is its path in the tree.

    `blueprint` is OTP's `init`: it gives flags and child specs, and has no side effects.
    It is called at each start; None means there is nothing to supervise (`ignore`).
    """

    def __init__(self, name: str, blueprint: Blueprint, environment: Environment) -> None:
        self.name = name
        self.environment = environment
        self._blueprint = blueprint
        self._core: Supervision | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handles: dict[int, Handle] = {}
        self._callers: dict[int, asyncio.Future[Answer]] = {}
        self._numbers = count(1)
        self._events: deque[Event] = deque()
        self._is_feeding = False
        self._timer: asyncio.TimerHandle | None = None
        self._ended: Ended | None = None
        self._over = asyncio.Event()
        self._tell_ready: Callable[[], None] = _nothing
        self._tell_ended: Callable[[Ended], None] = _no_matter

    # The supervisor itself

    async def start(self) -> bool:
        """Start the children in order; return when each is ready. False: `ignore`.

        Raises InvalidSpecError before anything has started, what the blueprint raises,
        and SupervisorStartError after what had started is stopped again. Nothing is
        tried twice. Whoever cancels this waits no more, but has not stopped anything.
        """
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self.launch(lambda: _resolve(ready, None), lambda _: _resolve(ready, None)):
            return False
        await ready
        if self._ended is not None:
            child_id, cause = self._ended.failed or (None, self._ended.cause)
            raise SupervisorStartError(self.name, child_id, cause)
        return True

    def launch(self, ready: Callable[[], None], ended: Callable[[Ended], None]) -> bool:
        """As `start`, without waiting: `ready` is called when all are, `ended` at the end.

        False: `ignore`, and neither is called.
        """
        assert self._core is None, f"supervisor {self.name} was started before"
        blueprint = self._blueprint()
        if blueprint is None:
            return False
        flags, specs = blueprint
        shared = self.environment
        core = Supervision(self.name, flags, specs, shared.incarnations, shared.jitter)
        self._core = core
        self._loop = asyncio.get_running_loop()
        self._tell_ready = ready
        self._tell_ended = ended
        self._feed(core.begin)
        return True

    async def stop(self) -> Cause:
        """Stop all children, the last started first, each politely for its time; then end.

        Over already: no effect. Raises NoSupervisorError where it never was started.
        """
        if self._ended is None:
            self.request_stop()
        return await self.wait()

    async def wait(self) -> Cause:
        """Until the supervisor is over: stopped, killed, or it gave up."""
        await self._over.wait()
        assert self._ended is not None
        return self._ended.cause

    @property
    def ended(self) -> Cause | None:
        """Why it is over; None while it is not."""
        return None if self._ended is None else self._ended.cause

    def request_stop(self) -> None:
        """As `stop`, without waiting."""
        core = self._running()
        self._feed(lambda now: core.stop(now))

    def request_kill(self) -> None:
        """As `request_stop`, by force and at once."""
        self._feed(self._running().kill)

    # Children

    async def start_child(self, spec: ChildSpec) -> Started:
        """Add a child behind the others and start it; it stays in the table.

        Raises AlreadyStartedError, AlreadyPresentError, InvalidSpecError; ChildStartError
        if it did not become ready: then its spec is dropped again.
        """
        return _started(await self._ask(AskStart(spec)))

    async def terminate_child(self, child_id: str) -> None:
        """Stop a child; return when it has ended. Its spec stays unless it is temporary.

        It is not started again by itself. Stopped already: no effect. Raises NotFoundError.
        """
        await self._ask(AskTerminate(child_id))

    async def restart_child(self, child_id: str) -> Started:
        """Start a stopped child again.

        Raises NotFoundError, RunningError, RestartingError, ChildStartError.
        """
        return _started(await self._ask(AskRestart(child_id)))

    async def delete_child(self, child_id: str) -> None:
        """Drop a stopped child's spec. Raises NotFoundError, RunningError, RestartingError."""
        await self._ask(AskDelete(child_id))

    def get_childspec(self, child_id: str) -> ChildSpec:
        """With its defaults filled in. Raises NotFoundError."""
        child = self._running().table.get(child_id)
        if child is None:
            raise NotFoundError(child_id)
        return child.spec

    def which_children(self) -> tuple[ChildView, ...]:
        """The last started first. Answered at any time, also amid a restart."""
        return self._running().table.views()

    def count_children(self) -> ChildCounts:
        return self._running().table.counts()

    def deaths(self) -> tuple[Death, ...]:
        """The last 100 of its children, the oldest first; also when it is over itself."""
        return () if self._core is None else tuple(self._core.chronicle.deaths)

    def tree(self) -> tuple[Branch, ...]:
        """All children in start order, with those of nested supervisors below them."""
        return tuple(self._branch(view) for view in reversed(self.which_children()))

    # The shell

    def _branch(self, view: ChildView) -> Branch:
        handle = None if view.child is None else self._handles.get(view.child.number)
        return Branch(view, handle.supervisor.tree() if isinstance(handle, _Nested) else ())

    def _running(self) -> Supervision:
        if self._core is None or self._core.has_ended:
            raise NoSupervisorError(self.name)
        return self._core

    async def _ask(self, request: Request) -> Started | None:
        core = self._running()
        number = next(self._numbers)
        caller: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._callers[number] = caller
        self._feed(lambda now: core.ask(now, number, request))
        answer = await caller
        if isinstance(answer, TreeError):
            raise answer
        return answer

    def _feed(self, event: Event) -> None:
        """Give the core an event, and carry out what follows, also from what that causes."""
        assert self._loop is not None
        self._events.append(event)
        if self._is_feeding:
            return
        self._is_feeding = True
        try:
            while self._events:
                for action in self._events.popleft()(self._loop.time()):
                    self._carry_out(action)
        finally:
            self._is_feeding = False
        self._set_timer()

    def _set_timer(self) -> None:
        assert self._core is not None and self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        deadline_s = None if self._core.has_ended else self._core.deadline_s()
        self._timer = None
        if deadline_s is not None:
            self._timer = self._loop.call_at(deadline_s, self._feed, self._core.tick)

    def _carry_out(self, action: Action) -> None:
        match action:
            case StartChild(incarnation, spec):
                self._start(_Line(self, spec.id, incarnation), spec.start)
            case StopChild(incarnation):
                self._with_handle(incarnation, _stop)
            case KillChild(incarnation):
                self._with_handle(incarnation, _kill)
            case ForgetChild(incarnation):
                self._handles.pop(incarnation, None)
                self.environment.registry.forget(incarnation)
            case Reply(number, answer):
                _resolve(self._callers.pop(number), answer)
            case Publish(report):
                # A turn later: what it raises is the loop's, and it can't come back in here.
                assert self._loop is not None
                self._loop.call_soon(self.environment.report, report)
            case AllReady():
                self._tell_ready()
            case Ended():
                self._ended = action
                self._over.set()
                self._tell_ended(action)
            case _:
                assert_never(action)

    def _start(self, line: "_Line", start: Start) -> None:
        try:
            self._handles[line.number] = start(line)
        except Exception as error:  # the child's crash, in its start function, is its exit
            line.exited(error_cause(error))

    def _with_handle(self, incarnation: int, act: Callable[[Handle], None]) -> None:
        """None is there where the start function raised; its exit is the next event."""
        handle = self._handles.get(incarnation)
        if handle is not None:
            act(handle)

    def hear(self, event: Callable[[Supervision, float], list[Action]]) -> None:
        """What a child says of itself."""
        core = self._core
        assert core is not None
        self._feed(lambda now: event(core, now))

    def pid_of(self, incarnation: int) -> int | None:
        handle = self._handles.get(incarnation)
        return None if handle is None else handle.pid


def supervisor(blueprint: Blueprint) -> Start:
    """The start function of a child that is a supervisor itself; its spec's type says so."""

    def start(init: Init) -> Handle:
        return _Nested(init, Supervisor(init.path, blueprint, init.environment))

    return start


class _Nested:
    """A supervisor as its parent sees it."""

    __slots__ = ("_init", "supervisor")

    def __init__(self, init: Init, supervisor: Supervisor) -> None:
        self._init = init
        self.supervisor = supervisor
        if not supervisor.launch(self._ready, self._ended):
            init.ignore()
            init.exited(NORMAL)

    @property
    def pid(self) -> None:
        return None

    def stop(self) -> None:
        with suppress(NoSupervisorError):
            self.supervisor.request_stop()

    def kill(self) -> None:
        with suppress(NoSupervisorError):
            self.supervisor.request_kill()

    def _ready(self) -> None:
        self._init.ready(self.supervisor)

    def _ended(self, ended: Ended) -> None:
        self._init.exited(ended.cause if ended.failed is None else _not_started(ended))


class _Line:
    """The Init of one incarnation."""

    __slots__ = ("_supervisor", "id", "number")

    def __init__(self, supervisor: Supervisor, child_id: str, number: int) -> None:
        self._supervisor = supervisor
        self.id = child_id
        self.number = number

    @property
    def path(self) -> str:
        return f"{self._supervisor.name}/{self.id}"

    @property
    def environment(self) -> Environment:
        return self._supervisor.environment

    def ready(self, info: object = None) -> None:
        def event(core: Supervision, now: float) -> list[Action]:
            pid = self._supervisor.pid_of(self.number)
            return core.ready(now, self.number, pid, info)

        self._supervisor.hear(event)

    def ignore(self) -> None:
        self._supervisor.hear(lambda core, now: core.ignored(now, self.number))

    def exited(self, cause: Cause) -> None:
        self._supervisor.hear(lambda core, now: core.exited(now, self.number, cause))

    def register(self, name: str, value: object) -> None:
        self.environment.registry.register(name, self.number, value)


def _not_started(ended: Ended) -> Cause:
    """For the parent, a supervisor that did not start is an error with that child's traceback."""
    assert ended.failed is not None
    return Cause(CauseKind.ERROR, ended.cause.detail, traceback=ended.failed[1].traceback)


def _started(answer: Started | None) -> Started:
    assert answer is not None, "a start is answered with what was started"
    return answer


def _resolve(future: "asyncio.Future[T]", value: T) -> None:
    """The caller may have gone: then nobody is told."""
    if not future.done():
        future.set_result(value)


def _stop(handle: Handle) -> None:
    handle.stop()


def _kill(handle: Handle) -> None:
    handle.kill()


def _nothing() -> None:
    """Nobody wants to hear that all are ready."""


def _no_matter(ended: Ended) -> None:
    """Nobody wants to hear of the end."""
    del ended
