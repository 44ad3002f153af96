"""Memory and processors."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from osupervisor.supervisor.doctor.control_group import read_number
from osupervisor.supervisor.doctor.finding import Finding, judged

MIB = 1 << 20
MEMORY_WANTED = 512 * MIB
CPUS_WANTED = 2


def examine() -> Iterator[Finding]:
    """Free memory, how forks are counted, huge pages, processors."""
    yield _available()
    mode = _word("/proc/sys/vm/overcommit_memory")
    yield judged(
        "overcommit",
        mode != "2",
        f"vm.overcommit_memory = {mode}",
        "0 or 1",
        "A fork of a large brain (for a standby or a checkpoint) needs all its memory once "
        "more, unused, and may fail. Set vm.overcommit_memory = 1.",
    )
    pages = _word("/sys/kernel/mm/transparent_hugepage/enabled")
    chosen = pages.partition("[")[2].partition("]")[0] or pages
    yield judged(
        "huge_pages",
        chosen != "always",
        chosen,
        "madvise or never",
        "After a fork each small write copies 2 MB: checkpoints cost memory and time. "
        "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
    )
    cpus = len(os.sched_getaffinity(0))
    yield judged(
        "cpus",
        cpus >= CPUS_WANTED,
        str(cpus),
        f"{CPUS_WANTED} or more",
        "Supervisor and primary take turns: about half as many requests per second.",
    )


def _available() -> Finding:
    free = psutil.virtual_memory().available
    limit, used = read_number("memory.max"), read_number("memory.current")
    if limit is not None:
        free = min(free, limit - (used or 0))
    return judged(
        "memory",
        free >= MEMORY_WANTED,
        f"{free // MIB} MiB free" + (" in this control group" if limit is not None else ""),
        f"{MEMORY_WANTED // MIB} MiB and three times the state: primary, standby, checkpoint",
        "Brains may be killed for want of memory.",
    )


def _word(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return "unknown"
