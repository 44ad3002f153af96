"""`python -m osupervisor.supervisor.heart`: heart itself, in a small interpreter.

Started in an ordinary interpreter it execs the small one. There, without site-packages, nothing
finds `osupervisor`, so this file names the two packages above it by their folders; their
`__init__` holds a docstring alone, so that nothing is lost by not running it.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def main() -> None:
    """Become heart; never returns."""
    if not (sys.flags.isolated and sys.flags.no_site):
        flags = ["-I", "-S"] + (["-B"] if sys.dont_write_bytecode else [])
        command = [sys.executable, *flags, os.path.abspath(__file__), *sys.argv[1:]]
        os.execv(command[0], command)
    _name_package("osupervisor", [])
    _name_package("osupervisor.supervisor", [os.path.dirname(HERE)])
    from osupervisor.supervisor.heart.boot import main as heart_main

    sys.exit(heart_main(sys.argv[1:]))


def _name_package(name: str, path: list[str]) -> None:
    package = type(sys)(name)
    package.__path__ = path
    sys.modules[name] = package


main()
