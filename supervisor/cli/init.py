"""`osupervisor init`: a folder with a brain that works, its test, and its settings."""

import os
import re
import shlex
from keyword import iskeyword
from pathlib import Path

import click

from osupervisor.supervisor.cli.failure import CliError, Misused
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.printing import print_json, write

CONFIG = """\
# Settings of this service. `osupervisor config show` lists all there are, with their defaults.
target = "brain.py:{name}"
"""

BRAIN = '''\
"""The brain of {folder}: counters by name.

An op is a function of the state and its arguments: it reads and changes self.state, and returns
something that JSON could carry. It performs nothing itself.
"""

from osupervisor.brain import Brain, op, query


class {name}(Brain):
    """Counts."""

    @op
    def add(self, name: str, n: int = 1) -> int:
        """Adds to a counter; what it is now."""
        self.state[name] = self.state.get(name, 0) + n
        return self.state[name]

    @query
    def get(self, name: str) -> int:
        """What a counter is; 0 when nothing was added to it."""
        return self.state.get(name, 0)
'''

TEST = '''\
"""Runs the brain in this process: no service is needed. `pytest` finds it."""

import pytest
from brain import {name}

from osupervisor.brain.testing import run
from osupervisor.bridge.errors import InvalidArguments


def test_what_was_added_is_there_after_a_crash() -> None:
    brain = run({name})
    assert brain.call("add", "hits", 3) == 3
    assert brain.call("add", "hits") == 4
    brain.crash()  # as kill -9: a new process, from the log alone
    assert brain.call("get", "hits") == 4
    brain.check()  # executed again, every request gives the same


def test_arguments_are_checked() -> None:
    with pytest.raises(InvalidArguments):
        run({name}).call("add", "hits", "many")
'''

TAKEN = ("Brain", "InvalidArguments")
"""Names that the files import."""
SPOILING = {'"', "\\"}
"""In the docstring that names the folder."""
FILES = {"osupervisor.toml": CONFIG, "brain.py": BRAIN, "test_brain.py": TEST}


@command()
@click.argument("name")
def init(invocation: Invocation, name: str) -> None:
    """Write the files of a new brain into a new folder.

    NAME is the folder's path; the brain's class is named after it.
    """
    if not name:
        raise Misused("NAME is empty", "name a folder: `osupervisor init my-service`")
    folder = Path(os.path.abspath(name))
    brain = class_name(folder.name)
    _refuse_existing(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for file, template in FILES.items():
        text = template.format(name=brain, folder=folder.name)
        with (folder / file).open("x", encoding="utf-8") as opened:
            opened.write(text)
    if invocation.json:
        print_json({"folder": str(folder), "brain": brain, "files": list(FILES)})
    else:
        write(f"{folder}: {', '.join(FILES)}")
        enter = "" if folder == Path.cwd() else f"cd {shlex.quote(name)} && "
        write(f"next: {enter}osupervisor start; in another terminal, there too:")
        write("      osupervisor call add hits 3")


def class_name(folder: str) -> str:
    """`my-service` gives `MyService`. Raises Misused where nothing is left of it."""
    words = re.findall(r"[A-Za-z0-9]+", folder)
    name = "".join(word[0].upper() + word[1:] for word in words)
    is_plain = folder.isascii() and not set(folder) & SPOILING
    if not name or name[0].isdigit() or not is_plain or iskeyword(name) or name in TAKEN:
        raise Misused(
            f"{folder!r:.80} gives no name for a class",
            "take a name of ASCII letters, digits and - that begins with a letter: my-service",
        )
    return name


def _refuse_existing(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise CliError(f"{folder} is a file", "take another name, or move that file away")
    there = [file for file in FILES if (folder / file).exists()]
    if there:
        raise CliError(
            f"{folder} has {' and '.join(there)} already; nothing was written",
            "take another name, or move them away",
        )
