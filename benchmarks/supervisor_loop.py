"""What one call costs the supervisor's process: its CPU, without anybody else's.

    python benchmarks/supervisor_loop.py [--rounds 40] [--quick] [--json]

The service's own connection, engine, core, log writer and port are driven by hand, over real
socket pairs and on a real file: a client with 100 calls in flight, a brain that answers at once, a
follower that reads its records. Only what the supervisor's process does is timed: reading,
admitting, delivering, appending, streaming, answering. Beside it, in turns, the floor: the same
frames read from a socket, taken apart with msgpack, answered and appended with a checksum, and
nothing else.
"""

import argparse
import asyncio
import gc
import socket
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import figures
import msgpack
import store
from figures import Arguments, Figure

from osupervisor.bridge.call_encoder import CallEncoder
from osupervisor.supervisor.core.context import Limits
from osupervisor.supervisor.core.core import Core
from osupervisor.supervisor.core.fold import Fold
from osupervisor.supervisor.core.response import Response
from osupervisor.supervisor.runtime.clock import LogClock
from osupervisor.supervisor.runtime.connection import Connection, Serving
from osupervisor.supervisor.runtime.disk import Disk
from osupervisor.supervisor.runtime.engine import Engine
from osupervisor.supervisor.runtime.port import BrainPort, Note
from osupervisor.wal.recover import reopen
from osupervisor.wal.storage import DirectoryStorage

IN_FLIGHT: Final = 100
BATCHES: Final = 25
KEYS: Final = 100_000
SEGMENT_BYTES: Final = 256 * 2**20
PRIMARY, STANDBY = 1, 2
RESPONSE: Final = b"\x94\x01\xcf"
OUTCOME: Final = b"\xc4\x02\xc0\xc0"
NO_EFFECTS: Final = b"\xc4\x01\x90"
ANSWER_BYTES: Final = 13


