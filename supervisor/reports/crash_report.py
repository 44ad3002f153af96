"""What is known of one death, and its JSON. Pure.

    {"id": "1763636400123-812", "unix_s": 1763636400.123, "role": "primary",
     "brain": "b7", "pid": 812,
     "cause": {"kind": "signal", "number": 9, "name": "SIGKILL", "detail": ""},
     "traceback": "...", "request": {"op": "place", "key": "..."}, "output": ["..."],
     "memory": {"rss_bytes": 81264640}, "took_over": "b8", "lsn": 4711, "epoch": 3}

What is not known is null. A field that this version does not know is kept by readers of
the file, and not by this one: reports are for people, and nothing is decided by them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """`kind`: as the supervision tree names causes. `name`: of the signal or exit code."""

    kind: str
    number: int | None = None
    name: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LastRequest:
    """What it was executing; `key` as people read it."""

    op: str
    key: str


@dataclass(frozen=True, slots=True)
class CrashReport:
    """`id` names the file: see `report_id`. `took_over`: the brain that got the lease, or
    what else took its place. `memory`: bytes by name, read as late as it could be.
    `output`: its last lines. `lsn` and `epoch`: where the log was when it died.
    """

    id: str
    unix_s: float
    role: str
    cause: Cause
    brain: str | None = None
    pid: int | None = None
    traceback: str | None = None
    request: LastRequest | None = None
    output: tuple[str, ...] = ()
    memory: Mapping[str, int] = field(default_factory=dict[str, int])
    took_over: str | None = None
    lsn: int | None = None
    epoch: int | None = None


def report_id(unix_s: float, pid: int | None) -> str:
    """Sorts by time: milliseconds since 1970 in 13 digits, and who it was."""
    return f"{int(unix_s * 1000):013d}-{pid if pid is not None else 0}"


def encode(report: CrashReport) -> bytes:
    """JSON that a person can read, with a newline at its end."""
    return json.dumps(asdict(report), indent=1).encode() + b"\n"


def decode(data: bytes) -> CrashReport:
    """Raises ValueError, which says what is wrong, where the bytes are no report."""
    try:
        found = json.loads(data)
        return _report(found)
    except (TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"not a crash report: {type(error).__name__} {error}") from error


def _report(found: dict[str, Any]) -> CrashReport:
    cause, request = found["cause"], found["request"]
    return CrashReport(
        id=_text(found["id"]),
        unix_s=float(found["unix_s"]),
        role=_text(found["role"]),
        cause=Cause(
            _text(cause["kind"]),
            _whole(cause["number"]),
            _text(cause["name"]),
            _text(cause["detail"]),
        ),
        brain=_optional_text(found["brain"]),
        pid=_whole(found["pid"]),
        traceback=_optional_text(found["traceback"]),
        request=None if request is None else _request(request),
        output=tuple(_text(line) for line in found["output"]),
        memory={_text(name): int(size) for name, size in found["memory"].items()},
        took_over=_optional_text(found["took_over"]),
        lsn=_whole(found["lsn"]),
        epoch=_whole(found["epoch"]),
    )


def _request(found: dict[str, Any]) -> LastRequest:
    return LastRequest(_text(found["op"]), _text(found["key"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"found {value!r}, wanted text")
    return value


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value)


def _whole(value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise TypeError(f"found {value!r}, wanted a whole number or null")
    return value
