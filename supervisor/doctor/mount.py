"""The mounted file systems, as /proc/self/mountinfo has them."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a file system of a kind is mounted, and from what."""

    point: str
    kind: str
    source: str


def mounts() -> list[Mount]:
    """All of this process's, in the order in which they were mounted."""
    text = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    return [_parsed(line) for line in text.splitlines() if " - " in line]


def mount_of(path: Path) -> Mount | None:
    """The mount that a path lies on: the longest point above it, of equal ones the last."""
    real = os.path.realpath(path)
    above = [mount for mount in mounts() if _lies_in(real, mount.point)]
    return max(reversed(above), key=lambda mount: len(mount.point), default=None)


def _lies_in(path: str, point: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")


def _parsed(line: str) -> Mount:
    """Fields before " - " are counted from the left, those behind it too; spaces are octal."""
    before, _, behind = line.partition(" - ")
    kind, source = behind.split()[:2]
    return Mount(_unescaped(before.split()[4]), kind, _unescaped(source))


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
