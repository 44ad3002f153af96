"""Writing and reading a whole state, beside bare MessagePack and zstd in the same run.

    python benchmarks/checkpoint.py [--runs 3] [--json]

Flat: 1,000,000 keys x 100 B, half of them random digits. Nested: 150,000 dicts of three members.
Ours streams in checked blocks; bare packs everything in one piece, compresses it at the same
level, writes and fsyncs it. Both write to a real file and read it back, in turns; medians.

`extra MB` is what a forked child that writes, as a brain's does, takes beyond the state itself.
Under 30 s.
"""

import argparse
import gc
import json
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import msgpack  # type: ignore[import-untyped]
import zstandard

from osupervisor.vault_store.state_reader import read_state
from osupervisor.vault_store.state_writer import write_state

LEVEL = 3
_msgpack: Any = msgpack


@dataclass(frozen=True, slots=True)
class Row:
    """One way, one shape: medians in seconds, the file in MB, memory beyond the state in MB.

    `cpu`: of this process, system time included; other work on the machine disturbs it least.
    """

    shape: str
    way: str
    write_s: float
    read_s: float
    read_best_s: float
    write_cpu_s: float
    read_cpu_s: float
    file_mb: float
    extra_mb: float


def flat() -> dict[str, Any]:
    """A million keys with values of 100 characters."""
    source = random.Random(1)
    return {f"key:{number:08d}": source.randbytes(50).hex() for number in range(1_000_000)}


def nested() -> dict[str, Any]:
    """Small dicts and lists below one large dict."""
    return {
        f"item:{number}": {"name": f"n{number}", "count": number, "tags": ["a", number]}
        for number in range(150_000)
    }


def write_ours(fd: int, state: dict[str, Any]) -> None:
    """In checked blocks; durable."""
    write_state(fd, state, {}, LEVEL)


def read_ours(fd: int) -> Any:
    """Every byte checked."""
    return read_state(fd)[0]


def write_bare(fd: int, state: dict[str, Any]) -> None:
    """In one piece; durable."""
    view = memoryview(zstandard.ZstdCompressor(level=LEVEL).compress(_msgpack.packb(state)))
    while view:
        view = view[os.write(fd, view) :]
    os.fsync(fd)


def read_bare(fd: int) -> Any:
    """In one piece, the collector at rest as in ours."""
    gc.disable()
    try:
        content = os.pread(fd, os.fstat(fd).st_size, 0)
        raw = zstandard.ZstdDecompressor().decompress(content)
        return _msgpack.unpackb(raw, max_map_len=2**31 - 1)
    finally:
        gc.enable()


WAYS: dict[str, tuple[Callable[[int, Any], None], Callable[[int], Any]]] = {
    "ours": (write_ours, read_ours),
    "bare": (write_bare, read_bare),
}


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU time of one call; its result is let go outside the measured time."""
    began, cpu = time.perf_counter(), time.process_time()
    result = call()
    took = time.perf_counter() - began, time.process_time() - cpu
    del result
    return took


def extra_mb(write: Callable[[int, Any], None], fd: int, state: Any) -> float:
    """What a forked child's memory grows by while it writes."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        gc.disable()
        before = resident_mb()
        write(fd, state)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        os.write(send, f"{peak - before:.1f}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    grown = float(os.read(receive, 100))
    os.close(receive)
    os.close(send)
    return grown


def resident_mb() -> float:
    """This process's resident memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(shape: str, make: Callable[[], dict[str, Any]], runs: int) -> list[Row]:
    """Both ways in turns."""
    state = make()
    gc.collect()
    gc.freeze()
    writes: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    reads: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    files = {way: tempfile.TemporaryFile() for way in WAYS}
    for _ in range(runs):
        for way, (write, read) in WAYS.items():
            fd = files[way].fileno()
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
            writes[way].append(seconds(lambda write=write, fd=fd: write(fd, state)))
            reads[way].append(seconds(lambda read=read, fd=fd: read(fd)))
    rows: list[Row] = []
    for way, (write, _) in WAYS.items():
        size = os.fstat(files[way].fileno()).st_size
        with tempfile.TemporaryFile() as scratch:
            extra = extra_mb(write, scratch.fileno(), state)
        wall, cpu = (median(writes[way], which) for which in (0, 1))
        read_wall, read_cpu = (median(reads[way], which) for which in (0, 1))
        best = round(min(reads[way])[0], 3)
        megabytes = round(size / 1e6, 1)
        rows.append(Row(shape, way, wall, read_wall, best, cpu, read_cpu, megabytes, extra))
        files[way].close()
    return rows


def median(times: list[tuple[float, float]], which: int) -> float:
    """Of wall (0) or CPU (1) times, in milliseconds' precision."""
    return round(statistics.median(each[which] for each in times), 3)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows = measure("flat", flat, options.runs) + measure("nested", nested, options.runs)
    if options.json:
        result = {"load_before": load, "cpus": os.cpu_count(), "rows": [asdict(r) for r in rows]}
        print(json.dumps(result, indent=2))
        return
    print(f"load before {load:.2f}, {os.cpu_count()} CPUs; medians of {options.runs}, seconds")
    heads = ("write", "cpu", "read", "best", "cpu", "file MB", "extra MB")
    print(f"{'shape':<7} {'way':<5}" + "".join(f"{head:>9}" for head in heads))
    for row in rows:
        times = (row.write_s, row.write_cpu_s, row.read_s, row.read_best_s, row.read_cpu_s)
        print(
            f"{row.shape:<7} {row.way:<5}"
            + "".join(f"{each:>9.3f}" for each in times)
            + f"{row.file_mb:>9.1f}{row.extra_mb:>9.1f}"
        )


if __name__ == "__main__":
    sys.exit(main())
