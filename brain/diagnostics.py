"""What a brain tells while it dies or hangs: tracebacks on its standard error.

SIGUSR2 prints the tracebacks of all threads within a millisecond, also while C code holds the
interpreter; the supervisor sends it before it kills a brain that hangs. A fault in C code prints
one too. Both are written by C code to descriptor 2, which is a pipe to the supervisor.
"""

import faulthandler
import signal
import time
from typing import Any, Final

TRACEBACK_SIGNAL: Final = signal.SIGUSR2
HANG_SIGNAL: Final = signal.SIGUSR1
"""What `osupervisor chaos hang` sends: from then on the brain gives no sign of life."""


def install() -> None:
    """Once per process tree: children inherit it, and descriptor 2 is their own."""
    faulthandler.enable(file=2, all_threads=True)
    faulthandler.register(TRACEBACK_SIGNAL, file=2, all_threads=True, chain=False)
    signal.signal(HANG_SIGNAL, _hang)


def _hang(_number: int, _frame: Any) -> None:
    """Neither the loop nor the timer beats any more; a traceback can still be taken."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    while True:
        time.sleep(3600)
