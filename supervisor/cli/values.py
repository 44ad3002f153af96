"""Values between a command line, MessagePack and JSON.

What JSON doesn't have is shown as `wal dump` shows it, a dict of one member: {"bytes": hex},
{"map": [[key, value], ...]} where a key is no text, {"float": "nan"}, {"ext": [type, hex]}.
"""

import json
import math
from typing import Any, cast

import click

from osupervisor.bridge.call_options import UINT_MAX
from osupervisor.supervisor.cli.failure import Misused

INDEX_DIGITS_MAX = 20
"""Of a number of 64 bits. Python reads none of over 4,300."""
PLAIN_S_MAX = 1e6
"""Longer durations are looked at closely, in `config.duration`."""


def parse_value(text: str) -> Any:
    """The JSON value that an argument is, else the text itself."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def parse_path(text: str) -> list[str | int]:
    """Keys from the state's root: `bins.0.free`, or a JSON array. Empty text: all of it.

    A part of digits alone is a number here, such as an array's index, if it is one of 64 bits.
    Raises Misused.
    """
    if text.lstrip().startswith("["):
        found = parse_value(text)
        if not isinstance(found, list):
            raise Misused(f"{text!r:.80} is no JSON array", "such as: state '[\"bins\", 0]'")
        return cast("list[str | int]", found)
    parts = text.split(".") if text else []
    if not all(parts):
        raise Misused(
            f"found an empty key in the path {text!r:.80}",
            'write bins.0.free, or with keys of any kind a JSON array: \'["", "a.b"]\'',
        )
    return [int(part) if _is_index(part) else part for part in parts]


def _is_index(part: str) -> bool:
    is_short = part.isascii() and part.isdigit() and len(part) <= INDEX_DIGITS_MAX
    return is_short and int(part) <= UINT_MAX


def to_json(value: object) -> Any:
    """The value in what JSON has."""
    match value:
        case dict():
            return _object(cast("dict[object, object]", value))
        case list() | tuple():
            return [to_json(member) for member in cast("list[object]", value)]
        case bytes():
            return {"bytes": value.hex()}
        case float() if not math.isfinite(value):
            return {"float": str(value)}
        case None | bool() | int() | float() | str():
            return value
        case _:
            return {"ext": _ext(value)}


def _object(pairs: dict[object, object]) -> dict[str, Any]:
    if all(isinstance(key, str) for key in pairs):
        return {cast(str, key): to_json(member) for key, member in pairs.items()}
    return {"map": [[to_json(key), to_json(member)] for key, member in pairs.items()]}


def _ext(value: Any) -> list[Any]:
    code, data = getattr(value, "code", None), getattr(value, "data", None)
    return [code, data.hex()] if isinstance(data, bytes) else [type(value).__name__, str(value)]


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def duration(value: str | float) -> float:
    """Seconds, above 0, from `10`, `2s`, `500ms`, `5m`: a type for click's options."""
    if isinstance(value, str) and value.isascii() and (digits := value.removesuffix("s")).isdigit():
        value = float(digits)  # the plain ones, without the import of all settings
    if isinstance(value, float) and 0 < value < PLAIN_S_MAX:
        return value
    from osupervisor.config.duration import parse_duration
    from osupervisor.config.errors import BadValueError

    try:
        seconds = parse_duration(value)
    except BadValueError as error:
        raise click.BadParameter(f"found {error.found}, wanted {error.wanted}") from error
    if not seconds:
        raise click.BadParameter("found 0, wanted more than 0, such as 10, 2s or 5m")
    return seconds
