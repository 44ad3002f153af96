"""OTP's supervisor_SUITE: restart types, strategies, escalation, trees, under its names."""

import asyncio
from typing import Any

import pytest

from osupervisor.supervisor.tree.backoff import NO_BACKOFF
from osupervisor.supervisor.tree.cause import REACHED_MAX_RESTART_INTENSITY
from osupervisor.supervisor.tree.child_spec import ChildSpec, Flags
from osupervisor.supervisor.tree.supervisor import Supervisor, supervisor
from tests.supervisor.tree.conftest import Run
from tests.supervisor.tree.workers import (
    Told,
    Word,
    Workers,
    counts,
    end,
    gives_up,
    ids,
    kinds,
    make,
    running,
    until,
)


def _check_end(run: Run, restart: str, word: Word, becomes: str) -> None:
    """A child of this restart type ends so: it is then `restarted`, `stopped` or `gone`."""

    async def main() -> None:
        workers, top = Workers(), make()
        await top.start()
        first = (await top.start_child(workers.spec("child1", restart=restart))).child
        await end(top, workers.living["child1"], word)
        if becomes == "gone":
            assert top.count_children() == counts(0, 0, 0, 0)
        elif becomes == "stopped":
            assert top.count_children() == counts(1, 0, 0, 1)
            assert running(top) == {}
        else:
            assert top.count_children() == counts(1, 1, 0, 1)
            assert running(top)["child1"] != first
        await top.stop()

    run(main)


def test_permanent_normal(run: Run) -> None:
    _check_end(run, "permanent", "normal", "restarted")


def test_transient_normal(run: Run) -> None:
    _check_end(run, "transient", "normal", "stopped")


def test_temporary_normal(run: Run) -> None:
    _check_end(run, "temporary", "normal", "gone")


def test_permanent_shutdown(run: Run) -> None:
    _check_end(run, "permanent", "shutdown", "restarted")


def test_transient_shutdown(run: Run) -> None:
    _check_end(run, "transient", "shutdown", "stopped")


def test_temporary_shutdown(run: Run) -> None:
    _check_end(run, "temporary", "shutdown", "gone")


def test_permanent_abnormal(run: Run) -> None:
    _check_end(run, "permanent", "abnormal", "restarted")


def test_transient_abnormal(run: Run) -> None:
    _check_end(run, "transient", "abnormal", "restarted")


def test_temporary_abnormal(run: Run) -> None:
    _check_end(run, "temporary", "abnormal", "gone")


def test_transient_killed(run: Run) -> None:
    _check_end(run, "transient", "kill", "restarted")


def test_temporary_bystander(run: Run) -> None:
    """A temporary child that a sibling's death took down does not come back."""

    async def main() -> None:
        workers, top = Workers(), make(strategy="rest_for_one", period_s=300.0)
        await top.start()
        await top.start_child(workers.spec("child1", shutdown=0.1))
        await top.start_child(workers.spec("child2", shutdown=0.1, restart="temporary"))
        await end(top, workers.living["child1"], "normal")
        assert ids(top) == list(running(top)) == ["child1"]
        assert workers.journal[2:] == ["end child1", "end child2", "start child1"]
        await top.stop()

    run(main)


def test_multiple_restarts(run_virtual: Run) -> None:
    """Many restarts, none of them too soon after the last."""

    async def main() -> None:
        workers, top = Workers(), make(intensity=1, period_s=1.0)
        await top.start()
        await top.start_child(workers.spec("child1", shutdown="brutal_kill"))
        for _ in range(4):
            await end(top, workers.living["child1"], "abnormal")
            await asyncio.sleep(2.1)
        assert workers.journal.count("start child1") == 5
        await top.terminate_child("child1")
        await top.delete_child("child1")
        await top.stop()

    run_virtual(main)


def test_one_for_one(run: Run) -> None:
    async def main() -> None:
        told, workers = Told(), Workers()
        top = make([workers.spec("child1"), workers.spec("child2")], told)
        await top.start()
        before = running(top)
        await end(top, workers.living["child1"], "abnormal")
        assert running(top)["child2"] == before["child2"]
        assert running(top)["child1"] != before["child1"]
        await end(top, workers.living["child2"], "abnormal")
        workers.living["child1"].tell("abnormal")
        assert await gives_up(top) == REACHED_MAX_RESTART_INTENSITY
        assert kinds(top) == ["error"] * 3
        assert told.contexts() == [
            ("child_terminated", "child1"),
            ("child_terminated", "child2"),
            ("child_terminated", "child1"),
            ("shutdown", "child1"),
        ]

    run(main)


def test_one_for_one_escalation(run: Run) -> None:
    async def main() -> None:
        workers = Workers()
        specs = [workers.spec("child1", "error"), workers.spec("child2")]
        top = make(specs, intensity=4)
        await top.start()
        workers.living["child1"].tell("abnormal")
        assert await gives_up(top) == REACHED_MAX_RESTART_INTENSITY
        assert workers.journal[2:] == ["end child1", *["fail child1"] * 4, "end child2"]

    run(main)


