"""From settings to a running heart: the files in `<data>/run`, and heart's command.

run/settings.json   the settings in force, for the supervisor's process (config.resolved)
run/start.json      the arguments of `start`, for `restart`
run/start.lock      held by a `start` until it has become heart: two would overwrite each other
"""

import fcntl
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from osupervisor.config.resolved import dump
from osupervisor.config.settings import Settings
from osupervisor.supervisor.cli.failure import CliError
from osupervisor.supervisor.heart import pid_file
from osupervisor.supervisor.heart.command import heart_command
from osupervisor.supervisor.heart.options import Options
from osupervisor.supervisor.runtime.process_state import is_stopped

SETTINGS = "settings.json"
ARGUMENTS = "start.json"
LOCK = "start.lock"
FORMAT = 1
PREFIX = "OSUPERVISOR_"


@dataclass(frozen=True, slots=True)
class StartArguments:
    """How a service was started. `config` and `data` are absolute; `environment` has the variables
    that may hold settings; `folder` is where it was started, from which relative paths count."""

    target: str | None
    config: str | None
    data: str | None
    profile: str | None
    changes: tuple[str, ...]
    folder: str
    environment: Mapping[str, str]

    def as_dict(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "target": self.target,
            "config": self.config,
            "data": self.data,
            "profile": self.profile,
            "set": list(self.changes),
            "folder": self.folder,
            "environment": dict(self.environment),
        }


def setting_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that settings may come from."""
    return {name: value for name, value in environ.items() if name.startswith(PREFIX)}


def prepare_folder(data: Path) -> int:
    """Make `data` and its `run`, and take the lock of `start`; its descriptor.

    The lock goes with the process through exec, until heart closes what it doesn't know. Raises
    CliError when another `start` is at work; OSError.
    """
    (data / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(data / "run" / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise CliError(
            f"{data}: another `osupervisor start` is at work here",
            "wait for it: `osupervisor status --wait ready --timeout 60`",
        ) from None
    os.set_inheritable(lock, True)
    return lock


def refuse_second(data: Path) -> None:
    """Raises CliError when a service runs on this data directory."""
    pid = pid_file.holder(str(data))
    if pid is not None:
        hint = (
            "`osupervisor stop` ends it, `osupervisor restart` starts it anew; another --data "
            "makes another service"
        )
        if is_stopped(pid):
            hint = f"it was stopped by a signal: `kill -CONT {pid}` lets it go on; {hint}"
        raise CliError(
            f"{data}: a service runs here already, {pid_file.spoken(pid)}",
            hint,
            {"pid": pid, "data": str(data)},
            code="AlreadyRunning",
        )


def write_files(settings: Settings, arguments: StartArguments) -> None:
    """What the supervisor reads at its start, and what `restart` repeats."""
    run = Path(settings.data) / "run"
    _write(run / SETTINGS, dump(settings))
    _write(run / ARGUMENTS, json.dumps(arguments.as_dict()).encode() + b"\n")


def read_arguments(data: str) -> StartArguments | None:
    """How the service on this data directory was last started. None: not known."""
    try:
        found: Any = json.loads((Path(data) / "run" / ARGUMENTS).read_bytes())
        if found["format"] != FORMAT:
            return None
        return StartArguments(
            found["target"],
            found["config"],
            data,
            found["profile"],
            tuple(found["set"]),
            found["folder"],
            cast("dict[str, str]", found["environment"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def command(settings: Settings, *, foreground: bool) -> list[str]:
    """The command that becomes heart."""
    heart = settings.heart
    file = str(Path(settings.data) / "run" / SETTINGS)
    supervisor = (
        sys.executable,
        "-P",  # the current folder may hold a brain.py, and also a socket.py
        "-m",
        "osupervisor.supervisor.runtime",
        "--settings",
        file,
    )
    options = Options(
        command=supervisor,
        data=settings.data,
        foreground=foreground,
        spare=heart.spare,
        tcp=settings.listen.tcp,
        backlog=settings.listen.backlog,
        ready_timeout_s=heart.start_timeout_s,
        watchdog_s=heart.watchdog_s,
        shutdown_s=heart.shutdown_s,
        backoff_initial_s=heart.backoff_initial_s,
        backoff_max_s=heart.backoff_max_s,
        log_bytes=settings.logs.bytes_max,
        logs_kept=settings.logs.kept,
    )
    return heart_command(options)


def _write(path: Path, content: bytes) -> None:
    """Replace a file, mode 0600: whoever reads it sees the old content or the new one."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
