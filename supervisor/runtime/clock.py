"""Log time: wall time at the start, the monotonic clock from then on. Never behind the log."""

import time


class LogClock:
    """Microseconds since 1970, never decreasing, whatever the wall clock does meanwhile."""

    __slots__ = ("_base_us",)

    def __init__(self, not_before_us: int) -> None:
        """`not_before_us`: the time of the log's last record."""
        wall_us = time.time_ns() // 1000
        self._base_us = max(wall_us, not_before_us) - time.monotonic_ns() // 1000

    def now_us(self) -> int:
        return self._base_us + time.monotonic_ns() // 1000
