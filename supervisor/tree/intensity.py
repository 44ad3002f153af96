"""When restarts are too many: a sliding list of times. Pure.

More than `limit` restarts within `period_s` are too many; a restart exactly `period_s`
ago still counts. The list is the supervisor's, not a child's.

While a restart waits (backoff.py) the period's clock stands still. Without that the
waits, which OTP does not have, would spread a crash loop until no period ever held
enough restarts, and the parent would never hear of it. Where nothing waits, the rule
is OTP's to the letter.
"""


class Intensity:
    """Times are monotonic seconds; they never go back."""

    __slots__ = ("_limit", "_paused_at_s", "_paused_s", "_period_s", "_times")

    def __init__(self, limit: int, period_s: float) -> None:
        self._limit = limit
        self._period_s = period_s
        self._times: list[float] = []
        self._paused_s = 0.0
        self._paused_at_s: float | None = None

    def add(self, now: float) -> bool:
        """Count a restart. True: it is within bounds. False: give up."""
        clock_s = self._clock_s(now)
        self._times = [t for t in self._times if clock_s - t <= self._period_s]
        self._times.append(clock_s)
        return len(self._times) <= self._limit

    def pause(self, now: float) -> None:
        """A restart waits from now on. Again while paused: no effect."""
        if self._paused_at_s is None:
            self._paused_at_s = now

    def resume(self, now: float) -> None:
        """No restart waits any more. Not while paused: no effect."""
        if self._paused_at_s is not None:
            self._paused_s += now - self._paused_at_s
            self._paused_at_s = None

    def _clock_s(self, now: float) -> float:
        until_s = now if self._paused_at_s is None else self._paused_at_s
        return until_s - self._paused_s
