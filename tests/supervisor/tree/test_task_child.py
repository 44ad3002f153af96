"""Tasks as children, and what their supervisor tells of them."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from osupervisor.supervisor.tree.cause import KILLED, SHUTDOWN, Cause, CauseKind
from osupervisor.supervisor.tree.child import Init
from osupervisor.supervisor.tree.child_spec import ChildSpec
from osupervisor.supervisor.tree.errors import ChildStartError
from osupervisor.supervisor.tree.reports import CrashReport, ProgressReport, Report
from osupervisor.supervisor.tree.steps import KILL_WAIT_S
from osupervisor.supervisor.tree.supervisor import Supervisor
from osupervisor.supervisor.tree.task_child import TaskInit, task
from tests.supervisor.tree.conftest import Run
from tests.supervisor.tree.workers import Told, Workers, end, kinds, make, running, until


async def _start_fails(top: Supervisor, spec: ChildSpec) -> Cause:
    with pytest.raises(ChildStartError) as failed:
        await top.start_child(spec)
    return failed.value.cause


async def _never_ready(child: TaskInit) -> None:
    del child
    await asyncio.sleep(1_000_000)


async def _returns_at_once(child: TaskInit) -> None:
    del child


async def _raises(child: TaskInit) -> None:
    raise ValueError(child.path)


def test_start_waits_until_init_has_answered(run: Run) -> None:
    async def main() -> None:
        steps: list[str] = []
        door = asyncio.Event()

        async def slow(child: TaskInit, is_held: bool) -> None:
            steps.append(f"{child.id} begins")
            if is_held:
                await door.wait()
            child.ready()
            await until(lambda: False)

        top = make([ChildSpec("one", task(slow, True)), ChildSpec("two", task(slow, False))])
        starting = asyncio.ensure_future(top.start())
        await until(lambda: steps != [])
        assert [view.phase for view in top.which_children()] == ["stopped", "starting"]
        door.set()
        assert await starting
        assert steps == ["one begins", "two begins"]
        await top.stop()

    run(main)


def test_a_task_that_is_never_ready_fails_after_its_start_timeout(run_virtual: Run) -> None:
    async def main() -> None:
        top = make()
        await top.start()
        began_s = asyncio.get_running_loop().time()
        cause = await _start_fails(top, ChildSpec("child", task(_never_ready)))
        assert cause.kind is CauseKind.START_TIMEOUT
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(30.0)
        await top.stop()

    run_virtual(main)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (_returns_at_once, "it ended before it was ready (normal)"),
        (_raises, "ValueError: sup_test/child"),
    ],
)
def test_a_task_that_ends_before_it_is_ready_has_failed_to_start(
    run: Run, body: Any, detail: str
) -> None:
    async def main() -> None:
        top = make()
        await top.start()
        cause = await _start_fails(top, ChildSpec("child", task(body)))
        assert (cause.kind, cause.detail) == (CauseKind.ERROR, detail)
        await top.stop()

    run(main)


def test_a_start_that_hangs_is_broken_off_by_terminate_child(run: Run) -> None:
    async def main() -> None:
        top = make()
        await top.start()
        starting = asyncio.ensure_future(top.start_child(ChildSpec("child", task(_never_ready))))
        await until(lambda: len(top.which_children()) == 1)
        with pytest.raises(Exception, match="no child 'child'"):
            await top.terminate_child("child")
        with pytest.raises(ChildStartError, match="terminated while it was starting"):
            await starting
        await top.stop()

    run(main)


def test_stop_does_not_wait_for_a_start_that_hangs(run: Run) -> None:
    async def main() -> None:
        workers = Workers()
        top = make([workers.spec("one"), ChildSpec("two", task(_never_ready))])
        starting = asyncio.ensure_future(top.start())
        await until(lambda: workers.journal == ["start one"])
        await top.stop()
        assert workers.journal == ["start one", "end one"]
        with pytest.raises(Exception, match="did not start"):
            await starting

    run(main)


def test_a_task_that_swallows_every_cancellation_is_abandoned(run_virtual: Run) -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def stubborn(child: TaskInit) -> None:
            child.ready()
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        top = make([ChildSpec("child", task(stubborn), shutdown=2.0)])
        await top.start()
        began_s = asyncio.get_running_loop().time()
        await top.stop()
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(2.0 + KILL_WAIT_S)
        assert kinds(top) == ["abandoned"]
        release.set()

    run_virtual(main)


def test_what_a_crash_report_tells(run: Run) -> None:
    async def main() -> None:
        told, workers = Told(), Workers()
        specs = [workers.spec(name) for name in ("left", "middle", "right")]
        top = make(specs, told)
        await top.start()
        await end(top, workers.living["middle"], "abnormal")
        await asyncio.sleep(0)
        progress = [r.started.id for r in told.reports if isinstance(r, ProgressReport)]
        assert progress == ["left", "middle", "right", "middle"]
        (crash,) = [r for r in told.reports if isinstance(r, CrashReport)]
        assert crash.ancestors == ("sup_test",)
        assert (crash.child.id, crash.child.restart, crash.child.type) == (
            "middle",
            "permanent",
            "worker",
        )
        assert crash.neighbours == ("left", "right")
        assert crash.uptime_s is not None and crash.uptime_s >= 0.0
        assert "WorkerDied" in crash.cause.traceback
        await top.stop()

    run(main)


def test_a_listener_that_raises_harms_nobody(run: Run) -> None:
    async def main() -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))

        def listener(report: Report) -> None:
            raise ZeroDivisionError(report)

        workers = Workers()
        top = make([workers.spec("child")], listener)
        await top.start()
        await until(lambda: len(complaints) == 1)
        assert isinstance(complaints[0]["exception"], ZeroDivisionError)
        assert list(running(top)) == ["child"]
        await top.stop()

    run(main)


def test_the_last_hundred_deaths_are_kept_with_time_and_cause(run_virtual: Run) -> None:
    async def main() -> None:
        workers = Workers()
        top = make([workers.spec("child")], intensity=1, period_s=1.0)
        await top.start()
        for _ in range(120):
            await asyncio.sleep(10.0)
            await end(top, workers.living["child"], "abnormal")
        deaths = top.deaths()
        assert len(deaths) == 100
        assert {death.cause.detail for death in deaths} == {"WorkerDied: "}
        gaps_s = [b.at_s - a.at_s for a, b in zip(deaths, deaths[1:], strict=False)]
        assert gaps_s == pytest.approx([10.0] * 99, abs=0.1)
        now_s = asyncio.get_running_loop().time()
        assert deaths[-1].unix_s(now_s, 1_000_000.0) == pytest.approx(1_000_000.0, abs=0.1)
        assert top.which_children()[0].restarts == 120
        await top.stop()

    run_virtual(main)


def test_a_cancelled_caller_leaves_no_trace(run: Run) -> None:
    async def main() -> None:
        workers, top = Workers(), make()
        await top.start()
        starting: asyncio.Future[Any] = asyncio.ensure_future(
            _cancelled(top.start_child(workers.spec("child")))
        )
        await starting
        await until(lambda: list(running(top)) == ["child"])
        await top.stop()

    run(main)


async def _cancelled(call: Coroutine[Any, Any, Any]) -> None:
    caller = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


class _Instant:
    """A child of a third kind, which is ready and ends inside the calls it gets."""

    pid = 4711

    def __init__(self, init: Init) -> None:
        self._init = init
        init.ready("at once")

    def stop(self) -> None:
        self._init.exited(SHUTDOWN)

    def kill(self) -> None:
        self._init.exited(KILLED)


def test_a_child_may_be_ready_inside_its_start_and_end_inside_its_stop(run: Run) -> None:
    async def main() -> None:
        top = make([ChildSpec("one", _Instant), ChildSpec("two", _Instant)])
        await top.start()
        started = await top.start_child(ChildSpec("three", _Instant))
        assert started.info == "at once"
        assert [ref.pid for ref in running(top).values()] == [4711] * 3
        await top.terminate_child("two")
        assert list(running(top)) == ["three", "one"]
        await top.stop()

    run(main)
