"""The documents as text: their fenced blocks, their links, and what they say of commands.

What stands behind a block's language says what it is for:

    console tour       test_readme.py runs it
    python file=x.py   it is written to that file before
    python in=x.py     it must stand in that file
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, what stands behind that, its text."""

    language: str
    about: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """A command as a reader types it, and the lines that the page shows below it."""

    command: str
    shown: tuple[str, ...]


def documents() -> list[Path]:
    """Every page of the project, whoever wrote it."""
    found = [*ROOT.glob("*.md")]
    for folder in ("docs", "docker", "examples", "benchmarks"):
        found += ROOT.joinpath(folder).rglob("*.md")
    return sorted(found)


def text_of(name: str) -> str:
    return ROOT.joinpath(name).read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    return [Block(found[1], found[2].strip(), found[3]) for found in _FENCE.finditer(text)]


def steps(block: Block) -> list[Step]:
    """The commands of a console block, in order."""
    found: list[Step] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:], ()))
        else:
            assert found, f"output before any command: {line}"
            found[-1] = Step(found[-1].command, (*found[-1].shown, line))
    return found


def links(text: str) -> list[str]:
    """Where links lead; those in fenced or indented blocks are none."""
    prose = "\n".join(
        line for line in _FENCE.sub("", text).splitlines() if not line.startswith("    ")
    )
    return _LINK.findall(prose)


def anchors(text: str) -> set[str]:
    """The names under which a page's headings can be linked, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    return {_anchor(heading) for heading in headings}


def _anchor(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")
