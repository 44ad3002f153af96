"""What a brain tells while it dies or hangs: tracebacks on its standard error.

SIGUSR2 prints the tracebacks of all threads within a millisecond, also while C code holds the
interpreter; the supervisor sends it before it kills a brain that hangs. A fault in C code prints
one too. Both are written by C code to descriptor 2, which is a pipe to the supervisor.
"""

import faulthandler
import signal
from typing import Final

TRACEBACK_SIGNAL: Final = signal.SIGUSR2


def install() -> None:
    """Once per process tree: children inherit it, and descriptor 2 is their own."""
    faulthandler.enable(file=2, all_threads=True)
    faulthandler.register(TRACEBACK_SIGNAL, file=2, all_threads=True, chain=False)
