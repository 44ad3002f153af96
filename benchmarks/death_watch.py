"""From `kill -9` of a brain to its notice: the robust mutex beside the pidfd, by size.

    python benchmarks/death_watch.py [--kills 20] [--json]

Real processes with 5 MB, 300 MB and 1 GB of touched memory each hold the mutex of a hot segment.
One kill is watched both ways at once: a thread waits for the mutex's word and then asks whether
the process is really exiting, as the supervisor does; the main thread waits for the pidfd. Takes
under 30 s.

    futex      the thread is awake and knows
    certain    ... and has asked the kernel whether it is true
    pidfd      poll has returned
"""

import argparse
import json
import os
import select
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass

from osupervisor.vault_store import hot
from osupervisor.vault_store.futex import exiting, wait_for_death

SIZES_MB = (5, 300, 1_000)
# What a size's share of the kills is: a gigabyte takes a second to touch.
SHARES = {5: 2.0, 300: 1.0, 1_000: 0.3}
WAIT_S = 30.0

VICTIM = """
import mmap, os, sys, time
from osupervisor.vault_store.hot import HotWriter
writer = HotWriter(int(sys.argv[1]))
populate = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
memory = mmap.mmap(-1, int(sys.argv[2]) << 20, flags=populate)
os.write(1, b"r")
time.sleep(600)
"""


@dataclass(frozen=True, slots=True)
class Row:
    """Microseconds from the kill, medians and the worst, of `kills` kills.

    `futex_first`: how many times the pidfd was still silent when the thread was certain.
    """

    megabytes: int
    kills: int
    futex_us: float
    futex_worst_us: float
    certain_us: float
    certain_worst_us: float
    pidfd_us: float
    pidfd_worst_us: float
    futex_first: int


class Watch(threading.Thread):
    """Waits for one death by the mutex."""

    def __init__(self, reader: hot.HotReader, pid: int) -> None:
        super().__init__()
        self._reader = reader
        self._pid = pid
        self.noticed = 0.0
        self.certain = 0.0

    def run(self) -> None:
        died = wait_for_death(self._reader.map, WAIT_S)
        self.noticed = time.perf_counter()
        assert died and exiting(self._pid)
        self.certain = time.perf_counter()


def kill_one(megabytes: int) -> tuple[float, float, float]:
    """Seconds from the kill to the notice: by futex, made certain, by pidfd."""
    segment = hot.create()
    reader = hot.HotReader(segment)
    arguments = [sys.executable, "-c", VICTIM, str(segment), str(megabytes)]
    with subprocess.Popen(arguments, pass_fds=(segment,), stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None and victim.stdout.read(1) == b"r"
        pidfd = os.pidfd_open(victim.pid)
        watch = Watch(reader, victim.pid)
        watch.start()
        time.sleep(0.02)  # both watchers are asleep, as they are for hours
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        killed = time.perf_counter()
        victim.kill()
        assert poll.poll(WAIT_S * 1000)
        ended = time.perf_counter()
        watch.join()
    reader.close()
    os.close(pidfd)
    os.close(segment)
    return watch.noticed - killed, watch.certain - killed, ended - killed


def measure(megabytes: int, kills: int) -> Row:
    """`kills` kills of one size."""
    times = [kill_one(megabytes) for _ in range(kills)]
    futex, certain, pidfd = ([each[i] * 1e6 for each in times] for i in range(3))
    first = sum(certain < ended for _, certain, ended in times)
    return Row(
        megabytes,
        kills,
        round(statistics.median(futex)),
        round(max(futex)),
        round(statistics.median(certain)),
        round(max(certain)),
        round(statistics.median(pidfd)),
        round(max(pidfd)),
        first,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="of the 300 MB process")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    # As the supervisor has it: the thread that wakes needs the interpreter.
    sys.setswitchinterval(0.0005)
    load = os.getloadavg()[0]
    rows = [measure(size, max(3, round(options.kills * SHARES[size]))) for size in SIZES_MB]
    if options.json:
        result = {"load_before": load, "cpus": os.cpu_count(), "rows": [asdict(r) for r in rows]}
        print(json.dumps(result, indent=2))
        return
    print(f"load before {load:.2f}, {os.cpu_count()} CPUs; microseconds, median (worst)")
    print(f"{'memory':>8} {'kills':>6} {'futex':>16} {'certain':>16} {'pidfd':>18}  futex first")
    for row in rows:
        print(
            f"{row.megabytes:>5} MB {row.kills:>6}"
            f" {row.futex_us:>7,.0f} ({row.futex_worst_us:>6,.0f})"
            f" {row.certain_us:>7,.0f} ({row.certain_worst_us:>6,.0f})"
            f" {row.pidfd_us:>8,.0f} ({row.pidfd_worst_us:>7,.0f})"
            f"  {row.futex_first} of {row.kills}"
        )


if __name__ == "__main__":
    main()
