"""One child started or stopped at a time, each with its time limit: how plans are carried
out. Pure; what the plans are is decided in supervision.py.

    step    is through when                     and by force
    ------  ----------------------------------  ------------------------------------------
    start   ready; or ignored and exited        kill after start_timeout; then it has failed
    stop    exited                              kill after its shutdown time, or at once

A child that outlives its kill by KILL_WAIT_S is abandoned: what it says later is not heard.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import assert_never

from osupervisor.supervisor.tree.actions import (
    Action,
    ForgetChild,
    KillChild,
    StartChild,
    StopChild,
)
from osupervisor.supervisor.tree.cause import (
    ABANDONED,
    KILLED,
    NEVER_READY,
    START_TIMEOUT,
    Cause,
    CauseKind,
)
from osupervisor.supervisor.tree.child_spec import without_start
from osupervisor.supervisor.tree.child_table import Child, ChildTable, Phase, Started
from osupervisor.supervisor.tree.chronicle import Chronicle
from osupervisor.supervisor.tree.plan import Plan, Step, Verb
from osupervisor.supervisor.tree.waiting import Waiting

# A killed process of 1 GB takes up to 0.8 s to be torn down, and a task may swallow its
# cancellation for ever. Whoever is still there after this long is no longer waited for.
KILL_WAIT_S = 10.0


class Steps:
    """`actions` collects what is to be done in the world; its owner takes it."""

    def __init__(
        self,
        table: ChildTable,
        waiting: Waiting,
        chronicle: Chronicle,
        incarnations: Iterator[int],
        actions: list[Action],
    ) -> None:
        self.plan: Plan | None = None
        self.step: Step | None = None
        self._table = table
        self._waiting = waiting
        self._chronicle = chronicle
        self._incarnations = incarnations
        self._actions = actions
        self._is_brutal = False

    def run(
        self,
        todo: Sequence[tuple[Verb, str]],
        done: Callable[[], None],
        failed: Callable[[Child, Cause], None],
        started: Callable[[Started], None],
    ) -> None:
        """From now on this is the plan, whatever was left of another."""
        self.plan = Plan(deque(todo), done, failed, started)

    def go_on(self, plan: Plan, now: float) -> None:
        """The next step, or, after the last one, what follows."""
        assert self.step is None, self.step
        if not plan.todo:
            self.plan = None
            plan.done()
            return
        verb, child_id = plan.todo.popleft()
        child = self._table.get(child_id)
        match verb:
            case "start":
                assert child is not None and not child.incarnation, child_id
                self._start(child, now)
            case "stop":
                if child is not None:
                    self._stop(child, now)
            case _:
                assert_never(verb)

    def leave_start(self) -> None:
        """The start that is under way is no longer waited for.

        The child is alive, and to be stopped like the others; one whose kill was sent
        is being stopped already.
        """
        step = self.step
        if step is None or step.verb != "start":
            return
        if step.forced is None:
            self.step = None
        else:
            step.verb = "stop"
            step.child.phase = Phase.STOPPING

    def become_brutal(self, now: float) -> None:
        """No child gets its time any more, also the one that is being stopped."""
        self._is_brutal = True
        if self.step is not None and self.step.verb == "stop":
            self._force(self.step, KILLED, now)

    def break_off(self, child_id: str, now: float) -> None:
        """It is to be terminated: if it hangs in its start, that is not waited for."""
        step = self.step
        if step is not None and step.verb == "start" and step.child.id == child_id:
            self._force(step, Cause(CauseKind.KILLED, "terminated while it was starting"), now)

    def ready(self, incarnation: int, pid: int | None, info: object, now: float) -> None:
        step = self._start_step(incarnation)
        if step is None or step.forced is not None or step.child.ignored:
            return
        self.step = None
        child = step.child
        child.phase = Phase.RUNNING
        child.pid = pid
        child.ready_s = now
        if child.is_temporary:
            child.spec = without_start(child.spec)
        self._actions.append(self._chronicle.progress(child))
        assert self.plan is not None, "a child starts in a plan"
        self.plan.started(Started(self._table.ref(child), info))

    def ignored(self, incarnation: int) -> None:
        step = self._start_step(incarnation)
        if step is not None:
            step.child.ignored = True

    def exited(self, child: Child, cause: Cause, now: float) -> bool:
        """It has ended. True: that was, or ends, the step it is in; False: it died."""
        self._actions.append(ForgetChild(child.incarnation))
        child.ended = cause
        child.ended_s = now
        step = self.step
        if step is None or step.child is not child:
            return False
        self.step = None
        match step.verb:
            case "start":
                self._left_its_start(step, cause)
            case "stop":
                self._stopped(child, cause)
            case _:
                assert_never(step.verb)
        return True

    def tick(self, now: float) -> None:
        step = self.step
        if step is None or step.deadline_s > now:
            return
        if step.forced is not None:
            self.exited(step.child, ABANDONED, now)
        else:
            self._force(step, START_TIMEOUT if step.verb == "start" else KILLED, now)

    def deadline_s(self) -> float:
        """When the step has taken too long; infinity where none can."""
        return inf if self.step is None else self.step.deadline_s

    def put_away(self, child: Child) -> None:
        """It is stopped and stays so; of a temporary child nothing is left."""
        child.end(Phase.STOPPED)
        if child.is_temporary:
            self._table.remove(child.id)

    def _start(self, child: Child, now: float) -> None:
        self._waiting.drop(child.id, now)
        child.begin(next(self._incarnations))
        timeout = child.spec.start_timeout_or_default
        self.step = Step("start", child, inf if timeout == "infinity" else now + timeout)
        self._actions.append(StartChild(child.incarnation, child.spec))

    def _stop(self, child: Child, now: float) -> None:
        """Where nothing is alive it is only no longer tried; if it has ended, that counts."""
        self._waiting.drop(child.id, now)
        if not child.incarnation:
            self.put_away(child)
        elif child.ended is not None:
            self._stopped(child, child.ended)
        else:
            child.phase = Phase.STOPPING
            self.step = Step("stop", child, inf)
            self._ask_to_end(self.step, now)

    def _ask_to_end(self, step: Step, now: float) -> None:
        shutdown = step.child.spec.shutdown_or_default
        if self._is_brutal or shutdown == "brutal_kill":
            self._force(step, KILLED, now)
            return
        if shutdown != "infinity":
            step.deadline_s = now + shutdown
        self._actions.append(StopChild(step.child.incarnation))

    def _force(self, step: Step, why: Cause, now: float) -> None:
        if step.forced is None:
            step.forced = why
            step.deadline_s = now + KILL_WAIT_S
            self._actions.append(KillChild(step.child.incarnation))

    def _start_step(self, incarnation: int) -> Step | None:
        step = self.step
        if step is None or step.verb != "start" or step.child.incarnation != incarnation:
            return None
        return step

    def _left_its_start(self, step: Step, cause: Cause) -> None:
        plan, child = self.plan, step.child
        assert plan is not None, "a child starts in a plan"
        if child.ignored and step.forced is None:
            self.put_away(child)
            plan.started(Started(None))
            return
        self.plan = None
        why = step.forced or _failure(cause)
        self._actions.extend(self._chronicle.death(child, why))
        plan.failed(child, why)

    def _stopped(self, child: Child, cause: Cause) -> None:
        """It was to end and has: is that how it should have?"""
        if not self._is_proper_end(child, cause):
            self._actions.extend(self._chronicle.death(child, cause))
            self._actions.append(self._chronicle.complaint("shutdown_error", child, cause))
        self.put_away(child)

    def _is_proper_end(self, child: Child, cause: Cause) -> bool:
        """What OTP's shutdown of a child accepts; a permanent one does not just end."""
        match cause.kind:
            case CauseKind.SHUTDOWN:
                return True
            case CauseKind.NORMAL:
                return child.spec.restart != "permanent"
            case CauseKind.KILLED:
                return self._is_brutal or child.spec.shutdown_or_default == "brutal_kill"
            case _:
                return False


def _failure(cause: Cause) -> Cause:
    """Why a start failed: a peaceful end is no reason, but that it came too early is."""
    if not cause.is_peaceful:
        return cause
    return Cause(CauseKind.ERROR, f"{NEVER_READY} ({cause})")
