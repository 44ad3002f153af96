"""The last deaths a supervisor saw, with time and cause. Pure."""

from dataclasses import dataclass

from osupervisor.supervisor.tree.cause import Cause

# OTP.md, rule 11: enough for an operator to see a pattern, and bounded.
DEATHS_MAX = 100


@dataclass(frozen=True, slots=True)
class Death:
    """One end that nobody had asked for, one failed start, or one end by force.

    `at_s`: monotonic. `uptime_s`: from ready to the end; None if it never was ready.
    """

    id: str
    incarnation: int
    pid: int | None
    cause: Cause
    at_s: float
    uptime_s: float | None

    def unix_s(self, now_s: float, unix_now_s: float) -> float:
        """When it was, given both clocks now: wall time only at the edge."""
        return unix_now_s - (now_s - self.at_s)
