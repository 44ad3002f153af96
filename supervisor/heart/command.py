"""How heart is started: `python -I -S .../heart/__main__.py`, small and deaf to the environment.

-I: no PYTHON* variables, no folder of the user's on the path. -S: no site-packages, whose .pth
files may import what they like. It saves 2 MB and 10 ms, and heart runs when an installation in
the environment is broken.
"""

import os
import sys

from osupervisor.supervisor.heart.options import Options

HEART_ARGUMENTS = "OSUPERVISOR_HEART"  # heart's own arguments, for a supervisor that revives it
PREDECESSOR = "OSUPERVISOR_PREDECESSOR"  # "pid status" of the supervisor that died, "pid -" unknown


def heart_command(options: Options) -> list[str]:
    """The command to exec or spawn."""
    return [*interpreter(), main_file(), *options.arguments()]


def interpreter() -> list[str]:
    """Python as heart wants it."""
    flags = ["-I", "-S"] + (["-B"] if sys.dont_write_bytecode else [])
    return [sys.executable, *flags]


def main_file() -> str:
    """The path of heart's `__main__.py`."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
