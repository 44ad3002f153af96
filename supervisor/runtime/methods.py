"""The methods that clients may call besides brain.call and brain.state (docs/PROTOCOL.md)."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from osupervisor.bridge import messages, methods
from osupervisor.bridge.errors import InvalidArguments, Unavailable, from_map
from osupervisor.bridge.frames import FRAME_BYTES_MAX
from osupervisor.supervisor.core.call import Call, Waiter
from osupervisor.supervisor.core.key import encode as encode_key
from osupervisor.supervisor.runtime.chaos import Chaos
from osupervisor.supervisor.runtime.connection import Handler
from osupervisor.supervisor.runtime.dead_letters import (
    DeadLetters,
    Letter,
    NoSuchLetterError,
    params_of,
)
from osupervisor.supervisor.runtime.engine import Engine
from osupervisor.supervisor.runtime.status import VERSION, Status
from osupervisor.supervisor.runtime.vault import CheckpointFailed, Vault
from osupervisor.wal.checksum import crc32

T = TypeVar("T")
REQUESTS_BYTES_MAX = FRAME_BYTES_MAX // 2
"""Of a list of dead letters: each has a few hundred bytes beside its request."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the methods work on."""

    engine: Engine
    status: Status
    vault: Vault
    letters: DeadLetters
    chaos: Chaos
    schema: Callable[[], dict[str, object]]
    tree: Callable[[], object]
    metrics: Callable[[], str]
    crashes: Callable[[list[object]], object]
    segments: Callable[[], object]
    stop: Callable[[], None]


def handlers(parts: Parts) -> dict[str, Handler]:
    """A handler for each method. It gets the params as they came, and checks them."""

    def stop(params: list[object]) -> object:
        parts.stop()
        return {"state": "stopping"}

    return {
        "kernel.hello": lambda params: _hello(parts),
        "kernel.ping": lambda params: "pong",
        "kernel.api": lambda params: _api(parts),
        "system.status": lambda params: parts.status.as_map(),
        "system.tree": lambda params: parts.tree(),
        "system.get_metrics": lambda params: parts.metrics(),
        "system.checkpoint": lambda params: _checkpoint(parts),
        "system.checkpoints": lambda params: _checkpoints(parts),
        "system.wal": lambda params: parts.segments(),
        "system.crashes": parts.crashes,
        "system.deadletter": lambda params: _dead_letter(parts, params),
        "system.chaos": lambda params: _chaos(parts, params),
        "system.stop": stop,
    }


def _hello(parts: Parts) -> object:
    return {
        "service": "osupervisor",
        "version": VERSION,
        "protocol": methods.PROTOCOL_VERSION,
        "frame_bytes_max": FRAME_BYTES_MAX,
        "now_us": parts.engine.clock.now_us(),
    }


def _api(parts: Parts) -> object:
    schema = parts.schema()
    return {
        "protocol": methods.PROTOCOL_VERSION,
        "methods": methods.describe_methods(),
        "ops": schema.get("ops", {}),
        "brain": {name: part for name, part in schema.items() if name != "ops"},
    }


async def _checkpoint(parts: Parts) -> object:
    try:
        manifest = await parts.vault.ask()
    except CheckpointFailed as error:
        raise Unavailable(
            f"no checkpoint was written: {error}", "the log holds everything; try again"
        ) from error
    return {
        "lsn": manifest.lsn,
        "epoch": manifest.epoch,
        "bytes": manifest.state.bytes,
        "raw_bytes": manifest.state.raw_bytes,
        "keys": manifest.state.keys,
    }


def _checkpoints(parts: Parts) -> object:
    return [
        {
            "lsn": entry.lsn,
            "whole": entry.damage is None,
            "damage": None if entry.damage is None else str(entry.damage),
            "bytes": None if entry.manifest is None else entry.manifest.state.bytes,
            "created_unix_s": None if entry.manifest is None else entry.manifest.created_unix_s,
        }
        for entry in reversed(parts.vault.store.ls())
    ]


def _dead_letter(parts: Parts, params: list[object]) -> object:
    match params:
        case ["ls"]:
            return _in_short(parts.letters.ls())
        case ["show", str(letter)]:
            return _letter(lambda: parts.letters.show(letter))
        case ["drop", str(letter)]:
            _letter(lambda: parts.letters.drop(letter))
            return {"dropped": letter}
        case ["retry", str(letter)]:
            return _retry(parts, letter)
        case _:
            raise InvalidArguments(
                f"system.deadletter {params!r:.100}",
                'params are ["ls"], ["show", id], ["retry", id] or ["drop", id]',
            )


def _in_short(letters: list[Letter]) -> list[Letter]:
    """Without their requests, where these are too long for one answer."""
    if sum(len(str(letter.get("request"))) for letter in letters) <= REQUESTS_BYTES_MAX:
        return letters
    return [{**letter, "request": None} for letter in letters]


def _letter(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except NoSuchLetterError as error:
        raise InvalidArguments(str(error)) from error


class _Awaiting:
    """An asker inside the supervisor: the answer goes to a future."""

    def __init__(self, parts: Parts) -> None:
        self.future = parts.engine.new_future()

    def answer(self, message_id: int, outcome: bytes) -> bool:
        if not self.future.done():
            self.future.set_result(outcome)
        return False

    def flush(self) -> None:
        raise AssertionError("nothing is ever queued here")

    def when_read(self, answer: Callable[[], None]) -> None:
        answer()


async def _retry(parts: Parts, letter: str) -> object:
    """Send a letter's request again, under a new key. It is dropped when it succeeds; else it
    stays, with one try more."""
    request = _letter(lambda: parts.letters.request(letter))
    op = str(parts.letters.show(letter)["op"])
    params = params_of(op, request)
    key = _begin_try(parts, letter)
    asker = _Awaiting(parts)
    context = parts.engine.core.context
    parts.engine.core.call(
        Call(
            key=key,
            key_bytes=encode_key(key, 0),
            seen=0,
            op=op,
            params=params,
            crc=crc32(params),
            waiters=[Waiter(asker, 0)],
            admitted_us=context.now_us,
            timeout_us=0,
            query=op == methods.BRAIN_STATE,
            method="state" if op == methods.BRAIN_STATE else "call",
        )
    )
    parts.engine.wake()
    error, result = messages.read_outcome(await asker.future)
    if error is not None:
        raise from_map(error)
    with contextlib.suppress(NoSuchLetterError):  # somebody has dropped it meanwhile
        parts.letters.drop(letter)
    return {"retried": letter, "result": result}


def _begin_try(parts: Parts, letter: str) -> str:
    try:
        return _letter(lambda: parts.letters.begin_try(letter))
    except OSError as error:
        raise Unavailable(
            f"the try can't be noted in the letter, so it was not made: {error}",
            "see that the data directory's disk takes writes; then retry",
        ) from error


def _chaos(parts: Parts, params: list[object]) -> object:
    match params:
        case [str(action), str(target)]:
            return parts.chaos.strike(action, target, parts.status.heart_pid)
        case _:
            raise InvalidArguments(f"system.chaos {params!r:.100}", "params are [action, target]")
