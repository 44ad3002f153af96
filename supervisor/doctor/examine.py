"""All checks, in the order in which they are read."""

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from osupervisor.supervisor.doctor import (
    clock,
    control_group,
    interpreter,
    kernel,
    limits,
    memory,
    service,
    storage,
)
from osupervisor.supervisor.doctor.finding import Finding

Check = Callable[[], Iterable[Finding]]
NO_ADDRESSES: Mapping[str, str] = MappingProxyType({})


def examine(data: str | Path, addresses: Mapping[str, str] = NO_ADDRESSES) -> list[Finding]:
    """Look at the machine, for a service that keeps its data in `data`.

    `addresses`: those of `listen.tcp` and `metrics.http` that are set. Takes about a second;
    writes, syncs and removes a small file in the data folder, or in the nearest folder above it
    that is there. A check that fails itself is a finding of its own, never an exception.
    """
    folder = Path(os.path.abspath(data))
    checks: list[tuple[str, Check]] = [
        ("python", interpreter.examine),
        ("kernel", kernel.examine),
        ("control groups", control_group.examine),
        ("limits", limits.examine),
        ("memory", memory.examine),
        ("storage", partial(storage.examine, folder)),
        ("clock", partial(clock.examine, folder)),
        ("service", partial(service.examine, folder, addresses)),
    ]
    return [finding for name, check in checks for finding in _findings(name, check)]


def _findings(name: str, check: Check) -> list[Finding]:
    findings: list[Finding] = []
    try:
        findings.extend(check())
    except Exception as error:  # a machine may be odd in any way; the other checks still count
        found = f"could not be examined: {type(error).__name__}: {error}"
        findings.append(Finding(name, "warn", found, "an answer", "Nothing is known about this."))
    return findings
