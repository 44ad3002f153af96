"""What is kept and told of children: the last deaths, and the reports. Pure."""

from collections import deque

from osupervisor.supervisor.tree.actions import Publish
from osupervisor.supervisor.tree.cause import Cause
from osupervisor.supervisor.tree.child_table import Child, ChildTable
from osupervisor.supervisor.tree.deaths import DEATHS_MAX, Death
from osupervisor.supervisor.tree.reports import (
    Context,
    CrashReport,
    ProgressReport,
    SupervisorReport,
)


class Chronicle:
    """Of one supervisor, named by its path in the tree, `top/brains`."""

    __slots__ = ("_lineage", "_supervisor", "_table", "deaths")

    def __init__(self, supervisor: str, table: ChildTable) -> None:
        self.deaths: deque[Death] = deque(maxlen=DEATHS_MAX)
        self._supervisor = supervisor
        self._lineage = _lineage(supervisor)
        self._table = table

    def progress(self, child: Child) -> Publish:
        return Publish(ProgressReport(self._supervisor, self._table.offender(child)))

    def complaint(self, context: Context, child: Child, cause: Cause) -> Publish:
        """A supervisor report."""
        offender = self._table.offender(child)
        return Publish(SupervisorReport(self._supervisor, context, cause, offender))

    def death(self, child: Child, cause: Cause) -> list[Publish]:
        """Keep it; where something went wrong, there is a crash report."""
        self.deaths.append(
            Death(child.id, child.incarnation, child.pid, cause, child.ended_s, child.uptime_s)
        )
        if cause.is_peaceful:
            return []
        return [
            Publish(
                CrashReport(
                    ancestors=self._lineage,
                    child=self._table.offender(child),
                    cause=cause,
                    uptime_s=child.uptime_s,
                    neighbours=tuple(i for i in self._table.running() if i != child.id),
                )
            )
        ]


def _lineage(path: str) -> tuple[str, ...]:
    """The supervisor itself and all above it, the nearest first."""
    names = path.split("/")
    return tuple("/".join(names[:depth]) for depth in range(len(names), 0, -1))
