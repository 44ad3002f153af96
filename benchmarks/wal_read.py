"""Reading the log: a follower's replay and a supervisor's start, beside their floor in one run.

    python benchmarks/wal_read.py [--records 1000000] [--rounds 5] [--json]

A log of commits with a body of 100 B, in segments of 64 MiB, in the page cache.

    floor            the files read in blocks of 256 KiB with one CRC-32 each, nothing made of them
    iter_commits     LSN, epoch and commit of each record, all checksums checked
    read_from        every field of each record (a tenth of the records)
    read_log         a start: 20,000 records behind the newest control record, found by its hint
    read_log, search the same without the hint

Medians over the rounds of this process's CPU time, system time included: nothing here waits, and
other work on the machine disturbs it least. Under 20 s with the defaults.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from osupervisor.wal import hint, reader
from osupervisor.wal.record import Kind, encode
from osupervisor.wal.recover import LogView, read_log, reopen
from osupervisor.wal.scan import BLOCK_BYTES
from osupervisor.wal.storage import DirectoryStorage

BATCH: Final = 1000
BEHIND_CONTROL: Final = 20_000
BODY: Final = (b"k" * 10, b"r" * 45, b"c" * 45)


def write(storage: DirectoryStorage, records: int) -> None:
    writer = reopen(storage, bytes(16), 0, [])
    while writer.last_lsn < records:
        first_lsn = writer.last_lsn + 1
        if first_lsn == records - BEHIND_CONTROL:
            control = encode(first_lsn, 3, Kind.CONTROL, 5, writer.durable_lsn, b"", b"", b"fold")
            writer.append_control(control, first_lsn)
            continue
        count = min(BATCH, records - writer.last_lsn)
        if first_lsn < records - BEHIND_CONTROL:
            count = min(count, records - BEHIND_CONTROL - first_lsn)
        batch = [
            encode(lsn, 3, Kind.COMMIT, 5, writer.durable_lsn, *BODY)
            for lsn in range(first_lsn, first_lsn + count)
        ]
        writer.append(batch, first_lsn)
    writer.close()


def floor(storage: DirectoryStorage, view: LogView) -> int:
    for part in view.segments:
        fd = storage.open_fd(part.name)
        while data := os.read(fd, BLOCK_BYTES):
            zlib.crc32(data)
        os.close(fd)
    return view.last_lsn


def replay(storage: DirectoryStorage, view: LogView) -> int:
    for part in view.segments:
        fd = storage.open_fd(part.name)
        for _lsn, _epoch, _commit in reader.iter_commits(fd, part.first_lsn - 1, part.last_lsn):
            pass
        os.close(fd)
    return view.last_lsn


def read_some(storage: DirectoryStorage, view: LogView) -> int:
    part = view.segments[0]
    last_lsn = min(part.last_lsn, view.last_lsn // 10)
    fd = storage.open_fd(part.name)
    deque(reader.read_from(fd, part.first_lsn, last_lsn), maxlen=0)
    os.close(fd)
    return last_lsn


def start(storage: DirectoryStorage, view: LogView) -> int:
    found = read_log(storage)
    assert found.control is not None
    deque(found.records(found.control.lsn), maxlen=0)
    return BEHIND_CONTROL


def search(storage: DirectoryStorage, view: LogView) -> int:
    found = hint.read(storage)
    assert found is not None
    storage.remove(hint.HINT_NAME)
    try:
        return start(storage, view)
    finally:
        hint.write(storage, found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp())
    try:
        storage = DirectoryStorage(directory)
        write(storage, options.records)
        rows = measure(storage, options.rounds)
    finally:
        shutil.rmtree(directory)
    load = os.getloadavg()[0]
    if options.json:
        print(json.dumps({"records": options.records, "load_average": load, **rows}))
        return
    print(f"{'':18}{'ms':>10}{'us/record':>11}    (load {load:.2f})")
    for name, row in rows.items():
        print(f"{name:18}{row['ms']:10.1f}{row['us_per_record']:11.3f}")


def measure(storage: DirectoryStorage, rounds: int) -> dict[str, dict[str, float]]:
    ways: dict[str, Callable[[DirectoryStorage, LogView], int]] = {
        "floor": floor,
        "iter_commits": replay,
        "read_from": read_some,
        "read_log": start,
        "read_log, search": search,
    }
    view = read_log(storage)
    times: dict[str, list[tuple[float, int]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            count = way(storage, view)
            times[name].append((time.process_time() - began, count))
    rows: dict[str, dict[str, float]] = {}
    for name, taken in times.items():
        took = statistics.median(one for one, _ in taken)
        rows[name] = {"ms": took * 1e3, "us_per_record": took / taken[0][1] * 1e6}
    return rows


if __name__ == "__main__":
    main()
