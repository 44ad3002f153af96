"""What an execution is given and what it asks for: time, random numbers, effects.

One `Context` belongs to one brain object and is filled anew for each request. Effects are packed at
the moment they are asked for, so that a later change of a payload does not change what was said:

    ["emit", event, payload]   ["after", delay us, op, args, kwargs]   ["cast", op, args, kwargs]
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from osupervisor.brain.errors import BrainError, EffectError, UnpackableError
from osupervisor.brain.packing import NO_EFFECTS, array_header, decode, pack

DELAY_S_MAX = 100 * 365.25 * 86400.0
"""A delay's microseconds stay far inside u64, and nobody waits for more."""
EVENT_NAME_BYTES_MAX = 256
EFFECTS_MAX = 10_000
"""Effects of one request; a loop that asks for effects without end is found here."""

_PARTS: Final = {
    "emit": ("emit", "event", "payload"),
    "after": ("after", "delay", "op", "args", "kwargs"),
    "cast": ("cast", "op", "args", "kwargs"),
}

Key = tuple[Any, ...] | str
CheckArguments = Callable[[str, Sequence[Any], Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Request:
    """The request being executed. `key`: (client, number), a string, (epoch, lsn, i) of the cast or
    timer, or (boot, arrival). `t_us`: unix microseconds. `seed`: 64 bits.
    """

    op: str
    key: Key
    t_us: int
    seed: int


class Context:
    """State of the execution now running; `check` is asked whether an own op takes arguments."""

    __slots__ = ("_check", "_random", "_seeded_for", "current", "effects", "key", "reading")

    def __init__(self, check: CheckArguments) -> None:
        self._check = check
        self.effects: list[bytes] = []
        self._random = Random(0)
        self._seeded_for: object = None
        self.current: Sequence[Any] = ("", [], {}, 0, 0)
        """The request: op, args, kwargs, unix microseconds, seed."""
        self.key: Any = ""
        self.reading = False

    def now(self) -> float:
        t_us: int = self.current[3]
        return t_us / 1e6

    def random(self) -> Random:
        """Seeded at the first use in a request: seeding takes 6 us."""
        if self._seeded_for is not self.current:
            self._random.seed(self.current[4])
            self._seeded_for = self.current
        return self._random

    def request(self) -> Request:
        key: Any = self.key
        if not isinstance(key, str):
            key = tuple(key) if isinstance(key[0], int) else tuple(key[:2])
        op, _args, _kwargs, t_us, seed = self.current
        return Request(op, key, t_us, seed)

    def emit(self, event: object, payload: Mapping[str, Any]) -> None:
        if not isinstance(event, str) or not 0 < len(event.encode()) <= EVENT_NAME_BYTES_MAX:
            raise EffectError(
                "emit", f"found event {event!r}, wanted a name of 1 to {EVENT_NAME_BYTES_MAX} bytes"
            )
        self._add("emit", ["emit", event, payload])

    def after(
        self, seconds: object, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise EffectError(
                "after", f"found a delay of type {type(seconds).__name__}, wanted seconds"
            )
        if not (math.isfinite(seconds) and 0 <= seconds <= DELAY_S_MAX):
            raise EffectError("after", f"found {seconds!r} s, wanted 0 to {DELAY_S_MAX:.0f} s")
        self._check_op("after", op, args, kwargs)
        self._add("after", ["after", round(seconds * 1e6), op, args, kwargs])

    def cast(self, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self._check_op("cast", op, args, kwargs)
        self._add("cast", ["cast", op, args, kwargs])

    def take_effects(self) -> bytes:
        """The packed effects asked for since the last call; leaves none behind."""
        effects = self.effects
        if not effects:
            return NO_EFFECTS
        packed = array_header(len(effects)) + b"".join(effects)
        effects.clear()
        return packed

    def drop_effects(self) -> None:
        self.effects.clear()

    def _check_op(
        self, effect: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        try:
            self._check(op, args, kwargs)
        except BrainError as error:
            raise EffectError(effect, str(error)) from None

    def _add(self, name: str, effect: list[Any]) -> None:
        if self.reading:
            raise EffectError(name, "a query asks for no effects; mark the method with @op")
        if len(self.effects) >= EFFECTS_MAX:
            raise EffectError(name, f"found more than {EFFECTS_MAX} effects in one request")
        try:
            self.effects.append(pack(effect, name))
        except UnpackableError:
            for part, value in zip(_PARTS[name], effect, strict=True):
                _check_part(name, part, value)
            raise


def _check_part(effect: str, part: str, value: object) -> None:
    try:
        pack(value, part)
    except UnpackableError as error:
        raise EffectError(effect, str(error)) from None


def unpack_effects(packed: bytes) -> list[list[Any]]:
    """The effects of a commit as lists, for a test or a display."""
    effects: list[list[Any]] = decode(packed)
    return effects
