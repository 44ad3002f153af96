"""The command line in this process, and the installed script."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from osupervisor.supervisor.cli import main

SCRIPT = str(Path(sys.executable).with_name("osupervisor"))
PATIENCE_S = 60.0
BRAIN = '''
import os, signal, time
from osupervisor.brain import Brain, op, query

class Counter(Brain):
    @op
    def add(self, name: str, n: int = 1) -> int:
        """Adds to a counter."""
        self.state[name] = self.state.get(name, 0) + n
        return self.state[name]

    @op
    def put(self, key: int | str, value: object) -> None:
        self.state[key] = value

    @op
    def echo(self, value: object) -> object:
        return value

    @op
    def nest(self, levels: int) -> object:
        value: object = "core"
        for _ in range(levels):
            value = {"in": value}
        return value

    @op
    def boom(self) -> None:
        raise ValueError("no such luck")

    @op
    def die_while_armed(self) -> str:
        if self.state.get("armed"):
            os.kill(os.getpid(), signal.SIGKILL)
        return "survived"

    @op
    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    @query
    def get(self, name: str) -> int:
        return self.state.get(name, 0)
'''


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def error(self) -> Any:
        """What it said on stderr, with --json."""
        return json.loads(self.err.splitlines()[-1])


class Cli:
    """Runs commands on one data directory, in this process; `folder` is the current one."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def __call__(self, *arguments: str) -> Ran:
        self._capture.readouterr()
        before = os.getcwd()
        os.chdir(self.folder)
        try:
            code = main.run(arguments)
        finally:
            os.chdir(before)
        out, err = self._capture.readouterr()
        return Ran(int(code), out, err)

    def ok(self, *arguments: str) -> str:
        """What a command printed that must not fail."""
        ran = self(*arguments)
        assert ran.code == 0, f"{arguments}: {ran.code}\n{ran.out}\n{ran.err}"
        return ran.out

    def json(self, *arguments: str) -> Any:
        """The JSON that a command printed which must not fail."""
        return json.loads(self.ok(*arguments, "--json"))

    def status(self) -> Any:
        return self("status", "--json").json()


def write_brain(folder: Path) -> None:
    """A brain, and settings that find it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "brain.py").write_text(BRAIN)
    (folder / "osupervisor.toml").write_text('target = "brain.py:Counter"\nprofile = "test"\n')


def start(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`osupervisor start --daemon` as a process of its own: forking here would copy pytest."""
    return run_script(folder, "start", "--daemon", *arguments)


def run_script(
    folder: Path, *arguments: str, stdin: str = "", **environ: str
) -> "subprocess.CompletedProcess[str]":
    """The installed script, in `folder`."""
    return subprocess.run(
        [SCRIPT, *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, **environ},
    )


def wait_for(condition: Callable[[], object]) -> None:
    """Return when the condition holds; AssertionError when it doesn't in time."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
