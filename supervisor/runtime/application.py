"""The application: the supervision tree of the service, and what each part of it runs.

    osupervisor (rest_for_one)        a part that fails takes down those that lean on it
    ├── wal_manager                   turns of the engine, syncs, healing
    ├── memory_vault                  checkpoints when they are due
    ├── brain_manager (one_for_one)
    │   └── nursery                   a process; brains stand beside it, as their own kind
    ├── health_monitor                deadlines, silence, load
    ├── telemetry                     gauges, the log's flushes
    └── listener                      connections

They start in this order and stop in the reverse one. Where the top gives up, the process ends and
heart starts the next one: brains live on meanwhile.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from osupervisor.config.settings import Supervision as SupervisionSettings
from osupervisor.supervisor.runtime.post_mortem import Say
from osupervisor.supervisor.tree.backoff import Backoff
from osupervisor.supervisor.tree.child import Start
from osupervisor.supervisor.tree.child_spec import ChildSpec, Flags
from osupervisor.supervisor.tree.environment import Environment
from osupervisor.supervisor.tree.reports import (
    CrashReport,
    ProgressReport,
    Report,
    SupervisorReport,
)
from osupervisor.supervisor.tree.supervisor import Branch, Supervisor, supervisor
from osupervisor.supervisor.tree.task_child import TaskInit, task

NURSERY_INTENSITY = 1000
"""Code that can't be imported is tried again until somebody mends it; its backoff is the limit."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Something to be done each `interval_s`; what it raises ends its child."""

    interval_s: float
    run: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Part:
    """One child of the tree: `start` and `stop` around its beats."""

    id: str
    beats: tuple[Beat, ...]
    start: Callable[[], None] = lambda: None
    stop: Callable[[], None] = lambda: None


def build(
    parts: list[Part],
    nursery: Start,
    settings: SupervisionSettings,
    say: Say,
) -> Supervisor:
    """The tree, not started. The nursery stands behind the part `memory_vault`."""
    environment = Environment(jitter=random.random, report=lambda report: _say_report(say, report))
    backoff = Backoff(settings.backoff_initial_s, settings.backoff_max_s)
    brains = Flags("one_for_one", NURSERY_INTENSITY, 30.0, backoff)

    def brain_manager() -> tuple[Flags, list[ChildSpec]]:
        return brains, [ChildSpec("nursery", start=nursery)]

    specs: list[ChildSpec] = []
    for part in parts:
        specs.append(ChildSpec(part.id, start=task(_keep, part), shutdown=settings.shutdown_s))
        if part.id == "memory_vault":
            specs.append(
                ChildSpec("brain_manager", start=supervisor(brain_manager), type="supervisor")
            )
    flags = Flags("rest_for_one", settings.intensity, settings.period_s, backoff)
    return Supervisor("osupervisor", lambda: (flags, specs), environment)


async def _keep(child: TaskInit, part: Part) -> None:
    """Run a part's beats until it is cancelled or one of them fails."""
    part.start()
    try:
        async with asyncio.TaskGroup() as group:
            for beat in part.beats:
                group.create_task(_beat(beat))
            child.ready()
            if not part.beats:
                await asyncio.get_running_loop().create_future()
    finally:
        part.stop()


async def _beat(beat: Beat) -> None:
    while True:
        await asyncio.sleep(beat.interval_s)
        beat.run()


def _say_report(say: Say, report: Report) -> None:
    match report:
        case CrashReport(_, child, cause):
            say("error", "child.crashed", child=child.id, cause=str(cause))
        case SupervisorReport(name, context, cause, offender):
            fields = {"supervisor": name, "context": context, "cause": str(cause)}
            say("warning", "supervisor.report", child=offender.id, **fields)
        case ProgressReport(name, started):
            say("debug", "child.started", supervisor=name, child=started.id)


def as_root(branches: tuple[Branch, ...], brains: list[dict[str, object]]) -> dict[str, object]:
    """The whole tree for `system.tree`, with the brains beside the nursery that forks them."""
    children = _as_map(branches)
    for child in children:
        if child["id"] == "brain_manager":
            child["children"] = [*cast("list[object]", child["children"]), *brains]
    return {"id": "osupervisor", "type": "supervisor", "children": children}


def _as_map(branches: tuple[Branch, ...]) -> list[dict[str, object]]:
    return [
        {
            "id": branch.view.id,
            "type": branch.view.type,
            "phase": str(branch.view.phase),
            "pid": None if branch.view.child is None else branch.view.child.pid,
            "restarts": branch.view.restarts,
            "children": _as_map(branch.children),
        }
        for branch in branches
    ]
