"""What a command says when it can't do its work, and the exit code it leaves with.

    0    done
    1    failed
    2    wrong usage, or a bad setting
    3    the service is not running
    124  timed out, as coreutils' `timeout` has it

On stderr, for people: code and message, then the hint, what to do next. With --json one line with
an object of `code`, `message`, `hint` and `data`; an answer of the service keeps its own four.
"""

from collections.abc import Mapping
from enum import IntEnum

from osupervisor.bridge.errors import (
    BridgeError,
    LocalProtocolError,
    NotRunningError,
    ServiceError,
    Timeout,
)


class Exit(IntEnum):
    """Exit codes that programs are written against."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    TIMED_OUT = 124


class CliError(Exception):
    """A command can't do its work. Every one says what to do next."""

    exit_code = Exit.FAILED
    code = "Failed"

    def __init__(
        self,
        message: str,
        hint: str,
        data: Mapping[str, object] | None = None,
        *,
        code: str = "",
        exit_code: Exit | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint
        self.data: dict[str, object] = dict(data or {})
        self.code = code or self.code
        self.exit_code = self.exit_code if exit_code is None else exit_code

    def to_map(self) -> dict[str, object]:
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "data": self.data,
        }


class Misused(CliError):
    """The command line, or a setting, is wrong; nothing was done."""

    exit_code = Exit.USAGE
    code = "Usage"


class NotRunning(CliError):
    """There is no service at the data directory."""

    exit_code = Exit.NOT_RUNNING
    code = "NotRunning"

    def __init__(self, data: str) -> None:
        super().__init__(
            f"no service runs on {data}",
            "start it with `osupervisor start`, or name another one's --data",
            {"data": data},
        )


class TimedOut(CliError):
    """It didn't happen in time; whether it will yet is open."""

    exit_code = Exit.TIMED_OUT
    code = "Timeout"


def of_bridge(error: BridgeError) -> CliError:
    """The same, with its exit code."""
    hint = error.hint or _hint(error)
    match error:
        case Timeout():
            return TimedOut(error.message, hint, error.data)
        case ServiceError():
            return CliError(error.message, hint, error.data, code=error.code)
        case LocalProtocolError():
            return Misused(error.message, hint)
        case NotRunningError():
            code, exit_code = NotRunning.code, Exit.NOT_RUNNING
            return CliError(error.message, hint, code=code, exit_code=exit_code)
        case _:
            return CliError(error.message, hint, code=type(error).__name__)


def _hint(error: BridgeError) -> str:
    if isinstance(error, ServiceError) and "traceback" in error.data:
        return "its changes were undone; the traceback above tells where it failed"
    return "`osupervisor status` and `osupervisor logs` tell more"


def render(error: CliError) -> str:
    """For people. What the brain raised comes first, as it is the longest."""
    traceback = error.data.get("traceback")
    before = f"{traceback.rstrip()}\n" if isinstance(traceback, str) and traceback.strip() else ""
    return f"{before}{error.code}: {error.message}\nhint: {error.hint}"
