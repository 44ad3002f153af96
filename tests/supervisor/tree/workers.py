"""Children that do as a test says: what `supervisor_1` is to OTP's own suite."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Literal

from osupervisor.supervisor.tree.backoff import NO_BACKOFF
from osupervisor.supervisor.tree.cause import Cause
from osupervisor.supervisor.tree.child import Handle, Init, Start
from osupervisor.supervisor.tree.child_spec import ChildSpec, Flags
from osupervisor.supervisor.tree.child_table import ChildCounts, ChildRef
from osupervisor.supervisor.tree.environment import Environment
from osupervisor.supervisor.tree.reports import Report, SupervisorReport
from osupervisor.supervisor.tree.supervisor import Supervisor
from osupervisor.supervisor.tree.task_child import Shutdown, TaskInit, task

Word = Literal["normal", "shutdown", "abnormal", "kill"]
Mode = Literal["ok", "ignore", "error", "extra_return", "deaf"]

# How long a condition may take on a real clock before the test fails.
PATIENCE_S = 20.0


class WorkerDied(Exception):
    """How a worker dies when it is told to die abnormally."""


class Worker:
    """One incarnation: `tell` it how to end."""

    def __init__(self, child_id: str) -> None:
        self.id = child_id
        self.task: asyncio.Task[Any] | None = None
        self._word: asyncio.Future[Word] = asyncio.get_running_loop().create_future()

    def tell(self, word: Word) -> None:
        if word == "kill":
            assert self.task is not None
            self.task.cancel()
        else:
            self._word.set_result(word)

    async def live(self) -> None:
        self.task = asyncio.current_task()
        match await self._word:
            case "shutdown":
                raise Shutdown("some info")
            case "abnormal":
                raise WorkerDied
            case _:
                return


class Workers:
    """All workers of a test, and a journal of their starts and ends."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.living: dict[str, Worker] = {}
        self.fails: set[str] = set()
        self.fails_once: set[str] = set()

    def spec(self, child_id: str, mode: Mode = "ok", **fields: Any) -> ChildSpec:
        """`error` starts once and fails at every restart; `deaf` does not end when asked."""
        fields.setdefault("shutdown", 1.0)
        return ChildSpec(child_id, self.start(mode), **fields)

    def start(self, mode: Mode = "ok") -> Start:
        starts = itertools.count(1)

        def start(init: Init) -> Handle:
            is_bad = init.id in self.fails | self.fails_once
            if is_bad or (mode == "error" and next(starts) > 1):
                self.fails_once.discard(init.id)
                self.journal.append(f"fail {init.id}")
                raise WorkerDied(init.id)
            return task(self._live, mode)(init)

        return start

    async def _live(self, child: TaskInit, mode: Mode) -> None:
        if mode == "ignore":
            child.ignore()
            return
        worker = self.living[child.id] = Worker(child.id)
        self.journal.append(f"start {child.id}")
        child.ready("extra_return" if mode == "extra_return" else None)
        try:
            await worker.live()
        except asyncio.CancelledError:
            if mode == "deaf":
                await asyncio.sleep(200_000)
            raise
        finally:
            if self.living.get(child.id) is worker:
                del self.living[child.id]
            self.journal.append(f"end {child.id}")


class Told:
    """All reports of a test."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def __call__(self, report: Report) -> None:
        self.reports.append(report)

    def contexts(self) -> list[tuple[str, str]]:
        """Of the supervisor reports: context and child."""
        return [(r.context, r.offender.id) for r in self.reports if isinstance(r, SupervisorReport)]


def make(
    children: Sequence[ChildSpec] = (),
    report: Callable[[Report], None] | None = None,
    **flags: Any,
) -> Supervisor:
    """A supervisor as OTP's tests have it: 2 restarts in 3600 s, without any backoff."""
    fields: dict[str, Any] = {"intensity": 2, "period_s": 3600.0, "backoff": NO_BACKOFF, **flags}
    jitter = Random(7).random
    environment = Environment(jitter) if report is None else Environment(jitter, report)
    return Supervisor("sup_test", lambda: (Flags(**fields), list(children)), environment)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it, on the loop's clock."""
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + PATIENCE_S
    while not condition():
        assert loop.time() < give_up_s, "it has not come true"
        await asyncio.sleep(0.001)


async def end(supervisor: Supervisor, worker: Worker, word: Word) -> None:
    """OTP's `terminate/4`: let it end so, and wait until its supervisor has dealt with that."""
    before = running(supervisor)[worker.id]
    worker.tell(word)
    await until(lambda: is_over(supervisor) or before not in running(supervisor).values())
    await until(lambda: is_over(supervisor) or not is_busy(supervisor))


def is_over(supervisor: Supervisor) -> bool:
    return supervisor.ended is not None


def is_busy(supervisor: Supervisor) -> bool:
    return any(v.phase in ("starting", "stopping") for v in supervisor.which_children())


def running(supervisor: Supervisor) -> dict[str, ChildRef]:
    return {v.id: v.child for v in supervisor.which_children() if v.child is not None}


def ids(supervisor: Supervisor) -> list[str]:
    """As which_children lists them: the last started first."""
    return [view.id for view in supervisor.which_children()]


def counts(specs: int, active: int, supervisors: int, workers: int) -> ChildCounts:
    return ChildCounts(specs, active, supervisors, workers)


def kinds(supervisor: Supervisor) -> list[str]:
    """Of the deaths it remembers."""
    return [death.cause.kind for death in supervisor.deaths()]


async def gives_up(supervisor: Supervisor) -> Cause:
    return await asyncio.wait_for(supervisor.wait(), PATIENCE_S)
