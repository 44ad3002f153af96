"""Whether a process of this machine was stopped, as /proc has it."""

STOPPED = "T"
"""By a signal; SIGCONT has it go on."""
SLEEPING = "S"
"""It waits for something, and for no disk."""
TRACED = "t"
"""By a debugger, which alone decides when it goes on."""


def state_of(pid: int) -> str:
    """The letter of its state; empty where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except (OSError, IndexError):
        return ""


def is_stopped(pid: int) -> bool:
    """By a signal or a debugger."""
    return state_of(pid) in (STOPPED, TRACED)
