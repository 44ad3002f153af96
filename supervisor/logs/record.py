"""One line of a log: JSON for programs, text for people. No I/O.

    {"time":"2026-11-20T11:03:22.123Z","level":"info","source":"supervisor",
     "message":"lease.granted","brain":2,"epoch":3}

    11:03:22.123 info    supervisor  lease.granted  brain=2 epoch=3

`time` is UTC, to the millisecond, and sorts as text. What comes from other programs into
a log file (a traceback before the log was open) need not be JSON: it is a message as well.
"""

import json
from collections.abc import Mapping
from typing import Literal, cast

import orjson

Level = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
HEAD = ("time", "level", "source", "message")
# A line is read by people; what is longer belongs in a crash report.
TEXT_CHARS_MAX = 2000


def encode(record: Mapping[str, object]) -> bytes:
    """One line with its newline. Never fails: what JSON has no form for goes in as its repr."""
    try:
        return orjson.dumps(record, default=repr, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        # Lone surrogates (file names), numbers beyond 64 bits, keys that are no text.
        return json.dumps(_textual(record), default=repr, skipkeys=True).encode() + b"\n"


def decode(line: bytes) -> dict[str, object]:
    """What the line says; a line that is no JSON object is a message itself."""
    try:
        found: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {"message": line.decode(errors="replace")}
    if isinstance(found, dict):
        return cast("dict[str, object]", found)
    return {"message": line.decode(errors="replace")}


def as_text(record: Mapping[str, object]) -> str:
    """One line for people, without control characters of its own."""
    moment, level, source, message = (str(record.get(name, "")) for name in HEAD)
    clock = moment[11:23] if len(moment) == 24 else moment
    fields = " ".join(f"{k}={_shown(v)}" for k, v in record.items() if k not in HEAD)
    text = f"{clock} {level:7} {source:10}  {message}  {fields}".strip()
    return "".join(char if char.isprintable() else " " for char in text[:TEXT_CHARS_MAX])


def _shown(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=repr).decode()


def _textual(value: object) -> object:
    """The same with text for keys, all the way down."""
    if isinstance(value, Mapping):
        whole = cast("Mapping[object, object]", value)
        return {str(key): _textual(item) for key, item in whole.items()}
    if isinstance(value, list | tuple):
        return [_textual(item) for item in cast("list[object]", value)]
    return value
