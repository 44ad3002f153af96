"""How long a restart waits: exponential, capped, with jitter. Pure.

OTP has none and restarts at once. Here only the first restart is at once: the second
waits `initial_s`, the third twice that, and so on up to `max_s`. Of each wait between
half and all is taken, so that children that died together do not come back together.
A child that was ready for the supervisor's `period_s` starts from the beginning.
"""

from dataclasses import dataclass

# OTP.md, rule 5.
MAX_S = 30.0
# Past any cap from any initial wait that a person would set: a bound for the power.
_DOUBLINGS_MAX = 32


@dataclass(frozen=True, slots=True)
class Backoff:
    """`initial_s` 0 means no waiting at all, which is OTP's behaviour."""

    initial_s: float = 0.1
    max_s: float = MAX_S

    def delay_s(self, restarts: int, jitter: float) -> float:
        """The wait before the next restart, after `restarts` of them. `jitter` is in [0, 1)."""
        if restarts == 0:
            return 0.0
        doublings = min(restarts - 1, _DOUBLINGS_MAX)
        whole_s = min(self.max_s, self.initial_s * 2.0**doublings)
        return whole_s * (0.5 + 0.5 * jitter)


NO_BACKOFF = Backoff(initial_s=0.0, max_s=0.0)
