"""Durations and sizes as people write them, to seconds and bytes and back. Pure.

    duration   10 | 0.5 | "10" | "2s" | "500ms" | "5m" | "1h30m" | "7d"       a bare number: seconds
               units us ms s m h d w, the larger first, each at most once
    size       65536 | "65536" | "512B" | "64KiB" | "64MiB" | "10GiB" | "1TiB"    powers of 1024
               "64kB" | "64MB" | "10GB" | "1TB"                                   powers of 1000

Numbers are ASCII digits, with at most one point, without sign or exponent; blanks may stand
around a text and between number and unit. A lone "64M" is refused, as half the world reads it
as 64 MiB. Whatever is not understood raises BadValueError and nothing else.
"""

import re
from decimal import Decimal

from osupervisor.config.errors import BadValueError, shown

DURATION_WANTED = 'a duration in seconds, or a text such as "500ms", "2s", "5m", "1h30m" or "7d"'
SIZE_WANTED = 'a size in bytes, or a text such as "64KiB", "64MiB" or "10GiB"'
TEXT_CHARS_MAX = 64
"""No duration or size needs more; a longer text is a mistake and isn't worth parsing."""
SECONDS_MAX = 1e10
"""Some 317 years: beyond it a duration is a mistake, and clocks in microseconds overflow."""
SECONDS_MIN = 1e-9
"""The clock's own resolution; a duration is 0 or at least this."""
BYTES_MAX = 2**63 - 1
"""What the kernel's file offsets can count."""

_SECONDS = {
    "w": Decimal(604_800),
    "d": Decimal(86_400),
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
    "us": Decimal("0.000001"),
}
_BYTES = {
    "": 1,
    "b": 1,
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgtp", start=1)},
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgtp", start=1)},
}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_BARE = re.compile(_NUMBER)
_PART = re.compile(rf"({_NUMBER})[ ]*(us|ms|[smhdw])[ ]*")
_SIZE = re.compile(rf"({_NUMBER})[ ]*([a-zA-Z]*)")


def parse_duration(value: object) -> float:
    """Seconds, 0 or from SECONDS_MIN to SECONDS_MAX, exact to the nearest float.

    Takes a text, an int or a float. Raises BadValueError (without file and key).
    """
    if isinstance(value, str):
        seconds = _duration_of(value.strip(" ")) if len(value) <= TEXT_CHARS_MAX else None
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = value
    else:
        seconds = None
    if seconds != 0 and (seconds is None or not SECONDS_MIN <= seconds <= SECONDS_MAX):
        raise BadValueError("", "", shown(value), DURATION_WANTED)
    return abs(float(seconds))  # -0.0 is 0.0


def parse_size(value: object) -> int:
    """Bytes, from 0 to BYTES_MAX; a fraction of a unit must come to whole bytes ("1.5KiB").

    Takes a text or an int. Raises BadValueError (without file and key).
    """
    hint = ""
    if isinstance(value, str):
        size = _size_of(value.strip(" ")) if len(value) <= TEXT_CHARS_MAX else None
        hint = "" if size is not None else _size_hint(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        size = None
    if size is None or not 0 <= size <= BYTES_MAX:
        raise BadValueError("", "", shown(value), SIZE_WANTED, hint)
    return size


def format_duration(seconds: float) -> str:
    """The text in the largest unit, up to days, that leaves no fraction.

    `seconds` is as `parse_duration` returns it, which reads the text back to the same float.
    """
    exact = Decimal(repr(float(seconds)))
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count = exact / _SECONDS[unit]
        if count >= 1 and count == count.to_integral_value():
            return f"{count:f}".split(".")[0] + unit
    return f"{exact.normalize():f}s"


def format_size(size: int) -> str:
    """The text in the largest binary unit that divides it, which `parse_size` reads back."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if size and size % 1024**power == 0:
            return f"{size // 1024**power}{unit}"
    return f"{size}B"


def _duration_of(text: str) -> float | None:
    """None: not a duration."""
    if _BARE.fullmatch(text):
        return float(text)
    total, position, units = Decimal(0), 0, list(_SECONDS)
    while position < len(text):
        part = _PART.match(text, position)
        if part is None or part[2] not in units:
            return None
        total += Decimal(part[1]) * _SECONDS[part[2]]
        units = units[units.index(part[2]) + 1 :]
        position = part.end()
    return float(total) if position else None


def _size_of(text: str) -> int | None:
    """None: not a size, or not a whole number of bytes."""
    match = _SIZE.fullmatch(text)
    if match is None or match[2].lower() not in _BYTES:
        return None
    size = Decimal(match[1]) * _BYTES[match[2].lower()]
    return int(size) if size == size.to_integral_value() else None


def _size_hint(text: str) -> str:
    """What a lone "64M" probably meant; empty: no idea."""
    match = _SIZE.fullmatch(text.strip(" "))
    if match is None or match[2].upper() not in {"K", "M", "G", "T", "P"}:
        return ""
    number, letter = match[1], match[2].upper()
    return f'write "{number}{letter}iB" (powers of 1024) or "{number}{letter}B" (powers of 1000)'
