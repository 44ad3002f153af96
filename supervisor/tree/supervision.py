"""What a supervisor does: whom it starts and stops, in which order, when it gives up. Pure.

Events and the time go in, actions come out. One thing is done at a time, as in OTP:

    mailbox   what is still to be dealt with, in the order it came: deaths, requests,
              restarts that are due
    plan      what is being done, step by step (steps.py)

so a death during a restart waits until the restart is through, unless the plan stops
that child anyway. Two things do not wait: stop and kill of the supervisor itself, and
the termination of the child that is being started.

    event            effect
    ---------------  -----------------------------------------------------------------
    ready            the start step is through
    ignored, exited  likewise, without a child (kept as stopped; a temporary is deleted)
    exited           in its stop step: that is through; in its start step: the start has
                     failed; else a death: restart type, intensity, strategy, backoff
    tick             a step took too long: force; a backoff is over: try again
    stop, kill       whatever goes on, every child is stopped, the last started first

A restart that fails counts and is tried again after its backoff, during which the
supervisor serves its callers.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf
from typing import assert_never

from osupervisor.supervisor.tree.actions import (
    Action,
    AllReady,
    Answer,
    AskDelete,
    AskRestart,
    AskStart,
    AskTerminate,
    Ended,
    Reply,
    Request,
)
from osupervisor.supervisor.tree.cause import (
    KILLED,
    REACHED_MAX_RESTART_INTENSITY,
    SHUTDOWN,
    Cause,
    CauseKind,
)
from osupervisor.supervisor.tree.child_spec import (
    Flags,
    check_childspec,
    check_childspecs,
    check_flags,
)
from osupervisor.supervisor.tree.child_table import Child, ChildTable, Phase, Started
from osupervisor.supervisor.tree.chronicle import Chronicle
from osupervisor.supervisor.tree.errors import (
    AlreadyPresentError,
    AlreadyStartedError,
    ChildStartError,
    NoSupervisorError,
    NotFoundError,
    RestartingError,
    RunningError,
    TreeError,
)
from osupervisor.supervisor.tree.plan import Asked, Died, Due, Message, starts, stops
from osupervisor.supervisor.tree.steps import Steps
from osupervisor.supervisor.tree.strategy import STRATEGIES, is_restarted
from osupervisor.supervisor.tree.waiting import Waiting


class Supervision:
    """One supervisor's decisions. Each event returns the actions that follow from it."""

    def __init__(
        self,
        name: str,
        flags: object,
        specs: object,
        incarnations: Iterator[int],
        jitter: Callable[[], float],
    ) -> None:
        """`name`: its path in the tree. Raises InvalidSpecError."""
        self.name = name
        self.flags: Flags = check_flags(flags)
        self.table = ChildTable(name, check_childspecs(specs))
        self.chronicle = Chronicle(name, self.table)
        self.has_ended = False
        self._actions: list[Action] = []
        self._waiting = Waiting(self.flags.intensity, self.flags.period_s)
        self._steps = Steps(self.table, self._waiting, self.chronicle, incarnations, self._actions)
        self._jitter = jitter
        self._mailbox: deque[Message] = deque()
        self._caller: int | None = None
        self._is_ending = False
        self._now = 0.0

    # Events

    def begin(self, now: float) -> list[Action]:
        """Start the children. Leads to AllReady, or to Ended with the child that failed."""
        self._now = now
        self._steps.run(starts(self.table.ids()), self._begun, self._not_begun, _unasked)
        return self._turn()

    def ready(self, now: float, incarnation: int, pid: int | None, info: object) -> list[Action]:
        self._now = now
        self._steps.ready(incarnation, pid, info, now)
        return self._turn()

    def ignored(self, now: float, incarnation: int) -> list[Action]:
        """It has nothing to do, and will exit next."""
        self._now = now
        self._steps.ignored(incarnation)
        return self._turn()

    def exited(self, now: float, incarnation: int, cause: Cause) -> list[Action]:
        """Of an incarnation that was given up nothing follows."""
        self._now = now
        child = self.table.incarnation(incarnation)
        if child is not None and child.ended is None and not self._steps.exited(child, cause, now):
            self._mailbox.append(Died(incarnation))
        return self._turn()

    def ask(self, now: float, number: int, request: Request) -> list[Action]:
        """A caller's request, answered by one Reply with this number, now or later."""
        self._now = now
        if self.has_ended or self._is_ending:
            self._actions.append(Reply(number, NoSupervisorError(self.name)))
            return self._turn()
        if isinstance(request, AskTerminate):
            self._steps.break_off(request.child_id, now)
        self._mailbox.append(Asked(number, request))
        return self._turn()

    def stop(self, now: float, cause: Cause = SHUTDOWN) -> list[Action]:
        """End, politely, whatever is going on."""
        self._now = now
        self._shut_down(cause)
        return self._turn()

    def kill(self, now: float) -> list[Action]:
        """End by force: no child gets its time."""
        self._now = now
        self._steps.become_brutal(now)
        self._shut_down(KILLED)
        return self._turn()

    def tick(self, now: float) -> list[Action]:
        """To be called when `deadline_s` has come; earlier it does nothing."""
        self._now = now
        self._steps.tick(now)
        self._mailbox.extend(map(Due, self._waiting.drop_due(now)))
        return self._turn()

    def deadline_s(self) -> float | None:
        """When `tick` is wanted next. None: not before something else happens."""
        deadline_s = min(self._steps.deadline_s(), self._waiting.next_s())
        return None if deadline_s == inf else deadline_s

    # A turn: messages become plans, plans become steps, until a step has to wait

    def _turn(self) -> list[Action]:
        while self._steps.step is None and not self.has_ended:
            if self._steps.plan is not None:
                self._steps.go_on(self._steps.plan, self._now)
            elif self._mailbox:
                self._deal_with(self._mailbox.popleft())
            else:
                break
        actions = self._actions.copy()
        self._actions.clear()
        return actions

    def _deal_with(self, message: Message) -> None:
        match message:
            case Died(incarnation):
                child = self.table.incarnation(incarnation)
                if child is not None:
                    self._died(child)
            case Due(child_id):
                child = self.table.get(child_id)
                if child is not None and self._is_to_be_tried(child):
                    self._try_again(child)
            case Asked(number, request):
                self._caller = number
                self._serve(request)
            case _:
                assert_never(message)

    # Deaths and restarts

    def _died(self, child: Child) -> None:
        """Nobody had asked for this end."""
        cause = child.ended
        assert cause is not None
        comes_back = is_restarted(child.spec.restart, cause)
        self._actions.extend(self.chronicle.death(child, cause))
        if comes_back or not cause.is_peaceful:
            self._actions.append(self.chronicle.complaint("child_terminated", child, cause))
        if comes_back:
            self._restart(child, self._try_again)
        else:
            self._steps.put_away(child)

    def _restart_failed(self, child: Child, cause: Cause) -> None:
        self._actions.append(self.chronicle.complaint("start_error", child, cause))
        self._restart(child, self._try_after_callers)

    def _restart(self, child: Child, at_once: Callable[[Child], None]) -> None:
        """Count it; then give up, or restart `at_once`, or after its backoff.

        While it waits, those that go down with it are down already.
        """
        if child.uptime_s is not None and child.uptime_s >= self.flags.period_s:
            child.tries = 0
        if not self._waiting.count(self._now):
            self._give_up(child)
            return
        delay_s = self.flags.backoff.delay_s(child.tries, self._jitter() if child.tries else 0.0)
        child.tries += 1
        child.end(Phase.RESTARTING)
        if delay_s == 0.0:
            at_once(child)
        else:
            self._waiting.wait(child.id, delay_s, self._now)
            self._steps.run(stops(self._others(child)), _nothing, _impossible, _unasked)

    def _try_again(self, child: Child) -> None:
        """Whoever of those affected runs is stopped; then all start, but the temporary."""
        back = [c.id for c in self.table if c.id in self._affected(child) and not c.is_temporary]
        todo = [*stops(self._others(child)), *starts(back)]
        self._steps.run(todo, _nothing, self._restart_failed, _unasked)

    def _try_after_callers(self, child: Child) -> None:
        """Behind what has come in meanwhile, as OTP's `try_again_restart` is."""
        self._mailbox.append(Due(child.id))

    def _is_to_be_tried(self, child: Child) -> bool:
        return child.phase is Phase.RESTARTING and child.id not in self._waiting

    def _affected(self, child: Child) -> Sequence[str]:
        return STRATEGIES[self.flags.strategy](self.table.ids(), child.id)

    def _others(self, child: Child) -> list[str]:
        """Those that go down with it."""
        return [child_id for child_id in self._affected(child) if child_id != child.id]

    # Requests

    def _serve(self, request: Request) -> None:
        try:
            match request:
                case AskStart(spec):
                    self._start_child(spec)
                case AskTerminate(child_id):
                    self._terminate_child(self._known(child_id))
                case AskRestart(child_id):
                    self._restart_child(self._idle(child_id))
                case AskDelete(child_id):
                    self.table.remove(self._idle(child_id).id)
                    self._answer(None)
                case _:
                    assert_never(request)
        except TreeError as refusal:
            self._answer(refusal)

    def _start_child(self, spec: object) -> None:
        checked = check_childspec(spec)
        there = self.table.get(checked.id)
        if there is not None and there.phase is Phase.RUNNING:
            raise AlreadyStartedError(checked.id, self.table.ref(there))
        if there is not None:
            raise AlreadyPresentError(checked.id)
        child = self.table.add(checked)
        self._steps.run(starts([child.id]), _nothing, self._added_in_vain, self._answer)

    def _added_in_vain(self, child: Child, cause: Cause) -> None:
        self.table.remove(child.id)
        self._answer(ChildStartError(child.id, cause))

    def _terminate_child(self, child: Child) -> None:
        done = partial(self._answer, None)
        self._steps.run(stops([child.id]), done, _impossible, _unasked)

    def _restart_child(self, child: Child) -> None:
        child.tries = 0
        self._steps.run(starts([child.id]), _nothing, self._restarted_in_vain, self._answer)

    def _restarted_in_vain(self, child: Child, cause: Cause) -> None:
        self._steps.put_away(child)
        self._answer(ChildStartError(child.id, cause))

    def _known(self, child_id: str) -> Child:
        child = self.table.get(child_id)
        if child is None:
            raise NotFoundError(child_id)
        return child

    def _idle(self, child_id: str) -> Child:
        child = self._known(child_id)
        if child.phase is Phase.RESTARTING:
            raise RestartingError(child_id)
        if child.incarnation:
            raise RunningError(child_id)
        return child

    def _answer(self, answer: Answer) -> None:
        """To the caller whose request is being served, if any."""
        if self._caller is not None:
            self._actions.append(Reply(self._caller, answer))
            self._caller = None

    # Begin and end of the supervisor

    def _begun(self) -> None:
        self._actions.append(AllReady())

    def _not_begun(self, child: Child, cause: Cause) -> None:
        self._actions.append(self.chronicle.complaint("start_error", child, cause))
        self._steps.put_away(child)
        why = Cause(CauseKind.SHUTDOWN, f"failed_to_start_child {child.id}: {cause}")
        self._shut_down(why, (child.id, cause))

    def _give_up(self, child: Child) -> None:
        why = REACHED_MAX_RESTART_INTENSITY
        self._actions.append(self.chronicle.complaint("shutdown", child, why))
        self._steps.put_away(child)
        self._shut_down(why)

    def _shut_down(self, cause: Cause, failed: tuple[str, Cause] | None = None) -> None:
        """Stop every child, the last started first, then end. Twice is once."""
        if self.has_ended or self._is_ending:
            return
        self._is_ending = True
        self._refuse_callers()
        self._steps.leave_start()
        done = partial(self._end, Ended(cause, failed))
        self._steps.run(stops(self.table.ids()), done, _impossible, _unasked)

    def _refuse_callers(self) -> None:
        self._answer(NoSupervisorError(self.name))
        for message in self._mailbox:
            if isinstance(message, Asked):
                self._actions.append(Reply(message.number, NoSupervisorError(self.name)))
        self._mailbox.clear()

    def _end(self, ended: Ended) -> None:
        self.has_ended = True
        self._actions.append(ended)


def _nothing() -> None:
    """What follows a plan with which everything is done."""


def _unasked(started: Started) -> None:
    """Nobody waits to hear that this child has started."""
    del started


def _impossible(child: Child, cause: Cause) -> None:
    raise AssertionError(f"a plan that only stops has failed to start {child.id}: {cause}")
