"""An asyncio loop whose clock jumps to the next timer: hours of a test pass in milliseconds.

Real descriptors still work, and are looked at first; time passes only when none is ready.
"""

import asyncio
import selectors


class NothingWillHappen(Exception):
    """No timer, nothing ready: on a real clock the test would hang for ever."""


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and timeout is None:
            raise NothingWillHappen
        if not events and timeout:
            self.now_s += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now_s
