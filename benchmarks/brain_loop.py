"""What one request costs a brain: its process's CPU, and time over a real socket pair.

    python benchmarks/brain_loop.py [--json] [--requests 200000]

This process plays the supervisor by the port's protocol: it keeps a window of calls in flight,
confirms what came back, and gives a follower the records. Beside it, in the same run, the floor:
the same frames echoed by a process that decodes and answers them and does nothing else. Under 20 s.
"""

import argparse
import json
import os
import resource
import socket
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from osupervisor.brain import Brain, op, query, schema
from osupervisor.brain.loader import Loaded
from osupervisor.brain.packing import decode
from osupervisor.brain.packing import encode as pack
from osupervisor.brain.program import compile_program
from osupervisor.brain.worker import serve
from osupervisor.bridge import port_messages
from osupervisor.bridge.frames import FrameDecoder
from osupervisor.vault_store import hot
from osupervisor.wal.record import Kind, encode

BATCH: Final = 32
WINDOW: Final = 100
VALUE: Final = "v" * 100
KEYS: Final = 10_000


class Store(Brain):
    """The brain measured: one op that sets one key of 100 bytes, and its neighbours."""

    @op
    def put(self, key: str, value: str) -> None:
        self.state[key] = value

    @op
    def nothing(self) -> None:
        pass

    @op
    def count(self, name: str, n: int = 1) -> int:
        self.hot[name] += n
        return int(self.hot[name])

    @op
    def push(self, key: str, item: int) -> int:
        items = self.state.setdefault("lists", {}).setdefault(key, [])
        items.append(item)
        self.emit("pushed", key=key)
        return len(items)

    @query
    def get(self, key: str) -> Any:
        return self.state.get(key)


class Worker:
    """A forked process that serves on a port; `cpu_s` is its user and system time so far."""

    def __init__(self, work: Callable[[int, int, int, int], int]) -> None:
        self.port, port = socket.socketpair()
        self.line, line = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        hot_fd = hot.create()
        self.output, output = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self.port.close()
            self.line.close()
            os._exit(work(port.detach(), line.detach(), hot_fd, output))
        port.close()
        line.close()
        os.close(output)
        os.close(hot_fd)
        self._decoder = FrameDecoder(port_messages.PORT_FRAME_BYTES_MAX)

    def bodies(self) -> list[bytes]:
        """At least one frame's body."""
        while True:
            data = self.port.recv(1 << 16)
            if not data:
                raise SystemExit(f"the worker ended: {os.read(self.output, 65_536).decode()}")
            found = self._decoder.feed(data)
            if found:
                return found

    def cpu_s(self) -> float:
        """Time on a CPU by the scheduler's own count, in nanoseconds resolution."""
        text = Path(f"/proc/{self.pid}/schedstat").read_text()
        return int(text.split()[0]) / 1e9

    def stop(self) -> None:
        self.port.close()
        self.line.close()
        os.waitpid(self.pid, 0)


def echo(port_fd: int, *_others: int) -> int:
    """The floor: decode each call with msgpack, answer with bytes of the same size, send per 32."""
    port = socket.socket(fileno=port_fd)
    decoder = FrameDecoder(port_messages.PORT_FRAME_BYTES_MAX)
    outcome, ops = b"\xc0\xc0", bytes(130)
    while True:
        data = port.recv(1 << 16)
        if not data:
            return 0
        out: list[bytes] = []
        for body in decoder.feed(data):
            message = decode(body)
            if message[0] != 0:
                continue
            answer = pack([1, message[1], None, [1, outcome, ops, b"\x90"]])
            out += (len(answer).to_bytes(4, "big"), answer)
            if len(out) >= 2 * BATCH:
                port.sendall(b"".join(out))
                out.clear()
        if out:
            port.sendall(b"".join(out))


