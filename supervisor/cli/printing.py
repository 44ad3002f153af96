"""What a command prints on stdout: JSON for programs, text, tables and trees for people.

rich draws what is drawn on a terminal, and is imported for that alone; into a file or a pipe go
plain columns, whole, one row a line.
"""

import json
import sys
import time
from collections.abc import Sequence

from osupervisor.supervisor.cli.values import to_json

Row = Sequence[object]
LINE_CHARS = 80
"""A value that fits on a terminal's line is written on one."""


def print_json(value: object) -> None:
    """One line of JSON."""
    write(json.dumps(to_json(value), ensure_ascii=False))


def print_value(value: object) -> None:
    """For people: a text as it is, anything else as JSON, on several lines if it is long."""
    if isinstance(value, str):
        write(value)
        return
    plain = to_json(value)
    text = json.dumps(plain, ensure_ascii=False)
    write(text if len(text) <= LINE_CHARS else json.dumps(plain, ensure_ascii=False, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Row], empty: str) -> None:
    """Rows under their columns' names; `empty` is said where there are none."""
    texts = [[_cell(cell) for cell in row] for row in rows]
    if not texts:
        write(empty)
    elif sys.stdout.isatty():
        _draw(columns, texts)
    else:
        for line in _aligned([list(columns), *texts]):
            write(line)


def write(text: str) -> None:
    """One line, or several. What the terminal can't show is replaced, never an error."""
    sys.stdout.write(_showable(text) + "\n")


def _showable(text: str) -> str:
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(to_json(value), ensure_ascii=False)


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _draw(columns: Sequence[str], rows: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(_showable(cell)) for cell in row))
    Console().print(table)


def moment(unix_s: float) -> str:
    """A wall time in this machine's zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_s))
