"""`osupervisor`: finds the command, runs it, and turns what it raises into words and an exit code.

A command's module is imported when it is asked for, so that one command doesn't pay for another's
imports; the table repeats each one's first sentence, and a test holds the two together.
"""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import cast

import click

from osupervisor.bridge.errors import BridgeError
from osupervisor.supervisor.cli.failure import CliError, Exit, Misused, of_bridge, render

RECURSION_MAX = 10_000
"""A result may have a thousand levels, and showing one takes several calls for each."""
COMMANDS = {
    "init": ("init:init", "Write the files of a new brain into a new folder."),
    "start": ("start:start", "Start the service; in the foreground, or with --daemon."),
    "stop": ("stop:stop", "Stop the service; returns when every process has ended."),
    "restart": ("stop:restart", "Stop the service, and start it again with the same arguments."),
    "status": ("status:status", "What runs, and how far it is."),
    "call": ("call:call", "Call an op or a query of the brain."),
    "state": ("state:state", "Show the brain's state, or the part of it at PATH."),
    "tree": ("tree:tree", "Show the supervision tree: each child, its process, its state."),
    "logs": ("logs:logs", "Show the log lines of all processes; with -f also those to come."),
    "crashes": (
        "crashes:crashes",
        "Show the deaths of processes: all in short, or one report in full.",
    ),
    "deadletter": (
        "deadletter:deadletter",
        "Show the quarantined requests, call one again, or forget it.",
    ),
    "checkpoint": (
        "checkpoints:checkpoint",
        "Write a checkpoint now; returns when it is durable.",
    ),
    "checkpoints": (
        "checkpoints:checkpoints",
        "List the checkpoints, or check every byte of them; also while nothing runs.",
    ),
    "wal": ("wal:wal", "List, dump, check or mend the log; also while nothing runs."),
    "chaos": ("chaos:chaos", "Kill, stop or hang processes of the service, to see it go on."),
    "repl": ("repl:repl", "Talk to the brain from a Python prompt."),
    "doctor": ("doctor:doctor", "Say what this machine can and can't give, and what follows."),
    "config": (
        "config:config",
        "Show the settings in force and who set them, or what is wrong with them.",
    ),
    "version": ("version:version", "Show the installed version."),
}


class Commands(click.Group):
    """The commands of COMMANDS, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found = importlib.import_module(f"osupervisor.supervisor.cli.{module}")
        return cast(click.Command, getattr(found, attribute))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def osupervisor() -> None:
    """Keep a stateful Python brain alive: through crashes, hangs and restarts.

    Each command takes --json, --data and --config. Exit codes: 0 ok, 1 failed, 2 usage or bad
    setting, 3 not running, 124 timed out.
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Everything it says is written when this returns."""
    try:
        left = osupervisor.main(list(arguments), "osupervisor", standalone_mode=False)
        sys.stdout.flush()
        return left if isinstance(left, int) else Exit.OK
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr, flush=True)
        return Exit.USAGE
    except click.UsageError as error:
        failure: CliError = _misused(error)
    except click.ClickException as error:
        failure = CliError(error.format_message(), "see `osupervisor --help`")
    except CliError as error:
        failure = error
    except BridgeError as error:
        failure = of_bridge(error)
    except (click.Abort, KeyboardInterrupt):
        return 130  # as a shell says of SIGINT
    except BrokenPipeError:  # whoever read us has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except OSError as error:
        failure = CliError(str(error), "see that the path is there and yours, then try again")
    _complain(failure, as_json="--json" in arguments)
    return failure.exit_code


def _misused(error: click.UsageError) -> Misused:
    path = error.ctx.command_path if error.ctx is not None else "osupervisor"
    return Misused(error.format_message(), f"see `{path} --help`")


def _complain(failure: CliError, *, as_json: bool) -> None:
    if as_json:
        import json

        text = json.dumps(failure.to_map(), default=repr)
    else:
        text = render(failure)
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """The script's entry; never returns."""
    if os.getpid() == 1:
        # The kernel drops a signal to process 1 that has no handler. A stop waits for heart, which
        # unblocks it when it has spawned the first supervisor.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    sys.setrecursionlimit(RECURSION_MAX)
    sys.exit(run(sys.argv[1:]))
