"""`osupervisor version`."""

import platform
from importlib.metadata import version as installed

from osupervisor.bridge.methods import PROTOCOL_VERSION
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.printing import print_json, write


@command()
def version(invocation: Invocation) -> None:
    """Show the installed version."""
    found = installed("osupervisor")
    python = platform.python_version()
    if invocation.json:
        print_json({"version": found, "python": python, "protocol": PROTOCOL_VERSION})
    else:
        write(f"osupervisor {found}, Python {python}, protocol {PROTOCOL_VERSION}")
