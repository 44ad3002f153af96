"""Bytes of the log per committed request, against the bytes of request and commit on the port.

    python benchmarks/wal_bytes.py [--requests 20000] [--quick] [--json]

Goal: with a 130 B value, log / port <= 1.3.

A real service commits requests that set one key each to 130 B, under the library's keys and, a
second time, under string keys of 20 B. When it has ended its log is read. `log`: the whole records
of the commits as they stand in the segments, headers, checksums and all; `port`: the frames of
the brain's port that carried the same call and its response, at the lengths of their true numbers.
`all`: every byte that the log took, with lease and control records, preallocated space apart.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import figures
import store
from figures import Arguments, Figure
from service import Service

from osupervisor.bridge.client import Client
from osupervisor.bridge.frames import HEADER_SIZE
from osupervisor.bridge.packing import pack
from osupervisor.bridge.port_messages import call_frame
from osupervisor.wal import record
from osupervisor.wal.record import Kind
from osupervisor.wal.recover import read_log
from osupervisor.wal.storage import DirectoryStorage

VALUE_BYTES: Final = 130


@dataclass(slots=True)
class Bytes:
    """Sums over commits of requests to set a key."""

    commits: int = 0
    log: int = 0
    port: int = 0
    contents: int = 0
    """Request and commit alone, as opaque bytes."""

    def add(self, found: record.Record, size: int) -> None:
        self.commits += 1
        self.log += size
        response = pack([1, self.commits, None, None])  # its last byte gives way to the commit
        head = HEADER_SIZE + len(response) - 1 + 1 + len(pack(found.epoch))
        call = call_frame(self.commits, found.epoch, found.key, found.request)
        self.port += len(call) + head + len(found.commit)
        self.contents += len(found.request) + len(found.commit)

    @property
    def ratio(self) -> float:
        return round(self.log / self.port, 3)


def library_keys(client: Client, requests: int) -> None:
    with client.pipeline(200) as pipeline:
        for number in range(requests):
            pipeline.call("set", store.name(number), store.value(number, 0, VALUE_BYTES))


def string_keys(client: Client, requests: int) -> None:
    for number in range(requests):
        asking = client.with_options(key=f"request-{number:012d}")
        asking.call("set", store.name(number), store.value(number, 1, VALUE_BYTES))


def read(service: Service) -> tuple[Bytes, Bytes, int, int]:
    """Of the commits under library and under string keys; bytes of all records, and their count."""
    library, strings = Bytes(), Bytes()
    everything = records = 0
    view = read_log(DirectoryStorage(service.data / "wal"))
    for raw in view.raw(1):
        decoded = record.decode(raw, 0)
        assert decoded is not None
        found, size = decoded
        everything += size
        records += 1
        if found.kind is Kind.COMMIT:
            (library if found.key[0] & 0xF0 == 0x90 else strings).add(found, size)
    return library, strings, everything, records


def measure(arguments: Arguments) -> Sequence[Figure]:
    requests = arguments.options.requests or arguments.pick(full=100_000, quick=20_000, tiny=200)
    with Service() as service:
        with service.client() as client:
            library_keys(client, requests)
            string_keys(client, requests // 10)
        service.kill_all()
        library, strings, everything, records = read(service)
    assert (library.commits, strings.commits) == (requests, requests // 10)
    return [
        _figure("library keys", library, 1.3, {"all": everything, "records": records}),
        _figure("string keys of 20 B", strings, None, {}),
    ]


def _figure(name: str, found: Bytes, at_most: float | None, more: dict[str, float]) -> Figure:
    commits = found.commits
    return Figure(
        f"log bytes by port bytes, {name}",
        "",
        found.ratio,
        at_most=at_most,
        details={
            "commits": commits,
            "log_per_commit": round(found.log / commits, 1),
            "port_per_commit": round(found.port / commits, 1),
            "request_and_commit": round(found.contents / commits, 1),
            "log_by_request_and_commit": round(found.log / found.contents, 3),
            **more,
        },
    )


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", type=int)


if __name__ == "__main__":
    figures.run(__doc__, measure, add)
