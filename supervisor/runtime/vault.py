"""The memory vault: checkpoints from the request to the rename, and files for brains that load.

    due (time, log bytes, operator) -> control record at n, a brain forks, its child writes
      -> its result -> wait until the log is durable up to n -> manifest, rename -> prune, retention

Everything that waits for the disk runs in a thread of its own. One checkpoint at a time.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from osupervisor.bridge import packing
from osupervisor.config.settings import Checkpoint as CheckpointSettings
from osupervisor.supervisor.core.outbox import BeginCheckpoint
from osupervisor.supervisor.telemetry.events import span
from osupervisor.vault_store.checkpoint import CheckpointStore
from osupervisor.vault_store.errors import VaultStoreError
from osupervisor.vault_store.manifest import Manifest, summarize
from osupervisor.vault_store.state_format import StateSummary

RESULT_BYTES_MAX = 65_536
DURABLE_POLL_S = 0.05
SEALING = "checkpoint.seal"
"""A span, in which a state that is written becomes a checkpoint: the log is durable up to it, the
manifest is there, older ones are gone."""


class CheckpointFailed(Exception):
    """A checkpoint was not written; the log still holds everything."""


class Log(Protocol):
    """What the vault asks of the log."""

    def durable_lsn(self) -> int: ...
    def sync_soon(self) -> None: ...


@dataclass(slots=True)
class Running:
    """The checkpoint that is being written."""

    begun: BeginCheckpoint
    pipe: int
    started_s: float
    result: bytes = b""
    has_ended: bool = False
    """Its writer has; the pipe is closed. What is left waits for the disk alone."""


@dataclass(slots=True)
class VaultState:
    """What the status tells of checkpoints."""

    last_lsn: int = 0
    last_unix_s: float = 0.0
    last_duration_s: float = 0.0
    written: int = 0
    failed: int = 0
    last_error: str = ""
    waiters: list["asyncio.Future[Manifest]"] = field(
        default_factory=list["asyncio.Future[Manifest]"]
    )


class Vault:
    """Writes checkpoints, keeps the newest, and says which files a brain starts from."""

    def __init__(
        self,
        folder: Path,
        settings: CheckpointSettings,
        loop: asyncio.AbstractEventLoop,
        log: Log,
        *,
        hash_seed: int,
        request: Callable[[], None],
        pruned: Callable[[int, int], None],
        failed: Callable[[str], None],
    ) -> None:
        """`request` asks the core for a checkpoint; `pruned` is told the oldest and
        the newest LSN kept, in the vault's thread; `failed` why one was not written."""
        self.store = CheckpointStore(folder)
        self.state = VaultState()
        self.code_version = ""
        self._settings = settings
        self._loop = loop
        self._log = log
        self._hash_seed = hash_seed
        self._request = request
        self._pruned = pruned
        self._failed = failed
        self._thread = ThreadPoolExecutor(1, "vault")
        self._running: Running | None = None
        self._asked_s: float | None = None
        self._last_s = time.monotonic()
        self._bytes_before = 0

    def resume(self, last_lsn: int, bytes_behind: int) -> None:
        """A checkpoint at `last_lsn` and this much log behind it are there from before."""
        self.state.last_lsn = last_lsn
        self._bytes_before = -bytes_behind

    def tick(self, appended_bytes: int, last_lsn: int) -> None:
        """Ask for a checkpoint when one is due. Once a second is enough."""
        now = time.monotonic()
        self._check_running(now)
        if last_lsn <= self.state.last_lsn:
            self._last_s, self._bytes_before = now, appended_bytes
            return
        due = now - self._last_s >= self._settings.interval_s
        full = appended_bytes - self._bytes_before >= self._settings.wal_bytes
        if due or full:
            self._last_s, self._bytes_before = now, appended_bytes
            self.ask()

    def ask(self) -> "asyncio.Future[Manifest]":
        """Have a checkpoint written; its manifest when it is in place. Raises CheckpointFailed."""
        future: asyncio.Future[Manifest] = self._loop.create_future()
        future.add_done_callback(_look)
        self.state.waiters.append(future)
        if self._running is None and self._asked_s is None:
            self._asked_s = time.monotonic()
            self._request()
        return future

    def begin(self, begun: BeginCheckpoint) -> tuple[int, int] | None:
        """Descriptors for the brain's child: the file, the pipe for its result. The caller closes
        them. None: it could not be begun."""
        self._asked_s = None
        if self._running is not None:
            return None
        with contextlib.ExitStack() as undo:
            try:
                state_fd = self.store.begin(begun.lsn)
                undo.callback(os.close, state_fd)
                read_end, write_end = os.pipe2(os.O_CLOEXEC)
            except (OSError, VaultStoreError) as error:
                self._fail(str(error))
                return None
            undo.pop_all()
        os.set_blocking(read_end, False)
        self._running = Running(begun, read_end, time.monotonic())
        self._loop.add_reader(read_end, self._readable)
        return state_fd, write_end

    def _readable(self) -> None:
        running = self._running
        if running is None:
            return
        try:
            data = os.read(running.pipe, RESULT_BYTES_MAX)
        except BlockingIOError:
            return
        if data and len(running.result) < RESULT_BYTES_MAX:
            running.result += data
            return
        self._loop.remove_reader(running.pipe)
        os.close(running.pipe)
        running.has_ended = True
        task = self._loop.create_task(self._complete(running))
        task.add_done_callback(_look)

    async def _complete(self, running: Running) -> None:
        lsn = running.begun.lsn
        try:
            summary = _summary(running.result)
            with span(SEALING, {"lsn": lsn}):
                manifest = await self._seal(running.begun, summary)
        except (CheckpointFailed, VaultStoreError, OSError) as error:
            await self._loop.run_in_executor(self._thread, self._discard, lsn)
            self._running = None
            self._fail(f"checkpoint of lsn {lsn}: {error}")
            return
        self._running = None
        state = self.state
        state.last_lsn, state.last_unix_s = lsn, time.time()
        state.last_duration_s = time.monotonic() - running.started_s
        state.written += 1
        state.last_error = ""
        waiters, state.waiters = state.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(manifest)

    async def _seal(self, begun: BeginCheckpoint, summary: StateSummary) -> Manifest:
        await self._durable(begun.lsn)
        manifest = Manifest(
            lsn=begun.lsn,
            epoch=begun.epoch,
            code_version=self.code_version,
            hash_seed=self._hash_seed,
            created_unix_s=int(time.time()),
            state=summary,
            control=summarize(begun.control),
        )
        await self._loop.run_in_executor(self._thread, self._finish, manifest, begun)
        return manifest

    async def _durable(self, lsn: int) -> None:
        """A checkpoint ahead of the durable log would leave a hole after a power cut."""
        while self._log.durable_lsn() < lsn:
            self._log.sync_soon()
            await asyncio.sleep(DURABLE_POLL_S)

    def _finish(self, manifest: Manifest, begun: BeginCheckpoint) -> None:
        self.store.finish(manifest, begun.control)
        self.store.prune(self._settings.kept)
        whole = [entry.lsn for entry in self.store.ls() if entry.damage is None]
        if len(whole) >= self._settings.kept:
            self._pruned(whole[0], begun.lsn)

    def _discard(self, lsn: int) -> None:
        try:
            self.store.discard(lsn)
        except OSError:
            return  # what is left ends in .tmp and is swept at the next start

    def _check_running(self, now: float) -> None:
        """A writer that died or hangs must not stop checkpoints for ever."""
        if self._asked_s is not None and now - self._asked_s > self._settings.timeout_s:
            self._asked_s = None
            self._fail(f"no brain could begin it within {self._settings.timeout_s:g} s")
        running = self._running
        if running is None or running.has_ended:
            return
        if now - running.started_s > self._settings.timeout_s:
            self._running = None
            self._loop.remove_reader(running.pipe)
            os.close(running.pipe)
            self._thread.submit(self._discard, running.begun.lsn)
            self._fail(f"checkpoint of lsn {running.begun.lsn}: timed out")

    def _fail(self, why: str) -> None:
        self.state.failed += 1
        self.state.last_error = why
        self._failed(why)
        waiters, self.state.waiters = self.state.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(CheckpointFailed(why))

    def close(self) -> None:
        self._thread.shutdown(wait=True)


def _summary(result: bytes) -> StateSummary:
    if not result:
        raise CheckpointFailed("its writer died")
    try:
        found = packing.unpack(result)
        if not isinstance(found, dict):
            raise ValueError("no map")
        fields = cast("dict[str, object]", found)
        if "error" in fields:
            raise CheckpointFailed(str(fields["error"]))
        return StateSummary.from_map(fields)
    except packing.DECODE_ERRORS as error:
        raise CheckpointFailed(f"its writer said {result[:80]!r}") from error


def _look(future: "asyncio.Future[Manifest] | asyncio.Task[None]") -> None:
    """Somebody may have stopped waiting: a failure is counted and told in the status anyway."""
    if not future.cancelled():
        future.exception()
