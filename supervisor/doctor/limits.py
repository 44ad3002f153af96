"""Limits of open files and processes."""

import resource
from collections.abc import Iterator

from osupervisor.supervisor.doctor.control_group import read_number
from osupervisor.supervisor.doctor.finding import Finding, judged

OPEN_FILES_WANTED = 8_192  # 4,096 connections, which is listen.connections_max, and room
OPEN_FILES_NEEDED = 256
PROCESSES_WANTED = 256


def examine() -> Iterator[Finding]:
    """RLIMIT_NOFILE, RLIMIT_NPROC, and the control group's pids.max."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{_shown(soft)} now, {_shown(hard)} at most"
    wanted = f"{OPEN_FILES_WANTED} at most; heart raises it by itself"
    if _below(hard, OPEN_FILES_NEEDED):
        follows = "The supervisor runs out of descriptors. Raise it: ulimit -Hn, or LimitNOFILE=."
        yield Finding("open_files", "bad", found, wanted, follows)
    else:
        otherwise = "Fewer connections than listen.connections_max; raise ulimit -Hn, LimitNOFILE=."
        yield judged("open_files", not _below(hard, OPEN_FILES_WANTED), found, wanted, otherwise)
    processes, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    group_max = read_number("pids.max")
    least = min((n for n in (processes, group_max) if n is not None and n >= 0), default=-1)
    yield judged(
        "processes",
        not _below(least, PROCESSES_WANTED),
        _shown(least),
        f"{PROCESSES_WANTED} or more",
        "Forks of brains and checkpoints may fail; raise ulimit -u, or TasksMax=.",
    )


def _below(limit: int, wanted: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < wanted


def _shown(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)
