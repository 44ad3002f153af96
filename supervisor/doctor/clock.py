"""The clock: log time is wall time at the start, so it had better be right."""

import time
from collections.abc import Iterator
from pathlib import Path

from osupervisor.supervisor.doctor.finding import Finding, judged
from osupervisor.supervisor.doctor.system_call import clock_state

EARLIEST_S = 1_735_689_600  # 2025-01-01: no machine that runs this is older
TIME_ERROR = 5
BEHIND_S = 5.0
SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
SLOW_SOURCES = frozenset({"hpet", "acpi_pm", "jiffies", "refined-jiffies"})


def examine(data: Path) -> Iterator[Finding]:
    """The time, against the log's; who keeps it; how dear it is to read."""
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    behind_s = max((file.stat().st_mtime for file in data.glob("wal/*.wal")), default=0) - now
    if behind_s > BEHIND_S:
        yield Finding(
            "clock",
            "warn",
            f"{shown}, {behind_s:.0f} s before the log was last written",
            "after the log's last record",
            "Log time stands still until the clock has caught up: timers come late. Set the clock.",
        )
    else:
        otherwise = "Timers and idempotency windows follow a wrong time. Set the clock."
        yield judged("clock", now > EARLIEST_S, shown, "a time after 2025", otherwise)
    synchronised = clock_state() != TIME_ERROR
    yield judged(
        "clock_kept",
        synchronised,
        "synchronised" if synchronised else "not synchronised",
        "synchronised (NTP)",
        "The clock drifts; times in the log and in timers drift with it.",
    )
    source = Path(SOURCE).read_text().strip() if Path(SOURCE).exists() else "unknown"
    otherwise = "Each reading of the clock is a slow system call, and there are many per request."
    yield judged("clock_source", source not in SLOW_SOURCES, source, "tsc, kvm-clock", otherwise)
