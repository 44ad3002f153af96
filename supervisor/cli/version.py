"""`osupervisor version`."""

import platform
from importlib.metadata import version as installed

from osupervisor.bridge import messages
from osupervisor.bridge.methods import PROTOCOL_VERSION
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.printing import print_json, write


@command()
def version(invocation: Invocation) -> None:
    """Show the installed version."""
    found = installed("osupervisor")
    python = platform.python_version()
    compiled = not str(messages.__file__).endswith(".py")
    if invocation.json:
        said = {"version": found, "python": python, "protocol": PROTOCOL_VERSION}
        print_json({**said, "compiled": compiled})
    else:
        how = ", compiled" if compiled else ""
        write(f"osupervisor {found}, Python {python}, protocol {PROTOCOL_VERSION}{how}")
