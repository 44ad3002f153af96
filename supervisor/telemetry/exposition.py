"""Metrics as Prometheus reads them: its text format, version 0.0.4. Pure.

    # HELP name what it is          backslash and newline escaped
    # TYPE name counter
    name{label="value"} 12          in a value the double quote too

A histogram's buckets are cumulative, the last is `le="+Inf"` and equals `_count`. A
family without a cell is left out: it would be a name without a value.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import inf, isinf, isnan

from osupervisor.supervisor.telemetry.metrics import (
    AnyFamily,
    Counter,
    Gauge,
    Histogram,
    Metrics,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HELP_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n"})
_VALUE_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
# Above this a float no longer tells one whole number from the next.
_WHOLE_MAX = 2.0**53


def render(metrics: Metrics) -> str:
    """The whole text, of fresh values; it ends with a newline, or is empty."""
    parts: list[str] = []
    for family in metrics.families():
        if family.series:
            parts.append(f"# HELP {family.name} {family.help.translate(_HELP_ESCAPES)}\n")
            parts.append(f"# TYPE {family.name} {family.kind}\n")
            parts.extend(_samples(family))
    return "".join(parts)


def _samples(family: AnyFamily) -> Iterator[str]:
    for values, cell in family.series.items():
        if not cell.lines:
            cell.lines = tuple(_lines(family, values, cell))
        for line, number in zip(cell.lines, _numbers(cell), strict=True):
            yield f"{line} {number}\n"


def _lines(
    family: AnyFamily, values: Sequence[str], cell: Counter | Gauge | Histogram
) -> Iterator[str]:
    """What stands before each number of a cell."""
    pairs = list(zip(family.label_names, values, strict=True))
    if isinstance(cell, Histogram):
        for bound in (*cell.bounds, inf):
            yield f"{family.name}_bucket{_labels([*pairs, ('le', _number(bound))])}"
        yield f"{family.name}_sum{_labels(pairs)}"
        yield f"{family.name}_count{_labels(pairs)}"
    else:
        yield f"{family.name}{_labels(pairs)}"


def _numbers(cell: Counter | Gauge | Histogram) -> Sequence[str | int]:
    if isinstance(cell, Histogram):
        cumulative = list(accumulate(cell.counts))
        return [*cumulative, _number(cell.total), cumulative[-1]]
    return [_number(cell.value)]


def _labels(pairs: Sequence[tuple[str, str]]) -> str:
    if not pairs:
        return ""
    inside = ",".join(f'{name}="{value.translate(_VALUE_ESCAPES)}"' for name, value in pairs)
    return f"{{{inside}}}"


def _number(value: float) -> str:
    if isnan(value):
        return "NaN"
    if isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    is_whole = value == int(value) and abs(value) < _WHOLE_MAX
    return str(int(value)) if is_whole else repr(float(value))
