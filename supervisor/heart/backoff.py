"""How long to wait before the next start. Pure.

The first restart is at once; after that the wait doubles up to its cap, and half of it is
jitter, so that services which fail together don't start together.
"""

from osupervisor.supervisor.heart.named_tuple import NamedTuple

DOUBLINGS_MAX = 60  # 2**60 times any first wait is above every cap: keeps the power a small number


class Backoff(NamedTuple):
    """The waits between starts, in seconds."""

    initial_s: float = 0.1
    cap_s: float = 30.0

    def delay_s(self, failures: int, jitter: float) -> float:
        """The wait after so many failed starts in a row; `jitter` lies in [0, 1).

        No failure before this one: 0. After that between half of the doubled wait and all of it.
        """
        if failures == 0:
            return 0.0
        doubled: float = self.initial_s * 2 ** min(failures - 1, DOUBLINGS_MAX)
        return min(self.cap_s, doubled) * (0.5 + jitter / 2)
