"""`osupervisor start`: checks the settings, writes them for the supervisor, becomes heart."""

import os
import sys
from pathlib import Path
from typing import NoReturn, cast

import click

from osupervisor.config.check import check
from osupervisor.config.load import ProfileName
from osupervisor.config.settings import Settings
from osupervisor.supervisor.cli import launch
from osupervisor.supervisor.cli.failure import Misused
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.launch import StartArguments
from osupervisor.supervisor.cli.place import bad_setting
from osupervisor.supervisor.cli.printing import print_json, write
from osupervisor.supervisor.cli.settings_flags import parse_changes, profile_option, set_option
from osupervisor.supervisor.cli.values import duration

READY_S = 60.0


@command()
@click.argument("target", required=False)
@click.option("--daemon", is_flag=True, help="Run in the background; return when ready.")
@profile_option
@set_option
@click.option(
    "--timeout",
    type=duration,
    show_default="60s",
    help="With --daemon: how long to wait until it is ready.",
)
def start(
    invocation: Invocation,
    target: str | None,
    daemon: bool,
    profile: str | None,
    changes: tuple[str, ...],
    timeout: float | None,
) -> None:
    """Start the service; in the foreground, or with --daemon.

    TARGET names the brain: brain.py:Counter, or package.module:Class; else the settings do. All
    settings are checked first, and nothing starts with a bad one.
    """
    arguments = StartArguments(
        target,
        os.path.abspath(invocation.config_flag) if invocation.config_flag else None,
        os.path.abspath(invocation.data_flag) if invocation.data_flag is not None else None,
        profile,
        changes,
        os.getcwd(),
        launch.setting_variables(os.environ),
    )
    if daemon:
        timeout_s = READY_S if timeout is None else timeout
        start_in_background(checked(arguments), arguments, invocation.json, timeout_s)
    elif timeout is not None:
        raise Misused(
            "--timeout is for --daemon: in the foreground nothing is waited for",
            "leave it out, or let `osupervisor status --wait ready --timeout 60` wait elsewhere",
        )
    else:
        _become_heart(arguments, invocation.json)


def start_in_background(
    settings: Settings, arguments: StartArguments, as_json: bool, timeout_s: float
) -> None:
    """Start it, wait until it is ready, and say so. Raises CliError.

    `settings`: what `checked` made of the arguments.
    """
    from osupervisor.supervisor.cli.daemon import start_detached  # a client, with all it imports

    lock = _prepare(settings, arguments)
    try:
        command = launch.command(settings, foreground=False)
        status = start_detached(command, settings.data, timeout_s)
    finally:
        os.close(lock)
    if as_json:
        print_json(status)
    else:
        pid = status["heart"]["pid"]
        write(f"ready: {settings.target} on {settings.data}, heart is process {pid}")
        write("`osupervisor stop` ends it, `osupervisor logs -f` shows what it does")


def _become_heart(arguments: StartArguments, as_json: bool) -> NoReturn:
    settings = checked(arguments)
    _prepare(settings, arguments)
    command = launch.command(settings, foreground=True)
    if as_json:
        heart = {"pid": os.getpid()}
        print_json({"state": "starting", "data": settings.data, "heart": heart})
    _say(f"osupervisor: {settings.target} on {settings.data}; ^C stops it")
    sys.stdout.flush()
    os.execv(command[0], command)


def checked(arguments: StartArguments) -> Settings:
    """The settings that these arguments give. Raises Misused with all that is wrong."""
    report = check(
        Path(arguments.config) if arguments.config else None,
        _environment(arguments),
        parse_changes(arguments.changes, target=arguments.target, data=arguments.data),
        cast("ProfileName | None", arguments.profile),
        cwd=Path(arguments.folder),
    )
    if report.errors or report.loaded is None:
        messages = "\n".join(error.message() for error in report.errors)
        raise bad_setting(messages, [error.as_dict() for error in report.errors])
    for warning in report.warnings:
        _say(f"warning: {warning}")
    settings = report.loaded.settings
    if not settings.target:
        raise Misused(
            "there is no brain to start: neither TARGET nor the setting `target` names one",
            "name it: `osupervisor start brain.py:Counter`, or make one: `osupervisor init NAME`",
        )
    return settings


def _prepare(settings: Settings, arguments: StartArguments) -> int:
    """All that must be in `<data>/run`. The descriptor of the lock that `start` holds."""
    data = Path(settings.data)
    launch.refuse_second(data)
    lock = launch.prepare_folder(data)
    launch.refuse_second(data)
    launch.write_files(settings, arguments)
    return lock


def _environment(arguments: StartArguments) -> dict[str, str]:
    """Of now, but for the variables that may hold settings: these are those of the start."""
    ours = launch.setting_variables(os.environ)
    others = {name: value for name, value in os.environ.items() if name not in ours}
    return {**others, **arguments.environment}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