def test_rest_for_one(run: Run) -> None:
    async def main() -> None:
        workers, top = Workers(), make(strategy="rest_for_one")
        await top.start()
        for number in (1, 2, 3):
            await top.start_child(workers.spec(f"child{number}"))
        before = running(top)
        await end(top, workers.living["child2"], "abnormal")
        after = running(top)
        assert after["child1"] == before["child1"]
        assert not {after["child2"], after["child3"]} & set(before.values())
        assert workers.journal[3:] == ["end child2", "end child3", "start child2", "start child3"]
        assert top.count_children() == counts(3, 3, 0, 3)
        assert ids(top) == ["child3", "child2", "child1"]
        await end(top, workers.living["child3"], "abnormal")
        workers.living["child2"].tell("abnormal")
        assert await gives_up(top) == REACHED_MAX_RESTART_INTENSITY

    run(main)


def test_rest_for_one_escalation(run: Run) -> None:
    async def main() -> None:
        workers = Workers()
        specs = [workers.spec("child1"), workers.spec("child2", "error")]
        top = make(specs, strategy="rest_for_one", intensity=4)
        await top.start()
        workers.living["child1"].tell("abnormal")
        assert await gives_up(top) == REACHED_MAX_RESTART_INTENSITY
        assert workers.living == {}

    run(main)


def test_rest_for_one_other_child_fails_restart(run: Run) -> None:
    """The first restarted child stays when the second fails to; only that is tried again."""

    async def main() -> None:
        workers = Workers()
        specs = [workers.spec("child1"), workers.spec("child2")]
        top = make(specs, strategy="rest_for_one", intensity=3)
        await top.start()
        workers.fails_once = {"child2"}
        workers.living["child1"].tell("abnormal")
        await until(lambda: workers.journal.count("start child2") == 2)
        assert workers.journal[2:] == [
            "end child1",
            "end child2",
            "start child1",
            "fail child2",
            "start child2",
        ]
        await top.stop()

    run(main)


def _nested(children: list[ChildSpec]) -> dict[str, Any]:
    def blueprint() -> tuple[Flags, list[ChildSpec]]:
        return Flags(intensity=4, period_s=3600.0, backoff=NO_BACKOFF), children

    return {"start": supervisor(blueprint), "shutdown": "infinity", "type": "supervisor"}


def test_tree(run: Run) -> None:
    """Only what died is restarted; a supervisor comes back without its dynamic children."""

    async def main() -> None:
        workers = Workers()
        top = make(strategy="rest_for_one", intensity=4)
        await top.start()
        static = [workers.spec("child1"), workers.spec("child2")]
        sup1 = (await top.start_child(ChildSpec("supchild1", **_nested(static)))).info
        sup2 = (await top.start_child(ChildSpec("supchild2", **_nested([])))).info
        assert isinstance(sup1, Supervisor) and isinstance(sup2, Supervisor)
        assert top.count_children() == counts(2, 2, 2, 0)
        assert sup1.count_children() == counts(2, 2, 0, 2)
        assert sup2.count_children() == counts(0, 0, 0, 0)

        await sup2.start_child(workers.spec("child3", "error"))
        await sup2.start_child(workers.spec("child4"))
        before1, before2 = running(sup1), running(sup2)
        await end(sup2, workers.living["child4"], "abnormal")
        assert running(sup1) == before1
        assert running(sup2)["child3"] == before2["child3"]
        assert running(sup2)["child4"] != before2["child4"]

        first = running(top)
        workers.living["child3"].tell("abnormal")
        await gives_up(sup2)
        await until(lambda: running(top).get("supchild2") not in (None, first["supchild2"]))
        assert running(top)["supchild1"] == first["supchild1"]
        shape = {b.view.id: [c.view.id for c in b.children] for b in top.tree()}
        assert shape == {"supchild1": ["child1", "child2"], "supchild2": []}
        await top.stop()
        assert workers.living == {}

    run(main)


def test_a_nested_supervisor_that_can_not_start_fails_its_parent(run: Run) -> None:
    async def main() -> None:
        workers, top = Workers(), make()
        await top.start()
        workers.fails = {"child2"}
        broken = _nested([workers.spec("child1"), workers.spec("child2")])
        with pytest.raises(Exception, match="failed_to_start_child child2"):
            await top.start_child(ChildSpec("supchild1", **broken))
        assert workers.journal == ["start child1", "fail child2", "end child1"]
        await top.stop()

    run(main)


def test_a_nested_supervisor_is_killed_with_all_below_it(run_virtual: Run) -> None:
    async def main() -> None:
        workers, top = Workers(), make()
        await top.start()
        below = [workers.spec("child1"), workers.spec("child2", "deaf", shutdown="infinity")]
        nested = _nested(below)
        nested["shutdown"] = 1.0
        await top.start_child(ChildSpec("supchild1", **nested))
        began_s = asyncio.get_running_loop().time()
        await top.terminate_child("supchild1")
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(1.0)
        assert workers.living == {}
        await top.stop()

    run_virtual(main)
