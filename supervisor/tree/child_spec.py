"""What a child is and how it is kept: child specs, supervisor flags, and their checks. Pure.

Whole specs are checked before anything starts. Refusals carry OTP's words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Literal, cast, get_args

from osupervisor.supervisor.tree.backoff import Backoff
from osupervisor.supervisor.tree.child import Handle, Init, Start
from osupervisor.supervisor.tree.errors import InvalidSpecError
from osupervisor.supervisor.tree.strategy import STRATEGIES, Restart, Strategy

ChildType = Literal["worker", "supervisor"]
Shutdown = float | Literal["brutal_kill", "infinity"]
StartTimeout = float | Literal["infinity"]
Modules = tuple[str, ...] | Literal["dynamic"]

# OTP's default for workers. A supervisor gets all the time its own children need.
WORKER_SHUTDOWN_S = 5.0
# OTP.md, rule 1. A supervisor's start is bounded by those of its children.
WORKER_START_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child. `id` is unique among its siblings and has no slash in it.

    `shutdown` and `start_timeout_s`: None is the default of the `type`; seconds
    otherwise. `modules`: who implements it, for a later change of code.
    """

    id: str
    start: Start
    restart: Restart = "permanent"
    shutdown: Shutdown | None = None
    type: ChildType = "worker"
    modules: Modules = ()
    start_timeout_s: StartTimeout | None = None

    @property
    def shutdown_or_default(self) -> Shutdown:
        if self.shutdown is not None:
            return self.shutdown
        return WORKER_SHUTDOWN_S if self.type == "worker" else "infinity"

    @property
    def start_timeout_or_default(self) -> StartTimeout:
        if self.start_timeout_s is not None:
            return self.start_timeout_s
        return WORKER_START_TIMEOUT_S if self.type == "worker" else "infinity"


@dataclass(frozen=True, slots=True)
class Flags:
    """How a supervisor keeps its children: at most `intensity` restarts in `period_s`."""

    strategy: Strategy = "one_for_one"
    intensity: int = 1
    period_s: float = 5.0
    backoff: Backoff = field(default_factory=Backoff)


def check_flags(flags: object) -> Flags:
    """The flags, checked. Raises InvalidSpecError."""
    if not isinstance(flags, Flags):
        raise InvalidSpecError("invalid_type", "flags", flags, "Flags")
    if flags.strategy not in STRATEGIES:
        raise _bad_flag("invalid_strategy", flags.strategy, " or ".join(STRATEGIES))
    if not _is_count(flags.intensity):
        raise _bad_flag("invalid_intensity", flags.intensity, "a whole number, 0 or more")
    if not _is_time(flags.period_s) or flags.period_s == 0:
        raise _bad_flag("invalid_period", flags.period_s, "seconds, more than 0")
    if not _is_backoff(flags.backoff):
        raise _bad_flag("invalid_backoff", flags.backoff, "seconds, 0 or more")
    return flags


def check_childspecs(specs: object) -> tuple[ChildSpec, ...]:
    """The specs with their defaults filled in. Raises InvalidSpecError; duplicates too."""
    if not isinstance(specs, Sequence) or isinstance(specs, str | bytes):
        raise InvalidSpecError("badarg", "child specs", specs, "a list of ChildSpec")
    seen: dict[str, ChildSpec] = {}
    for one in cast(Sequence[object], specs):
        spec = check_childspec(one)
        if spec.id in seen:
            raise InvalidSpecError(
                "duplicate_child_name", "child specs", spec.id, "an id of its own for each"
            )
        seen[spec.id] = spec
    return tuple(seen.values())


def check_childspec(spec: object) -> ChildSpec:
    """The spec with its defaults filled in. Raises InvalidSpecError."""
    if not isinstance(spec, ChildSpec):
        raise InvalidSpecError("invalid_child_spec", "child spec", spec, "a ChildSpec")
    _check_identity(spec)
    _check_times(spec)
    _check_modules(spec)
    return replace(
        spec,
        shutdown=spec.shutdown_or_default,
        start_timeout_s=spec.start_timeout_or_default,
    )


def without_start(spec: ChildSpec) -> ChildSpec:
    """The spec of a temporary child once it runs: what started it can be let go.

    It is never started again, and its arguments may be large.
    """
    return replace(spec, start=_never_again)


def _never_again(init: Init) -> Handle:
    raise AssertionError(f"temporary child {init.id} is never started again")


def _check_identity(spec: ChildSpec) -> None:
    if not _is_name(spec.id) or "/" in spec.id:
        raise InvalidSpecError("invalid_id", "child spec", spec.id, "a name without a slash")
    if not callable(spec.start):
        raise _bad(spec, "invalid_mfa", spec.start, "a start function")
    if spec.restart not in get_args(Restart):
        raise _bad(spec, "invalid_restart_type", spec.restart, " or ".join(get_args(Restart)))
    if spec.type not in get_args(ChildType):
        raise _bad(spec, "invalid_child_type", spec.type, "worker or supervisor")


def _check_times(spec: ChildSpec) -> None:
    shutdown = spec.shutdown_or_default
    if shutdown not in ("brutal_kill", "infinity") and not _is_time(shutdown):
        raise _bad(spec, "invalid_shutdown", shutdown, "brutal_kill, infinity or seconds")
    timeout = spec.start_timeout_or_default
    if timeout != "infinity" and not _is_time(timeout):
        raise _bad(spec, "invalid_start_timeout", timeout, "infinity or seconds")


def _check_modules(spec: ChildSpec) -> None:
    if spec.modules == "dynamic":
        return
    if not _is_tuple(spec.modules):
        raise _bad(spec, "invalid_modules", spec.modules, "a tuple of module names, or dynamic")
    for module in spec.modules:
        if not _is_name(module):
            raise _bad(spec, "invalid_module", module, "the name of a module")


def _bad(spec: ChildSpec, code: str, found: object, wanted: str) -> InvalidSpecError:
    return InvalidSpecError(code, f"child {spec.id!r}", found, wanted)


def _bad_flag(code: str, found: object, wanted: str) -> InvalidSpecError:
    return InvalidSpecError(code, "flags", found, wanted)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_tuple(value: object) -> bool:
    return isinstance(value, tuple)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_time(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return isfinite(value) and value >= 0


def _is_backoff(value: object) -> bool:
    return isinstance(value, Backoff) and _is_time(value.initial_s) and _is_time(value.max_s)