def drive(worker: Worker, requests: list[bytes], window: int) -> tuple[float, float]:
    """Send all, at most `window` in flight, confirming batches; wall and CPU seconds."""
    started, cpu = time.perf_counter(), worker.cpu_s()
    key = pack([7, 1])
    sent = done = 0
    total = len(requests)
    while done < total:
        frames: list[bytes] = []
        while sent < total and sent - done < window and len(frames) < max(BATCH, window // 2):
            frames.append(port_messages.call_frame(sent + 1, 1, key, requests[sent]))
            sent += 1
        if frames:
            worker.port.sendall(b"".join(frames))
        done += len(worker.bodies())
        worker.port.sendall(port_messages.confirm_frame(done, done))
    return time.perf_counter() - started, worker.cpu_s() - cpu


def request(name: str, *args: Any) -> bytes:
    params = pack(name) + pack(args) + pack({})
    return port_messages.request_bytes(params, 1_700_000_000_000_000, 1_234_567_890_123_456_789)


def start_brain(loaded: Loaded) -> Worker:
    def work(*descriptors: int) -> int:
        return serve("bench", loaded, list(descriptors))

    worker = Worker(work)
    worker.bodies()
    return worker


def measure(loaded: Loaded, requests: list[bytes], window: int) -> dict[str, float]:
    """Median of three: microseconds of brain CPU and of wall time per request."""
    walls: list[float] = []
    cpus: list[float] = []
    for _ in range(3):
        worker = start_brain(loaded)
        worker.port.sendall(port_messages.notify_frame("lease", 1, 0))
        wall, cpu = drive(worker, requests, window)
        worker.stop()
        walls.append(wall / len(requests) * 1e6)
        cpus.append(cpu / len(requests) * 1e6)
    return {"cpu_us": statistics.median(cpus), "wall_us": statistics.median(walls)}


def measure_floor(requests: list[bytes], window: int) -> dict[str, float]:
    worker = Worker(echo)
    wall, cpu = drive(worker, requests, window)
    worker.stop()
    return {"cpu_us": cpu / len(requests) * 1e6, "wall_us": wall / len(requests) * 1e6}


def measure_follower(loaded: Loaded, count: int) -> dict[str, float]:
    """Microseconds of a follower's CPU per record of one set of 100 bytes, streamed by 32."""
    worker = start_brain(loaded)
    key, params = pack(["c" * 16, 1, 0]), request("put", "key", VALUE)
    records: list[bytes] = []
    for lsn in range(1, count + 1):
        ops = pack([[1, ["state", f"key{lsn % KEYS}"], VALUE]])
        commit = b"\xc4\x02\xc0\xc0" + pack(ops) + b"\xc4\x01\x90"
        records.append(encode(lsn, 1, Kind.COMMIT, 1, 0, key, params, commit))
    cpu = worker.cpu_s()
    for start in range(0, count, BATCH):
        worker.port.sendall(b"".join(port_messages.record_frames(records[start : start + BATCH])))
    worker.port.sendall(port_messages.ping_frame(2**63))
    worker.bodies()
    used = worker.cpu_s() - cpu
    worker.stop()
    return {"cpu_us": used / count * 1e6}


def run(count: int) -> dict[str, Any]:
    program = compile_program(Store)
    loaded = Loaded(program, "0" * 12, schema.describe(program), Store())
    puts = [request("put", f"key{n % KEYS}", VALUE) for n in range(count)]
    few = count // 4
    results: dict[str, Any] = {
        "put, 100 in flight": measure(loaded, puts, WINDOW),
        "put, one in flight": measure(loaded, puts[: count // 10], 1),
        "nothing, 100 in flight": measure(loaded, [request("nothing")] * few, WINDOW),
        "count, 100 in flight": measure(loaded, [request("count", "placed")] * few, WINDOW),
        "push and emit": measure(
            loaded, [request("push", f"k{n % 100}", n) for n in range(few)], WINDOW
        ),
        "get (a query)": measure(loaded, [request("get", "key1")] * few, WINDOW),
        "follower, per record": measure_follower(loaded, few),
        "floor: decode and answer": measure_floor(puts[: count // 2], WINDOW),
        "floor, one in flight": measure_floor(puts[: count // 10], 1),
    }
    return {
        "requests": count,
        "load": os.getloadavg(),
        "cpus": os.cpu_count(),
        "python": sys.version.split()[0],
        "driver_cpu_s": resource.getrusage(resource.RUSAGE_SELF).ru_utime,
        "results": results,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--requests", type=int, default=100_000)
    options = parser.parse_args()
    found = run(options.requests)
    if options.json:
        print(json.dumps(found))
        return
    print(f"load {found['load'][0]:.2f} on {found['cpus']} CPUs; {found['requests']} requests")
    for name, figures in found["results"].items():
        shown = "  ".join(f"{kind} {value:6.2f}" for kind, value in figures.items())
        print(f"{name:28} {shown}")


if __name__ == "__main__":
    main()