@dataclass
class HandLoop:
    """As much of an event loop as the supervisor's parts ask for; turned by hand."""

    readers: dict[int, Callable[[], None]] = field(default_factory=dict[int, Callable[[], None]])
    soon: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        self.readers[fd] = callback

    def remove_reader(self, fd: int) -> None:
        self.readers.pop(fd, None)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def call_later(self, _delay_s: float, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def create_future(self) -> Any:
        raise AssertionError("nobody waits here")

    def run(self) -> None:
        while self.soon:
            ready, self.soon = self.soon, []
            for callback in ready:
                callback()


class HandDisk(Disk):
    """Its syncs are taken to be done at once: they run in a thread of their own elsewhere."""

    def sync(self, done: Callable[[int], None], failed: Callable[[str], None]) -> None:
        target = self.writer.sync_target()
        self.writer.note_durable(target.lsn)
        done(target.lsn)


class Events:
    """What a port tells; the brain manager's part of the hot path."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def responded(self, brain: int, responses: list[Response]) -> None:
        self._engine.core.responses(brain, responses)
        self._engine.event(len(responses))

    def noted(self, brain: int, note: Note) -> None:
        raise AssertionError(f"brain {brain} said {note}")

    def broken(self, brain: int, reason: str) -> None:
        raise AssertionError(f"brain {brain}: {reason}")

    def closed(self, brain: int) -> None:
        raise AssertionError(f"brain {brain} closed its port")

    def lagging(self, brain: int) -> None:
        raise AssertionError(f"brain {brain} lags")

    def drained(self, brain: int) -> None:
        raise AssertionError(f"brain {brain} lagged")


class Bench:
    """One supervisor's hot path, with the far ends of its sockets."""

    def __init__(self, folder: Path) -> None:
        self.loop = HandLoop()
        loop: Any = self.loop
        storage = DirectoryStorage(folder)
        boot = bytes(16)
        writer = reopen(storage, boot, 0, (), segment_bytes_max=SEGMENT_BYTES)
        fold = Fold(600_000_000, 50_000, 20_000)
        core = Core(
            fold,
            always=False,
            boot=7,
            seed=1,
            limits=Limits(),
            ring_bytes_max=8 * 2**20,
            since_control=0,
            newest=[],
        )
        disk = HandDisk(storage, writer, boot, SEGMENT_BYTES, loop)
        self.engine = Engine(core, disk, LogClock(0), loop, act=lambda action: None)
        self.brains = [self._brain(PRIMARY), self._brain(STANDBY)]
        ours, self.client = socket.socketpair()
        self.client.setblocking(False)
        serving = Serving(self.engine, loop, {}, 64 * 2**20)
        self.connection = Connection(ours, serving, lambda connection: None)
        self.client_fd = ours.fileno()
        self.encoder = CallEncoder((time.time_ns() // 1000).to_bytes(8, "big") + bytes(8))
        self.number = 0
        self.engine.start()
        self.loop.run()
        self._read_brain(self.brains[0])

    def _brain(self, brain: int) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
        theirs.setblocking(False)
        loop: Any = self.loop
        self.engine.ports[brain] = BrainPort(brain, ours, loop, Events(self.engine))
        self.engine.core.ready(brain, 0, 0, version="1", abilities=frozenset(), queries=frozenset())
        return ours.fileno(), theirs

    def _read_brain(self, brain: tuple[int, socket.socket]) -> bytes:
        parts: list[bytes] = []
        try:
            while True:
                parts.append(brain[1].recv(2**20))
        except BlockingIOError:
            return b"".join(parts)

    def prepare(self, batches: int) -> list[tuple[bytes, list[bytes]]]:
        """What client and brain will send: a batch of calls, and the responses in runs of 32."""
        prepared: list[tuple[bytes, list[bytes]]] = []
        for _ in range(batches):
            calls: list[bytes] = []
            responses: list[bytes] = []
            seen = self.number + 1
            for _ in range(IN_FLIGHT):
                self.number += 1
                arguments = (store.name(self.number % KEYS), VALUE)
                calls.append(self.encoder.frame("set", arguments, {}, self.number, seen))
                responses.append(response(self.number))
            runs = [b"".join(responses[at : at + 32]) for at in range(0, IN_FLIGHT, 32)]
            prepared.append((b"".join(calls), runs))
        return prepared

    def batch(self, calls: bytes, runs: list[bytes]) -> float:
        """IN_FLIGHT calls from arrival to answer. CPU seconds of the supervisor's side."""
        primary, standby = self.brains
        readers = self.loop.readers
        self.client.sendall(calls)
        spent = self._timed(readers[self.client_fd])
        self._read_brain(primary)
        for run in runs:
            primary[1].sendall(run)
            spent += self._timed(readers[primary[0]])
        self._read_brain(standby)
        found = 0
        try:
            while True:
                found += len(self.client.recv(2**20))
        except BlockingIOError:
            pass
        assert found == IN_FLIGHT * ANSWER_BYTES, "a call was not executed"
        return spent

    def _timed(self, work: Callable[[], None]) -> float:
        began = time.process_time()
        work()
        self.loop.run()
        return time.process_time() - began

    def close(self) -> None:
        self.engine.disk.close()


VALUE: Final = store.value(1, 1, 100)
OPS: Final = msgpack.packb([[1, ["state", store.name(1)], VALUE]])


def response(n: int) -> bytes:
    """A brain's response to delivery n of the first epoch, as a frame."""
    ops = b"\xc4" + bytes((len(OPS),)) + OPS
    body = RESPONSE + n.to_bytes(8, "big") + b"\xc0\x94\x01" + OUTCOME + ops + NO_EFFECTS
    return struct.pack(">I", len(body)) + body


class Floor:
    """The same bytes, taken apart with msgpack, appended with a checksum, answered."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.far = socket.socketpair()
        self.ours.setblocking(False)
        self.file = (folder / "floor").open("ab", buffering=0)

    def batch(self, calls: bytes) -> float:
        self.far.sendall(calls)
        began = time.process_time()
        data = self.ours.recv(2**20)
        answers: list[bytes] = []
        records: list[bytes] = []
        at = 0
        while at < len(data):
            (size,) = struct.unpack_from(">I", data, at)
            body = data[at + 4 : at + 4 + size]
            at += 4 + size
            _, number, _, params = msgpack.unpackb(body)
            records.append(struct.pack(">II", size, zlib.crc32(body)) + body)
            packed = msgpack.packb([1, number, None, params[0]])
            answers.append(struct.pack(">I", len(packed)) + packed)
        self.file.write(b"".join(records))
        self.ours.sendall(b"".join(answers))
        spent = time.process_time() - began
        self.far.recv(2**20)
        return spent

    def close(self) -> None:
        self.file.close()


def measure(arguments: Arguments) -> Sequence[Figure]:
    rounds = arguments.options.rounds or arguments.pick(full=40, quick=10, tiny=2)
    with tempfile.TemporaryDirectory() as name, asyncio.Runner():
        folder = Path(name, "wal")
        folder.mkdir()
        bench, floor = Bench(folder), Floor(Path(name))
        gc.collect()
        gc.freeze()
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(rounds + 1):
            prepared = bench.prepare(BATCHES)
            calls = BATCHES * IN_FLIGHT
            ours.append(sum(bench.batch(*each) for each in prepared) / calls * 1e6)
            theirs.append(sum(floor.batch(each) for each, _ in prepared) / calls * 1e6)
        del ours[0], theirs[0]  # the first one warms up
        bench.close()
        floor.close()
    return [
        Figure(
            "supervisor, CPU per call",
            "us",
            figures.median(ours),
            peer="msgpack, write and CRC alone",
            peer_value=figures.median(theirs),
            details={"best": round(min(ours), 2), "best_floor": round(min(theirs), 2)},
        )
    ]


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int)


if __name__ == "__main__":
    figures.run(__doc__, measure, add)
