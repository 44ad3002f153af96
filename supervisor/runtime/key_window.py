"""How long string keys are remembered, against what the settings ask for, and who is warned.

    whole --(more than `idempotency.keys_max` keys came in the window)--> short --> whole

While it is short a retry under one of the forgotten keys would be executed again.
"""

from collections.abc import Callable

from osupervisor.supervisor.core.done import DoneTable
from osupervisor.supervisor.runtime.post_mortem import Say

LOOK_S = 0.5


class KeyWindow:
    """Says in the log when the window becomes short and when it is whole again."""

    def __init__(self, done: DoneTable, now_us: Callable[[], int], say: Say) -> None:
        """`now_us`: log time."""
        self.trouble = ""
        """A complaint while the window is short, else empty."""
        self._done = done
        self._now_us = now_us
        self._say = say

    def look(self) -> None:
        """To be called each LOOK_S."""
        held_s, wanted_s = (
            self._done.window_held_us(self._now_us()) / 1e6,
            self._done.window_us / 1e6,
        )
        was_short, self.trouble = bool(self.trouble), ""
        if held_s < wanted_s:
            self.trouble = f"string keys are remembered for {held_s:.1f} s of {wanted_s:g} s"
        if self.trouble and not was_short:
            hint = "raise idempotency.keys_max, or call through the library, whose keys are exact"
            self._say("warning", "keys.window_short", held_s=held_s, wanted_s=wanted_s, hint=hint)
        elif was_short and not self.trouble:
            self._say("info", "keys.window_whole", held_s=held_s)
