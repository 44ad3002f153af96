"""Control groups: whether this process may make some, and limit memory and I/O in them."""

import os
from collections.abc import Iterator
from pathlib import Path

from osupervisor.supervisor.doctor.finding import Finding, judged
from osupervisor.supervisor.doctor.mount import mounts


def own_group() -> Path | None:
    """The folder of this process's cgroup v2; None where v2 isn't mounted."""
    points = [mount.point for mount in mounts() if mount.kind == "cgroup2"]
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    paths = [line.removeprefix("0::") for line in lines if line.startswith("0::")]
    if not points or not paths:
        return None
    return Path(points[0]) / paths[0].lstrip("/")


def read_number(name: str) -> int | None:
    """A limit of this process's group; None: no limit, no such controller, no cgroup v2."""
    group = own_group()
    try:
        text = (group / name).read_text().strip() if group else "max"
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def examine() -> Iterator[Finding]:
    """Whether groups can be made, and what they can limit."""
    group = own_group()
    writable = group is not None and os.access(group, os.W_OK)
    controllers = _controllers(group)
    found = "not mounted"
    if group is not None:
        found = f"{'writable' if writable else 'read only'}; {' '.join(controllers) or 'nothing'}"
    yield judged(
        "cgroup_v2",
        writable and {"memory", "pids", "cpu"} <= set(controllers),
        found,
        "writable, with cpu, memory and pids",
        "No limit for a brain with all its children at once, and no cgroup.kill: processes are "
        "killed one by one. Run it as a systemd unit with Delegate=yes.",
    )
    yield judged(
        "io_limits",
        writable and "io" in controllers,
        "io controller" if writable and "io" in controllers else "none",
        "io controller in a writable cgroup v2",
        "A brain that floods the disk can slow the log down.",
    )


def _controllers(group: Path | None) -> list[str]:
    try:
        return (group / "cgroup.controllers").read_text().split() if group else []
    except OSError:
        return []
