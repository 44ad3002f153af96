"""Why a child ended. Pure.

kind            said of                                     a transient child is then
--------------  ------------------------------------------  -------------------------
normal          it came to its own end                      left alone
shutdown        it ended because it was asked to            left alone
error           an exception, or a start that said no       restarted
exit_code       a process, any code but 0                   restarted
signal          a process, by a signal from elsewhere       restarted
killed          by force, after its time to shut down       restarted
start_timeout   by force, as it never became ready          restarted
abandoned       it outlived even the force, and was left    restarted
"""

from dataclasses import dataclass
from enum import StrEnum


class CauseKind(StrEnum):
    NORMAL = "normal"
    SHUTDOWN = "shutdown"
    ERROR = "error"
    EXIT_CODE = "exit_code"
    SIGNAL = "signal"
    KILLED = "killed"
    START_TIMEOUT = "start_timeout"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Cause:
    """One end of one child.

    `detail` is for people: an exception's type and message, a signal's name, the
    word that came with a shutdown. `number` is the exit code or signal. `traceback`
    is text, as an exception that is kept keeps all its frames alive.
    """

    kind: CauseKind
    detail: str = ""
    number: int | None = None
    traceback: str = ""

    @property
    def is_peaceful(self) -> bool:
        """OTP's `normal`, `shutdown` and `{shutdown, Term}`: nothing went wrong."""
        return self.kind in (CauseKind.NORMAL, CauseKind.SHUTDOWN)

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else str(self.kind)


NORMAL = Cause(CauseKind.NORMAL)
SHUTDOWN = Cause(CauseKind.SHUTDOWN)
KILLED = Cause(CauseKind.KILLED)
ABANDONED = Cause(CauseKind.ABANDONED, "it outlived its kill")
START_TIMEOUT = Cause(CauseKind.START_TIMEOUT, "it was not ready in time")
NEVER_READY = "it ended before it was ready"
REACHED_MAX_RESTART_INTENSITY = Cause(CauseKind.SHUTDOWN, "reached_max_restart_intensity")
