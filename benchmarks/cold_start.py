"""From starting the command to the first right answer, with 1,000,000 keys x 100 B, beside Redis.

    python benchmarks/cold_start.py [--keys 1000000] [--runs 5] [--quick] [--json]

Goal: no slower than Redis with its append-only file in the same run, after a stop and after a kill.

Both are filled the same way, one change of one key at a time, by their Python clients. Then each is
ended and started again, in turns, on the same folder, first by kills, then by stops. The time
begins before the process is made and ends with the right value of the last key that was written;
whoever asks tries to connect each millisecond, and asks again while Redis answers LOADING.

    stop         `SIGTERM` to heart (as `osupervisor stop`): with a last checkpoint
    kill         SIGKILL to every process at once: the newest checkpoint and the log behind it,
                 with as many checkpoints as the defaults make
    kill, log    the same without any checkpoint: every change is read from the log
    redis-server appendonly yes, appendfsync everysec; its own rewrites as it does by default

What is started is `osupervisor start`, command line, settings and all.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import figures
import redis_server
import store
from figures import Arguments, Figure
from redis_server import RedisServer
from service import Service

from osupervisor.bridge.frames import FrameDecoder
from osupervisor.bridge.messages import Response, parse, request

VALUE_BYTES: Final = 100
NO_CHECKPOINT: Final = {"checkpoint.wal_bytes": "1TiB", "checkpoint.interval_s": "1d"}
TIMEOUT_S: Final = 120.0


@dataclass(slots=True)
class Times:
    """Seconds of each start, by way."""

    ours_stop: list[float] = field(default_factory=list[float])
    ours_kill: list[float] = field(default_factory=list[float])
    ours_kill_log: list[float] = field(default_factory=list[float])
    redis_stop: list[float] = field(default_factory=list[float])
    redis_kill: list[float] = field(default_factory=list[float])


def fill(service: Service, keys: int) -> None:
    with service.client() as client, client.pipeline(200) as pipeline:
        for number in range(keys):
            pipeline.call("set", store.name(number), store.value(number, 0, VALUE_BYTES))


def fill_redis(server: RedisServer, keys: int) -> None:
    with server.client() as client:
        for first in range(0, keys, 1000):
            pipeline = client.pipeline(transaction=False)
            for number in range(first, min(first + 1000, keys)):
                pipeline.set(store.name(number), store.value(number, 0, VALUE_BYTES))
            pipeline.execute()


def first_answer(service: Service, keys: int) -> float:
    """Start it; seconds to the right answer."""
    began = service.start()
    with service.connected() as connection:
        connection.settimeout(TIMEOUT_S)
        last = store.name(keys - 1)
        connection.sendall(request(1, "brain.call", ["get", [last], {}, {"timeout_s": 100}]))
        answer = _receive(connection)
        took = time.perf_counter() - began
    assert answer == store.value(keys - 1, 0, VALUE_BYTES), f"found {answer!r:.50}"
    return took


def _receive(connection: Any) -> object:
    decoder = FrameDecoder()
    while True:
        data = connection.recv(65_536)
        assert data, "the connection was closed"
        for body in decoder.feed(data):
            message = parse(body)
            assert isinstance(message, Response) and message.error is None, message
            return message.result


def first_redis_answer(server: RedisServer, keys: int) -> float:
    began = server.start()
    last = keys - 1
    return server.wait(store.name(last), store.value(last, 0, VALUE_BYTES)) - began


def measure(arguments: Arguments) -> Sequence[Figure]:
    lacking = redis_server.missing()
    if lacking:
        raise SystemExit(lacking)
    keys = arguments.options.keys or arguments.pick(full=1_000_000, quick=100_000, tiny=2000)
    runs = arguments.options.runs or arguments.pick(full=5, quick=3, tiny=1)
    times = Times()
    with (
        Service() as service,
        Service(NO_CHECKPOINT) as without_checkpoint,
        RedisServer("everysec") as server,
    ):
        for each in (service, without_checkpoint):
            fill(each, keys)
        without_checkpoint.kill_all()
        fill_redis(server, keys)
        for _ in range(runs):
            service.kill_all()
            times.ours_kill.append(_restart(service, keys))
            server.kill()
            times.redis_kill.append(first_redis_answer(server, keys))
            times.ours_kill_log.append(_restart(without_checkpoint, keys))
            without_checkpoint.kill_all()
        for _ in range(runs):
            service.stop()
            times.ours_stop.append(_restart(service, keys))
            server.stop()
            times.redis_stop.append(first_redis_answer(server, keys))
    return _figures(times, keys)


def _restart(service: Service, keys: int) -> float:
    """Start it, and wait until it has its standby, so that this doesn't fall into what follows."""
    took = first_answer(service, keys)
    service.wait_whole()
    return took


def _figures(times: Times, keys: int) -> list[Figure]:
    rows = [
        ("a stop", times.ours_stop, times.redis_stop),
        ("a kill", times.ours_kill, times.redis_kill),
        ("a kill, from the log alone", times.ours_kill_log, times.redis_kill),
    ]
    return [
        Figure(
            f"cold start, {keys:,} keys, after {name}",
            "s",
            figures.median(ours),
            at_most=figures.median(redis),
            peer="Redis",
            peer_value=figures.median(redis),
            details={
                "runs": len(ours),
                "best": round(min(ours), 3),
                "worst": round(max(ours), 3),
                "redis_best": round(min(redis), 3),
                "redis_worst": round(max(redis), 3),
            },
        )
        for name, ours, redis in rows
    ]


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keys", type=int)
    parser.add_argument("--runs", type=int)


if __name__ == "__main__":
    figures.run(__doc__, measure, add)
