"""OTP's supervisor_SUITE: the children's administration, under its names."""

import gc
import weakref
from typing import Any, cast

import pytest

from osupervisor.supervisor.tree.backoff import NO_BACKOFF, Backoff
from osupervisor.supervisor.tree.child import Handle, Init
from osupervisor.supervisor.tree.child_spec import ChildSpec, Flags, check_childspecs
from osupervisor.supervisor.tree.child_table import Phase
from osupervisor.supervisor.tree.errors import (
    AlreadyPresentError,
    AlreadyStartedError,
    ChildStartError,
    InvalidSpecError,
    NoSupervisorError,
    NotFoundError,
    RestartingError,
    RunningError,
)
from osupervisor.supervisor.tree.supervisor import Supervisor
from osupervisor.supervisor.tree.task_child import TaskInit, task
from tests.supervisor.tree.conftest import Run
from tests.supervisor.tree.workers import (
    Told,
    Workers,
    counts,
    end,
    gives_up,
    ids,
    make,
    running,
    until,
)


def _any(value: object) -> Any:
    return value


async def _refused(supervisor: Supervisor, child_id: str, error: type[Exception]) -> None:
    """All that needs a stopped child with this id."""
    for ask in (supervisor.delete_child, supervisor.restart_child):
        with pytest.raises(error):
            await ask(child_id)


def test_child_adm(run: Run) -> None:
    async def main() -> None:
        workers = Workers()
        spec = workers.spec("child1")
        supervisor = make([spec])
        with pytest.raises(NoSupervisorError):
            await supervisor.start_child(spec)
        await supervisor.start()
        first = running(supervisor)["child1"]
        with pytest.raises(AlreadyStartedError) as started:
            await supervisor.start_child(spec)
        assert started.value.child == first

        with pytest.raises(NotFoundError):
            await supervisor.terminate_child("hej")
        await supervisor.terminate_child("child1")
        assert workers.journal[-1] == "end child1"
        assert ids(supervisor) == ["child1"]
        assert supervisor.count_children() == counts(1, 0, 0, 1)
        await supervisor.terminate_child("child1")
        with pytest.raises(AlreadyPresentError):
            await supervisor.start_child(spec)

        second = (await supervisor.restart_child("child1")).child
        assert second is not None and second.number > first.number
        assert running(supervisor) == {"child1": second}
        await _refused(supervisor, "child1", RunningError)
        await _refused(supervisor, "child2", NotFoundError)

        await supervisor.terminate_child("child1")
        await supervisor.delete_child("child1")
        with pytest.raises(NotFoundError):
            await supervisor.restart_child("child1")
        assert supervisor.count_children() == counts(0, 0, 0, 0)

        third = (await supervisor.start_child(spec)).child
        assert third is not None
        with pytest.raises(NotFoundError):
            await supervisor.terminate_child(str(third))
        await supervisor.stop()
        for read in (supervisor.which_children, supervisor.count_children):
            with pytest.raises(NoSupervisorError):
                read()
        with pytest.raises(NoSupervisorError):
            await supervisor.terminate_child("child1")

    run(main)


def test_extra_return(run: Run) -> None:
    """What init says besides ok goes to whoever started the child by hand."""

    async def main() -> None:
        workers = Workers()
        spec = workers.spec("child1", "extra_return")
        supervisor = make([spec])
        await supervisor.start()
        await _refused(supervisor, "hej", NotFoundError)
        await _refused(supervisor, "child1", RunningError)
        await supervisor.terminate_child("child1")
        assert (await supervisor.restart_child("child1")).info == "extra_return"
        await supervisor.terminate_child("child1")
        await supervisor.delete_child("child1")
        assert (await supervisor.start_child(spec)).info == "extra_return"
        await supervisor.stop()

    run(main)


def test_sup_start_child_returns_error(run: Run) -> None:
    """start_child: the spec is dropped. restart_child: it stays, and the child is stopped."""

    async def main() -> None:
        told = Told()
        workers, supervisor = Workers(), make(report=told)
        await supervisor.start()
        workers.fails = {"child1"}
        with pytest.raises(ChildStartError) as failed:
            await supervisor.start_child(workers.spec("child1"))
        assert failed.value.child_id == "child1"
        assert supervisor.count_children() == counts(0, 0, 0, 0)
        workers.fails = set()
        await supervisor.start_child(workers.spec("child1"))
        await supervisor.terminate_child("child1")
        workers.fails = {"child1"}
        with pytest.raises(ChildStartError):
            await supervisor.restart_child("child1")
        assert supervisor.count_children() == counts(1, 0, 0, 1)
        assert told.contexts() == []
        await supervisor.stop()

    run(main)


