"""The end of a process, as the kernel tells it, as a cause."""

import os
import signal

from osupervisor.supervisor.tree.cause import NORMAL, Cause, CauseKind

# sysexits(3): the names that OTP.md's reader and systemd's know these codes by.
_EXIT_NAMES = {getattr(os, name): name for name in sorted(dir(os)) if name.startswith("EX_")}


def status_cause(status: int) -> Cause:
    """`status` as os.waitpid gives it. Exit code 0 is normal."""
    code = os.waitstatus_to_exitcode(status)
    return exit_cause(code) if code >= 0 else signal_cause(-code)


def exit_cause(code: int) -> Cause:
    if code == 0:
        return NORMAL
    name = _EXIT_NAMES.get(code)
    detail = f"{code} ({name})" if name else str(code)
    return Cause(CauseKind.EXIT_CODE, detail, code)


def signal_cause(number: int) -> Cause:
    return Cause(CauseKind.SIGNAL, signal_name(number), number)


def signal_name(number: int) -> str:
    """`SIGKILL`; real-time signals have no name of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
