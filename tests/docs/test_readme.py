"""The README's commands, run as written in a fresh folder, and compared with what it shows.

Process ids, times, sizes and the folder's path differ from run to run; so do waits of a standby
that is not there yet, and the widths of columns. All else must be as the page says; a line "..."
stands for any lines.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, Step, blocks, steps, text_of

README = blocks(text_of("README.md"))
HOME = "/home/you"
MARK = "-- exit code of step"
PATIENCE_S = 120.0
_VARYING = (
    (r"process \d+", "process N"),
    (r"up [\d.]+ s", "up N s"),
    (r"durable \d+", "durable N"),
    (r"code [0-9a-f]{12}", "code N"),
    (r'"code_version": "[0-9a-f]{12}"', '"code_version": "N"'),
    (r'"brain": \d+', '"brain": N'),
    (r", \d+ MiB", ""),
    (r"^standby .*", "standby"),
    (r"\d+ processes have ended", "N processes have ended"),
    (r" in [\d.]+s$", " in N s"),
    (r"\s+", " "),
)


@pytest.fixture
def home(tmp_path: Path, ends_all: None) -> Path:
    """A folder for what the page tells to do."""
    return tmp_path


def test_the_tour_runs_as_written(home: Path) -> None:
    _write_files(home / "my-service")
    _compare(home, "tour")


def test_the_brain_that_init_writes_is_the_one_shown_and_its_test_passes(home: Path) -> None:
    _run(home, ["osupervisor init my-service"])
    for block in _named("in="):
        path = home / "my-service" / block.about.removeprefix("in=")
        assert block.text.rstrip() in path.read_text()
    _compare(home / "my-service", "check")


def test_the_two_commands_are_make_targets() -> None:
    for target in ("start", "test", "help"):
        assert f"make {target}" in text_of("README.md")
        ran = subprocess.run(
            ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 0, ran.stderr


def _named(about: str) -> list[Block]:
    found = [block for block in README if block.about.startswith(about)]
    assert found, f"README.md has no block {about!r}"
    return found


def _write_files(folder: Path) -> None:
    """The files that a reader is told to save; the folder is there before `init` fills it."""
    for block in _named("file="):
        folder.mkdir(exist_ok=True)
        (folder / block.about.removeprefix("file=")).write_text(block.text)


def _compare(folder: Path, name: str) -> None:
    wanted = [step for block in _named(name) for step in steps(block)]
    for step, found in zip(wanted, _run(folder, [step.command for step in wanted]), strict=True):
        shown = _plain("\n".join(step.shown))
        assert _fits(_plain(found.replace(str(folder), HOME)), shown), _difference(step, found)


def _run(folder: Path, commands: list[str]) -> list[str]:
    """What each command wrote to both its outputs, in one shell that begins in `folder`."""
    script = "\n".join(f"{command}\necho '{MARK}' $?" for command in commands)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environ = {**os.environ, "PATH": path, "PYTHONWARNINGS": ""}
    shell = ["bash", "-c", f"exec 2>&1\n{script}"]
    try:
        ran = subprocess.run(
            shell, cwd=folder, env=environ, stdout=subprocess.PIPE, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired as error:
        written = (error.stdout or b"").decode(errors="replace")
        pytest.fail(f"not done after {PATIENCE_S:g} s; until then:\n{written}")
    parts = re.split(rf"{MARK} \d+\n", ran.stdout.decode())
    assert len(parts) == len(commands) + 1, ran.stdout.decode()
    return parts[:-1]


def _plain(text: str) -> list[str]:
    lines: list[str] = []
    for line in text.splitlines():
        for pattern, name in _VARYING:
            line = re.sub(pattern, name, line)
        lines.append(line.strip())
    return lines


def _fits(found: list[str], shown: list[str]) -> bool:
    """Whether the lines are those shown; "..." fits any number of lines."""
    if "..." not in shown:
        return found == shown
    at = shown.index("...")
    head, tail = shown[:at], shown[at + 1 :]
    return found[:at] == head and (not tail or found[-len(tail) :] == tail)


def _difference(step: Step, found: str) -> str:
    shown = "\n".join(step.shown)
    return f"$ {step.command}\n-- README.md shows\n{shown}\n-- it printed\n{found}"
