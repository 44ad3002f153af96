"""A rate limit that lets short bursts through. Pure; time is an argument, in seconds."""


class TokenBucket:
    """Fills at `rate_per_s`, never above `burst`; full at first."""

    __slots__ = ("_at_s", "_burst", "_rate_per_s", "_tokens")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._at_s: float | None = None

    def available(self, now: float) -> float:
        """What may be taken now. A clock that goes back fills nothing and takes nothing."""
        if self._at_s is not None and now > self._at_s:
            filled = self._tokens + (now - self._at_s) * self._rate_per_s
            self._tokens = min(self._burst, filled)
        if self._at_s is None or now > self._at_s:
            self._at_s = now
        return self._tokens

    def take(self, amount: float, now: float) -> None:
        """To be called with what is available, or less."""
        assert amount <= self.available(now), (amount, self._tokens)
        self._tokens -= amount
