"""Heart's arguments: read, checked, and written back for a heart that is revived. Pure.

python -m osupervisor.supervisor.heart --data DIR [options] -- COMMAND...

--data DIR             the data folder; heart makes DIR/run and DIR/logs
--foreground           messages also go to stderr, where the supervisor's stderr goes as well
--spare                keep a second supervisor ready that has done its imports
--tcp HOST:PORT        also listen there
--backlog N            connections that may wait while no supervisor lives (1024)
--ready-timeout S      READY=1 must come within S seconds of a start; 0: no limit (600)
--watchdog S           WATCHDOG=1 must come every S seconds; 0: no watchdog (10)
--shutdown S           a polite stop may take S seconds, then SIGKILL (30)
--healthy S            ready for S seconds: the next death counts as a first one (1)
--backoff-initial S    wait before the second restart in a row, doubled each time (0.1)
--backoff-max S        the longest wait (30)
--log-bytes N          logs/heart.log is rotated above N bytes (1048576)
--logs-kept N          so many rotated files stay (3)
--adopt PID            take over a living supervisor (used by a supervisor alone)
"""

from osupervisor.supervisor.heart.errors import UsageError
from osupervisor.supervisor.heart.named_tuple import NamedTuple

SEPARATOR = "\x1f"  # ASCII's unit separator joins the arguments in an environment variable


class Options(NamedTuple):
    """What heart was started with; times in seconds, sizes in bytes."""

    command: tuple[str, ...]
    data: str
    foreground: bool = False
    spare: bool = False
    tcp: str = ""
    backlog: int = 1024
    ready_timeout_s: float = 600.0
    watchdog_s: float = 10.0
    shutdown_s: float = 30.0
    healthy_s: float = 1.0
    backoff_initial_s: float = 0.1
    backoff_max_s: float = 30.0
    log_bytes: int = 1 << 20
    logs_kept: int = 3
    adopt: int = 0

    def arguments(self) -> list[str]:
        """The arguments that `parse` reads back to the same options."""
        arguments: list[str] = []
        for name, value in self._asdict().items():
            if name == "command" or value == self._field_defaults.get(name):
                continue
            option = "--" + name.removesuffix("_s").replace("_", "-")
            arguments += [option] if value is True else [option, str(value)]
        return [*arguments, "--", *self.command]


def parse(arguments: list[str]) -> Options:
    """The options that these arguments give; raises UsageError."""
    if "--" not in arguments or arguments[-1] == "--":
        raise UsageError("the command of the supervisor is missing; give it after `--`")
    if any(SEPARATOR in argument for argument in arguments):
        raise UsageError("an argument holds the control character 0x1f; leave it out")
    end = arguments.index("--")
    values = _values(arguments[:end])
    if "data" not in values:
        raise UsageError("--data is missing; give the folder that holds the service's data")
    values["command"] = tuple(arguments[end + 1 :])
    defaults = Options._field_defaults
    return Options._make(values.get(name, defaults.get(name)) for name in Options._fields)


def _values(arguments: list[str]) -> dict[str, object]:
    values: dict[str, object] = {}
    words = iter(arguments)
    for word in words:
        option, equals, text = word.partition("=")
        name = _field(option)
        default = Options._field_defaults.get(name, "")
        if isinstance(default, bool):
            if equals:
                raise UsageError(f"{option} takes no value")
            values[name] = True
            continue
        value = text if equals else next(words, None)
        if value is None:
            raise UsageError(f"{option} needs a value")
        values[name] = _converted(option, value, default)
    return values


def _field(option: str) -> str:
    bare = option.removeprefix("--").replace("-", "_")
    for name in (bare, f"{bare}_s"):
        if option.startswith("--") and name in Options._fields and name != "command":
            return name
    raise UsageError(f"{option} is not an option of heart")


def _converted(option: str, text: str, default: object) -> str | int | float:
    if isinstance(default, str):
        return text
    try:
        number = int(text) if isinstance(default, int) else float(text)
    except ValueError:
        raise UsageError(f"{option}: found {text!r}, wanted a number") from None
    if not 0 <= number < float("inf"):
        raise UsageError(f"{option}: found {text}, wanted a number that is not negative")
    return number
