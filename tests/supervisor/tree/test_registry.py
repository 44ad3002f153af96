"""Names of living children."""

import pytest

from osupervisor.supervisor.tree.child_spec import ChildSpec, Flags
from osupervisor.supervisor.tree.errors import ChildStartError, NameTakenError
from osupervisor.supervisor.tree.registry import Registry
from osupervisor.supervisor.tree.supervisor import supervisor
from osupervisor.supervisor.tree.task_child import TaskInit, task
from tests.supervisor.tree.conftest import Run
from tests.supervisor.tree.workers import make, until


def test_a_name_belongs_to_one_incarnation_until_that_is_over() -> None:
    registry = Registry()
    registry.register("wal", 1, "the wal")
    registry.register("wal", 1, "the wal, renewed")
    with pytest.raises(NameTakenError):
        registry.register("wal", 2, "another")
    assert registry.whereis("wal") == "the wal, renewed"
    registry.forget(2)
    assert registry.names() == ("wal",)
    registry.forget(1)
    assert registry.whereis("wal") is None
    registry.register("wal", 2, "another")


async def _named(child: TaskInit, value: object) -> None:
    child.register("name", value)
    child.ready()
    await until(lambda: False)


async def _look_up(child: TaskInit, found: list[object]) -> None:
    found.append(child.whereis("name"))
    child.ready()
    await until(lambda: False)


def test_the_registry_is_the_whole_trees_and_forgets_the_dead(run: Run) -> None:
    async def main() -> None:
        found: list[object] = []
        looks = ChildSpec("looks", task(_look_up, found))
        below = supervisor(lambda: (Flags(), [looks]))
        top = make()
        await top.start()
        await top.start_child(ChildSpec("named", task(_named, "first")))
        await top.start_child(ChildSpec("below", below, type="supervisor"))
        with pytest.raises(ChildStartError, match="NameTakenError"):
            await top.start_child(ChildSpec("second", task(_named, "second")))
        await top.terminate_child("named")
        assert top.environment.registry.names() == ()
        await top.start_child(ChildSpec("second", task(_named, "second")))
        await top.terminate_child("below")
        await top.restart_child("below")
        assert found == ["first", "second"]
        await top.stop()

    run(main)
