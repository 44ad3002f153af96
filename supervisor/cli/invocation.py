"""What every command has: --json, --data, --config, and a connection to the service they mean.

A command is declared with `command` instead of click's own, and gets an `Invocation` first:

    @command()
    @click.argument("op")
    def call(invocation: Invocation, op: str) -> None: ...
"""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import click

from osupervisor.bridge.errors import NotRunningError
from osupervisor.supervisor.cli.failure import Misused, NotRunning
from osupervisor.supervisor.cli.place import data_directory
from osupervisor.supervisor.heart import pid_file

if TYPE_CHECKING:
    from osupervisor.bridge.client import Client

STARTING_S = 5.0
"""A heart that lives and doesn't listen yet is waited for so long: it binds in milliseconds."""

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Invocation:
    """The options that all commands have. `data_flag`, `config_flag`: as given, None: not."""

    json: bool
    data_flag: str | None
    config_flag: str | None

    @property
    def data(self) -> str:
        """The data directory, absolute; it need not exist. Raises Misused."""
        data = data_directory(self.config_flag, os.environ, self.data_flag)
        if os.path.lexists(data) and not os.path.isdir(data):
            raise Misused(f"{data} is no directory", "name a service's data directory: --data DIR")
        return data

    @contextmanager
    def client(self) -> "Generator[Client]":
        """A client of the service. What the service refuses for now is not tried again: whoever
        typed a command wants to know. Raises NotRunning, also out of the block."""
        from osupervisor.bridge.client import Client  # a start becomes heart without it, sooner

        data = self.data
        patience_s = STARTING_S if heart_pid(data) is not None else 0.0
        with Client(data, retries=False, connect_timeout_s=patience_s) as client:
            try:
                yield client
            except NotRunningError as error:
                raise NotRunning(data) from error


def heart_pid(data: str) -> int | None:
    """The heart that serves a data directory. None: none does."""
    try:
        return pid_file.holder(data)
    except NotADirectoryError:
        return None


def command(name: str | None = None, **attributes: Any) -> Callable[[Function], click.Command]:
    """As click.command, with the options of every command."""

    def declare(function: Function) -> click.Command:
        @wraps(function)
        def run(
            *, json_output: bool, data: str | None, config: str | None, **others: Any
        ) -> object:
            _refuse_empty(data, config)
            return function(Invocation(json_output, data, config), **others)

        declared = click.command(name or function.__name__, click.Command, **attributes)(run)
        declared.params += [option() for option in _OPTIONS]
        return declared

    return declare


def _refuse_empty(data: str | None, config: str | None) -> None:
    """An empty path is what a script's unset variable gives: it means no place, least of all the
    current folder."""
    for flag, found in (("--data", data), ("--config", config)):
        if found == "":
            raise Misused(f"{flag} is empty", f"name a path, or leave {flag} out for the default")


_OPTIONS = (
    partial(click.Option, ["--json", "json_output"], is_flag=True, help="JSON, for programs."),
    partial(
        click.Option,
        ["--data"],
        metavar="DIR",
        help="The service's data directory.  [default: ./data]",
    ),
    partial(
        click.Option,
        ["--config"],
        metavar="FILE",
        help="The settings file.  [default: ./osupervisor.toml]",
    ),
)
