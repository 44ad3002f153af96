"""Children that wait for their next try, and the count of tries. Pure.

While any child waits, the intensity's clock stands still: intensity.py says why.
"""

from math import inf

from osupervisor.supervisor.tree.intensity import Intensity


class Waiting:
    """Times are monotonic seconds."""

    __slots__ = ("_due_s", "_intensity")

    def __init__(self, intensity: int, period_s: float) -> None:
        self._intensity = Intensity(intensity, period_s)
        self._due_s: dict[str, float] = {}

    def __contains__(self, child_id: str) -> bool:
        return child_id in self._due_s

    def count(self, now: float) -> bool:
        """A restart happens. False: it is one too many."""
        return self._intensity.add(now)

    def wait(self, child_id: str, delay_s: float, now: float) -> None:
        self._due_s[child_id] = now + delay_s
        self._intensity.pause(now)

    def drop(self, child_id: str, now: float) -> None:
        """It waits no longer, if it did."""
        self._due_s.pop(child_id, None)
        if not self._due_s:
            self._intensity.resume(now)

    def drop_due(self, now: float) -> list[str]:
        """Those whose time has come; they wait no longer."""
        due = [child_id for child_id, due_s in self._due_s.items() if due_s <= now]
        for child_id in due:
            self.drop(child_id, now)
        return due

    def next_s(self) -> float:
        """When the first of them is due; infinity where none waits."""
        return min(self._due_s.values(), default=inf)
