"""Appending to the log, beside a bare write with a CRC in the same run.

    python benchmarks/wal_append.py [--rounds 15] [--json]

Records with a body of 100 B (key 10, request 45, commit 45), batches of 100, one write each, to a
preallocated file in a temporary directory (--directory); no fsync, and no segment gets full.

    floor            per record: its CRC-32, packed in front of it; per batch: one join, one write
    floor, zlib-ng   the same with the CRC-32 that we take, in place of the standard library's
    append           Writer.append of records that are encoded already
    encode, append   record.encode for each, then Writer.append: what the supervisor pays

In turns, a round of each; medians over the rounds of this process's CPU time, system time
included: nothing here waits, and other work on the machine disturbs it least. Under 10 s.
"""

import argparse
import json
import os
import shutil
import statistics
import struct
import tempfile
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from zlib_ng import zlib_ng

from osupervisor.wal.record import Kind, encode
from osupervisor.wal.recover import reopen
from osupervisor.wal.storage import DirectoryStorage
from osupervisor.wal.writer import SEGMENT_BYTES_MAX, Writer

BATCH: Final = 100
BATCHES: Final = 1000
KEY: Final = b"k" * 10
REQUEST: Final = b"r" * 45
COMMIT: Final = b"c" * 45
T_US: Final = 1_700_000_000_000_000


def floor(crc32: Callable[[bytes], int], directory: Path) -> float:
    """CPU seconds for BATCHES batches of bare records."""
    pack, join = struct.Struct(">I").pack, b"".join
    records = [b"%010d" % n + REQUEST + COMMIT for n in range(BATCH)]
    fd = os.open(directory / "floor", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.posix_fallocate(fd, 0, SEGMENT_BYTES_MAX)
    offset = 0
    began = time.process_time()
    for _ in range(BATCHES):
        parts: list[bytes] = []
        for record in records:
            parts.append(pack(crc32(record)))
            parts.append(record)
        offset += os.pwrite(fd, join(parts), offset)
    took = time.process_time() - began
    os.close(fd)
    return took


def append(directory: Path) -> float:
    writer = opened(directory)
    batches = [
        [
            encode(lsn, 3, Kind.COMMIT, T_US, lsn - 1, KEY, REQUEST, COMMIT)
            for lsn in range(first_lsn, first_lsn + BATCH)
        ]
        for first_lsn in range(1, BATCH * BATCHES, BATCH)
    ]
    began = time.process_time()
    for records in batches:
        writer.append(records, writer.last_lsn + 1)
    return ended(writer, began)


def encode_append(directory: Path) -> float:
    writer = opened(directory)
    began = time.process_time()
    for first_lsn in range(1, BATCH * BATCHES, BATCH):
        records = [
            encode(lsn, 3, 1, T_US, first_lsn, KEY, REQUEST, COMMIT)
            for lsn in range(first_lsn, first_lsn + BATCH)
        ]
        writer.append(records, first_lsn)
    return ended(writer, began)


def opened(directory: Path) -> Writer:
    return reopen(DirectoryStorage(directory), bytes(16), 0, [])


def ended(writer: Writer, began: float) -> float:
    took = time.process_time() - began
    assert writer.last_lsn == BATCH * BATCHES
    writer.abandon()
    return took


def measure(rounds: int, root: str | None) -> dict[str, float]:
    """Median microseconds per record of each way."""
    ways: dict[str, Callable[[Path], float]] = {
        "floor": partial(floor, zlib.crc32),
        "floor, zlib-ng": partial(floor, zlib_ng.crc32),
        "append": append,
        "encode, append": encode_append,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            directory = Path(tempfile.mkdtemp(dir=root))
            try:
                times[name].append(way(directory))
            finally:
                shutil.rmtree(directory)
    records = BATCH * BATCHES
    return {name: statistics.median(took) / records * 1e6 for name, took in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--directory", help="where to write; the system's temporary directory")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    us = measure(options.rounds, options.directory)
    load = os.getloadavg()[0]
    result = {
        name: {
            "us_per_record": us[name],
            "per_s": 1e6 / us[name],
            "rate_to_floor": us["floor"] / us[name],
        }
        for name in us
    }
    if options.json:
        print(json.dumps({"rounds": options.rounds, "load_average": load, **result}))
        return
    print(
        f"{'':16}{'us/record':>10}{'records/s':>12}{'to floor':>10}    (goal: 0.5; load {load:.2f})"
    )
    for name, row in result.items():
        print(
            f"{name:16}{row['us_per_record']:10.3f}{row['per_s']:12,.0f}{row['rate_to_floor']:10.2f}"
        )


if __name__ == "__main__":
    main()