FAULTY: list[tuple[dict[str, Any], str]] = [
    ({"start": "mfa"}, "invalid_mfa"),
    ({"restart": "prmanent"}, "invalid_restart_type"),
    ({"shutdown": -10}, "invalid_shutdown"),
    ({"shutdown": float("nan")}, "invalid_shutdown"),
    ({"shutdown": True}, "invalid_shutdown"),
    ({"start_timeout_s": "never"}, "invalid_start_timeout"),
    ({"type": "wrker"}, "invalid_child_type"),
    ({"modules": "dy"}, "invalid_modules"),
    ({"modules": (1, 2, 3)}, "invalid_module"),
]


@pytest.mark.parametrize(("fields", "code"), FAULTY)
def test_child_specs_faulty(run_virtual: Run, fields: dict[str, Any], code: str) -> None:
    async def main() -> None:
        workers, supervisor = Workers(), make()
        await supervisor.start()
        whole: dict[str, Any] = {"start": workers.start(), **fields}
        spec = ChildSpec("child", **whole)
        with pytest.raises(InvalidSpecError) as refused:
            await supervisor.start_child(spec)
        assert refused.value.code == code
        with pytest.raises(InvalidSpecError) as refused:
            check_childspecs([spec])
        assert refused.value.code == code
        with pytest.raises(InvalidSpecError) as refused:
            await make([spec]).start()
        assert refused.value.code == code
        await supervisor.stop()

    run_virtual(main)


def test_child_specs(run: Run) -> None:
    async def main() -> None:
        workers, supervisor = Workers(), make()
        start = workers.start()
        await supervisor.start()
        with pytest.raises(InvalidSpecError):
            await supervisor.start_child(cast(ChildSpec, "hej"))
        await supervisor.stop()

        correct = [
            ChildSpec("child", start, shutdown="infinity", type="supervisor"),
            ChildSpec("child", start, shutdown=1.0, type="supervisor"),
            ChildSpec("child", start, "temporary", 1.0, modules="dynamic"),
            ChildSpec("child", start, "transient", 1.0, modules=("m",)),
            ChildSpec("child", start, shutdown="infinity", modules=("m",)),
        ]
        for spec in correct:
            assert [checked.id for checked in check_childspecs([spec])] == ["child"]
        with pytest.raises(InvalidSpecError) as refused:
            check_childspecs(correct[:2])
        assert refused.value.code == "duplicate_child_name"
        for nonsense in (correct[0], "child", 7):
            with pytest.raises(InvalidSpecError) as refused:
                check_childspecs(nonsense)
            assert refused.value.code == "badarg"

    run(main)


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ({"strategy": "none_for_one"}, "invalid_strategy"),
        ({"intensity": "infinity"}, "invalid_intensity"),
        ({"intensity": -1}, "invalid_intensity"),
        ({"period_s": 0}, "invalid_period"),
        ({"period_s": float("inf")}, "invalid_period"),
        ({"period_s": "infinity"}, "invalid_period"),
        ({"backoff": Backoff(-1.0)}, "invalid_backoff"),
        ({"backoff": None}, "invalid_backoff"),
    ],
)
def test_sup_flags(run_virtual: Run, flags: dict[str, Any], code: str) -> None:
    async def main() -> None:
        with pytest.raises(InvalidSpecError) as refused:
            await make(**flags).start()
        assert refused.value.code == code

    run_virtual(main)


def test_sup_flags_have_defaults_of_otp() -> None:
    flags = Flags()
    assert (flags.strategy, flags.intensity, flags.period_s) == ("one_for_one", 1, 5.0)
    assert flags.backoff != NO_BACKOFF


def test_child_unlink(run_virtual: Run) -> None:
    """OTP's naughty child unlinks itself and lives on when asked to end; here it is deaf to
    that and to force. Nobody waits for it, and the supervisor goes on serving."""

    async def main() -> None:
        workers, supervisor = Workers(), make()
        await supervisor.start()
        naughty = workers.spec("naughty_child", "deaf", shutdown="brutal_kill")
        await supervisor.start_child(naughty)
        await supervisor.terminate_child("naughty_child")
        await supervisor.start_child(workers.spec("child1"))
        assert list(running(supervisor)) == ["child1"]
        await supervisor.stop()

    run_virtual(main)


