"""OTP's supervisor_SUITE: groups sup_start, sup_start_map and sup_stop, under its names."""

import asyncio
from typing import cast

import pytest

from osupervisor.supervisor.tree.cause import SHUTDOWN, CauseKind
from osupervisor.supervisor.tree.child_spec import (
    WORKER_SHUTDOWN_S,
    ChildSpec,
    Flags,
    check_childspecs,
)
from osupervisor.supervisor.tree.environment import Environment
from osupervisor.supervisor.tree.errors import (
    InvalidSpecError,
    NoSupervisorError,
    NotFoundError,
    SupervisorStartError,
)
from osupervisor.supervisor.tree.supervisor import Supervisor
from tests.supervisor.tree.conftest import Run
from tests.supervisor.tree.workers import Told, Workers, counts, ids, kinds, make, running


def _nothing_to_supervise() -> None:
    return None


def _environment() -> Environment:
    return Environment(lambda: 0.5)


def test_sup_start_normal(run: Run) -> None:
    async def main() -> None:
        supervisor = make()
        assert await supervisor.start()
        assert await supervisor.stop() == SHUTDOWN

    run(main)


def test_sup_start_ignore_init(run: Run) -> None:
    async def main() -> None:
        supervisor = Supervisor("sup_test", _nothing_to_supervise, _environment())
        assert not await supervisor.start()
        with pytest.raises(NoSupervisorError):
            supervisor.which_children()

    run(main)


def test_sup_start_ignore_child(run: Run) -> None:
    async def main() -> None:
        workers, supervisor = Workers(), make()
        await supervisor.start()
        assert (await supervisor.start_child(workers.spec("child1", "ignore"))).child is None
        started = await supervisor.start_child(workers.spec("child2"))
        assert ids(supervisor) == ["child2", "child1"]
        assert running(supervisor) == {"child2": started.child}
        assert supervisor.count_children() == counts(2, 1, 0, 2)
        await supervisor.stop()

    run(main)


def test_sup_start_ignore_temporary_child(run: Run) -> None:
    async def main() -> None:
        workers = Workers()
        specs = [
            workers.spec("child1", "ignore", restart="temporary"),
            workers.spec("child2", restart="temporary"),
        ]
        supervisor = make(specs)
        await supervisor.start()
        assert list(running(supervisor)) == ids(supervisor) == ["child2"]
        assert supervisor.count_children() == counts(1, 1, 0, 1)
        await supervisor.stop()

    run(main)


def test_sup_start_ignore_temporary_child_start_child(run: Run) -> None:
    async def main() -> None:
        workers, supervisor = Workers(), make()
        await supervisor.start()
        ignored = workers.spec("child1", "ignore", restart="temporary")
        assert (await supervisor.start_child(ignored)).child is None
        await supervisor.start_child(workers.spec("child2", restart="temporary"))
        assert ids(supervisor) == ["child2"]
        assert supervisor.count_children() == counts(1, 1, 0, 1)
        await supervisor.stop()

    run(main)


def test_sup_start_error_return(run: Run) -> None:
    async def main() -> None:
        def blueprint() -> tuple[Flags, list[ChildSpec]]:
            return cast(Flags, "invalid"), []

        with pytest.raises(InvalidSpecError) as refused:
            await Supervisor("sup_test", blueprint, _environment()).start()
        assert refused.value.code == "invalid_type"

    run(main)


def test_sup_start_fail(run: Run) -> None:
    async def main() -> None:
        def blueprint() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await Supervisor("sup_test", blueprint, _environment()).start()

    run(main)


def test_sup_start_child_returns_error(run: Run) -> None:
    """Those already started are stopped, the last first, and nothing is tried twice."""

    async def main() -> None:
        workers, told = Workers(), Told()
        workers.fails = {"child3"}
        supervisor = make([workers.spec(f"child{n}") for n in (1, 2, 3, 4)], told)
        with pytest.raises(SupervisorStartError) as failed:
            await supervisor.start()
        assert failed.value.child_id == "child3"
        assert failed.value.cause.kind is CauseKind.ERROR
        assert "WorkerDied" in failed.value.cause.traceback
        assert workers.journal == [
            "start child1",
            "start child2",
            "fail child3",
            "end child2",
            "end child1",
        ]
        assert told.contexts() == [("start_error", "child3")]

    run(main)


def test_sup_start_map(run: Run) -> None:
    """Defaults are filled in, and the whole spec can be read."""

    async def main() -> None:
        workers = Workers()
        start = workers.start()
        specs = [
            ChildSpec("child1", start),
            ChildSpec("child2", start, shutdown="brutal_kill"),
            ChildSpec("child3", start, type="supervisor"),
        ]
        supervisor = make(specs)
        await supervisor.start()
        one, two, three = (supervisor.get_childspec(spec.id) for spec in specs)
        assert (one.start, one.restart, one.type) == (start, "permanent", "worker")
        assert (one.shutdown, one.start_timeout_s) == (WORKER_SHUTDOWN_S, 30.0)
        assert two.shutdown == "brutal_kill"
        assert (three.shutdown, three.start_timeout_s) == ("infinity", "infinity")
        with pytest.raises(NotFoundError):
            supervisor.get_childspec("child4")
        await supervisor.stop()

    run(main)


def test_sup_start_map_faulty_specs(run: Run) -> None:
    async def main() -> None:
        workers = Workers()
        faulty = [
            (ChildSpec("", workers.start()), "invalid_id"),
            (ChildSpec("a/b", workers.start()), "invalid_id"),
            (cast(ChildSpec, "child4"), "invalid_child_spec"),
        ]
        for spec, code in faulty:
            with pytest.raises(InvalidSpecError) as refused:
                await make([workers.spec("child1"), spec]).start()
            assert refused.value.code == code
        assert workers.journal == []
        assert check_childspecs([]) == ()

    run(main)


def test_sup_stop_infinity(run_virtual: Run) -> None:
    """All the time it takes, for workers as for supervisors."""

    async def main() -> None:
        workers, supervisor = Workers(), make()
        await supervisor.start()
        for child_id, type_ in (("child1", "supervisor"), ("child2", "worker")):
            spec = workers.spec(child_id, "deaf", shutdown="infinity", type=type_)
            await supervisor.start_child(spec)
        began_s = asyncio.get_running_loop().time()
        assert await supervisor.stop() == SHUTDOWN
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(400_000)
        assert supervisor.deaths() == ()

    run_virtual(main)


def test_sup_stop_timeout(run_virtual: Run) -> None:
    async def main() -> None:
        told = Told()
        workers, supervisor = Workers(), make(report=told)
        await supervisor.start()
        await supervisor.start_child(workers.spec("child1"))
        await supervisor.start_child(workers.spec("child2", "deaf"))
        began_s = asyncio.get_running_loop().time()
        await supervisor.stop()
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(1.0)
        assert workers.journal[-2:] == ["end child2", "end child1"]
        assert kinds(supervisor) == ["killed"]
        assert told.contexts() == [("shutdown_error", "child2")]

    run_virtual(main)


def test_sup_stop_brutal_kill(run: Run) -> None:
    async def main() -> None:
        told = Told()
        workers, supervisor = Workers(), make(report=told)
        await supervisor.start()
        await supervisor.start_child(workers.spec("child1"))
        await supervisor.start_child(workers.spec("child2", shutdown="brutal_kill"))
        await supervisor.stop()
        assert workers.journal[-2:] == ["end child2", "end child1"]
        assert told.contexts() == []

    run(main)
