"""`osupervisor repl`: a Python prompt that is a client. Leaving it never stops the service."""

import code
import sys
from functools import partial
from pathlib import Path
from typing import Any

from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import BridgeError
from osupervisor.supervisor.cli.failure import of_bridge, render
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.namespace import namespace

HISTORY = "repl_history"


@command()
def repl(invocation: Invocation) -> None:
    """Talk to the brain from a Python prompt.

    Ops and queries are functions, named and documented as the live brain has them; beside them
    stand status(), tree(), state, checkpoint(), kill("brain"). Leaving it never stops the service.
    """
    data = invocation.data
    with invocation.client() as client:
        found = client.status()
    names = namespace(partial(Client, data))
    if sys.stdin.isatty() and sys.stdout.isatty():
        _converse(names, _banner(names, found), Path(data, "run", HISTORY))
    else:
        _read_from_pipe(names)


def _converse(names: dict[str, Any], banner: str, history: Path) -> None:
    embed = _ptpython()
    if embed is None:
        _plain(names, banner, history)
    else:
        print(banner)
        embed(names, configure=_configure, history_filename=str(history), title="osupervisor")


def _ptpython() -> Any:
    """Its prompt. None: it is not installed; no traceback at the plain one shall tell of that."""
    try:
        from ptpython.repl import embed
    except ImportError:
        return None
    return embed


def _configure(prompt: Any) -> None:
    """Leaving costs nothing, so that nothing is asked."""
    prompt.confirm_exit = False


def _plain(names: dict[str, Any], banner: str, history: Path) -> None:
    """Without ptpython: the standard prompt, with completion by the tab key."""
    import contextlib
    import readline
    import rlcompleter

    readline.set_completer(rlcompleter.Completer(names).complete)
    readline.parse_and_bind("tab: complete")
    with contextlib.suppress(OSError):
        readline.read_history_file(history)
    try:
        Prompt(names).interact(banner, exitmsg="")
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(history)


def _read_from_pipe(names: dict[str, Any]) -> None:
    """Lines from a file or a pipe, as a prompt would take them, without prompts."""
    sys.ps1 = sys.ps2 = ""
    Prompt(names).interact("", exitmsg="")


class Prompt(code.InteractiveConsole):
    """The standard one, where what the service says is no fault in what was typed."""

    def showtraceback(self) -> None:
        """As the commands tell it: code, message, hint; whose frames lead to it is no news."""
        error = sys.exc_info()[1]
        if isinstance(error, BridgeError):
            self.write(f"{render(of_bridge(error))}\n")
        else:
            super().showtraceback()


def _banner(names: dict[str, Any], status: dict[str, Any]) -> str:
    ops = ", ".join(sorted(names["brain"].ops))
    return (
        f"osupervisor {status['version']}, {status['state']}, lsn {status['lsn']}\n"
        f"ops: {ops}\n"
        'also: brain, state, status(), tree(), checkpoint(), kill("brain"); '
        "help(op) tells more, ^D leaves and stops nothing"
    )
