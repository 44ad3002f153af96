"""One thing that was examined."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, what is wanted, and what follows where they differ.

    ok: as wanted. warn: the service runs, with less than it could. bad: it can't start, or can't
    keep its promises. `what_follows` is a sentence for people, also for `ok`, where there is
    something to know; else it is empty.
    """

    name: str
    level: Level
    found: str
    wanted: str
    what_follows: str = ""


def judged(name: str, fine: bool, found: str, wanted: str, otherwise: str) -> Finding:
    """ok, or a warning that says what follows."""
    if fine:
        return Finding(name, "ok", found, wanted)
    return Finding(name, "warn", found, wanted, otherwise)