def test_count_children(run: Run) -> None:
    async def main() -> None:
        workers, supervisor = Workers(), make()
        await supervisor.start()
        for number in range(1000):
            await supervisor.start_child(workers.spec(f"child{number}", restart="temporary"))
        assert len(supervisor.which_children()) == 1000
        assert supervisor.count_children() == counts(1000, 1000, 0, 1000)
        assert supervisor.which_children() == supervisor.which_children()
        for worker in list(workers.living.values()):
            worker.tell("kill")
        await until(lambda: supervisor.count_children() == counts(0, 0, 0, 0))
        await supervisor.stop()

    run(main)


class _Large:
    """A start function with arguments that nobody wants to keep."""

    def __init__(self) -> None:
        self.payload = ["Potentially large"] * 10

    def __call__(self, init: Init) -> Handle:
        return task(_wait_for_ever)(init)


async def _wait_for_ever(child: TaskInit) -> None:
    child.ready()
    await until(lambda: False)


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one"])
def test_do_not_save_start_parameters_for_temporary_children(run: Run, strategy: str) -> None:
    async def main() -> None:
        supervisor = make(strategy=strategy)
        await supervisor.start()
        kept: dict[str, weakref.ref[_Large]] = {}
        for restart in ("permanent", "transient", "temporary"):
            start = _Large()
            kept[restart] = weakref.ref(start)
            await supervisor.start_child(ChildSpec(restart, start, _any(restart)))
            del start
        gc.collect()
        assert {restart: ref() is not None for restart, ref in kept.items()} == {
            "permanent": True,
            "transient": True,
            "temporary": False,
        }
        assert supervisor.get_childspec("temporary").restart == "temporary"
        await supervisor.stop()

    run(main)


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one"])
@pytest.mark.parametrize("word", ["kill", "normal", "abnormal", "supervisor"])
def test_do_not_save_child_specs_for_temporary_children(
    run_virtual: Run, strategy: str, word: str
) -> None:
    async def terminate(supervisor: Supervisor, workers: Workers, child_id: str) -> None:
        if word == "supervisor":
            await supervisor.terminate_child(child_id)
        else:
            await end(supervisor, workers.living[child_id], _any(word))

    async def main() -> None:
        workers, supervisor = Workers(), make(strategy=strategy)
        await supervisor.start()
        for restart in ("permanent", "transient", "temporary"):
            spec = workers.spec(restart, restart=restart)
            await supervisor.start_child(spec)
            await terminate(supervisor, workers, restart)
            stays_down = word == "supervisor" or (restart == "transient" and word == "normal")
            if restart == "temporary":
                await supervisor.start_child(spec)
            elif stays_down:
                with pytest.raises(AlreadyPresentError):
                    await supervisor.start_child(spec)
                await supervisor.restart_child(restart)
            else:
                with pytest.raises(AlreadyStartedError):
                    await supervisor.start_child(spec)
        await supervisor.stop()

    run_virtual(main)


def test_hanging_restart_loop(run_virtual: Run) -> None:
    """Child and supervisor can be shut down while a restart is tried again and again."""

    async def main() -> None:
        workers = Workers()
        supervisor = make(intensity=8, period_s=10.0, backoff=Backoff(initial_s=1.0))
        spec = workers.spec("child1", shutdown="brutal_kill")
        await supervisor.start()
        await supervisor.start_child(spec)

        def phase() -> Phase:
            return supervisor.which_children()[0].phase

        workers.fails = {"child1"}
        workers.living["child1"].tell("abnormal")
        await until(lambda: workers.journal.count("fail child1") >= 3)
        with pytest.raises(AlreadyPresentError):
            await supervisor.start_child(spec)
        await _refused(supervisor, "child1", RestartingError)
        assert phase() is Phase.RESTARTING
        assert supervisor.count_children() == counts(1, 0, 0, 1)
        await supervisor.terminate_child("child1")
        assert phase() is Phase.STOPPED

        workers.fails = set()
        await supervisor.restart_child("child1")
        workers.fails = {"child1"}
        workers.living["child1"].tell("abnormal")
        await until(lambda: phase() is Phase.RESTARTING)
        await supervisor.stop()
        assert supervisor.ended is not None

    run_virtual(main)


def test_hanging_restart_loop_without_backoff_gives_up(run: Run) -> None:
    async def main() -> None:
        workers = Workers()
        supervisor = make([workers.spec("child1")], intensity=8)
        await supervisor.start()
        workers.fails = {"child1"}
        workers.living["child1"].tell("abnormal")
        assert (await gives_up(supervisor)).detail == "reached_max_restart_intensity"
        assert workers.journal.count("fail child1") == 8

    run(main)
