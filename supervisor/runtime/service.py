"""The service: recovery, then the parts wired together, until it is told to stop.

recovery -> core, disk -> engine -> nursery -> brains -> health, vault -> listener -> ready
stop: listener, brains, nursery, vault, disk
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from osupervisor.bridge import line
from osupervisor.bridge.errors import BridgeError
from osupervisor.config.settings import Settings
from osupervisor.supervisor.core.context import Limits
from osupervisor.supervisor.core.core import Core
from osupervisor.supervisor.core.outbox import (
    Action,
    AnswerFromLog,
    BeginCheckpoint,
    ForkBrain,
    Granted,
    KeepDeadLetter,
    KillBrain,
    LoadBrain,
)
from osupervisor.supervisor.runtime import recovery
from osupervisor.supervisor.runtime.brain_process import BrainProcess, Verdict
from osupervisor.supervisor.runtime.brains import Brains, Population
from osupervisor.supervisor.runtime.clock import LogClock
from osupervisor.supervisor.runtime.connection import Serving
from osupervisor.supervisor.runtime.disk import Disk
from osupervisor.supervisor.runtime.engine import Engine
from osupervisor.supervisor.runtime.health import Health
from osupervisor.supervisor.runtime.listener import Listener
from osupervisor.supervisor.runtime.loading import Loading, NothingToLoad
from osupervisor.supervisor.runtime.methods import Methods
from osupervisor.supervisor.runtime.nursery import Nursery
from osupervisor.supervisor.runtime.recovery import Recovered
from osupervisor.supervisor.runtime.status import Status
from osupervisor.supervisor.runtime.vault import Vault
from osupervisor.wal import reader
from osupervisor.wal.placement import segment_lsns
from osupervisor.wal.segment import segment_name

VAULT_TICK_S = 1.0
NURSERY_RETRY_S = 0.5


class Service:
    """One running service. `ready` is called once a primary holds the lease."""

    def __init__(
        self,
        settings: Settings,
        recovered: Recovered,
        listeners: list[socket.socket],
        loop: asyncio.AbstractEventLoop,
        *,
        token: str,
        ready: Callable[[], None],
        say: Callable[..., None],
    ) -> None:
        self.settings = settings
        self.loop = loop
        self.stopped = asyncio.Event()
        self.schema: dict[str, object] = {}
        self._say = say
        self._ready = ready
        self._data = Path(settings.data)
        self._hash_seed = recovery.hash_seed(self._data)
        self._storage = recovered.storage
        self._queries: frozenset[str] = frozenset()
        self._outputs: dict[int, bytes] = {}
        self.core = _core(settings, recovered)
        self.disk = Disk(
            recovered.storage,
            recovered.writer,
            recovered.boot_id,
            settings.wal.segment_bytes_max,
            loop,
        )
        self.engine = Engine(
            self.core,
            self.disk,
            LogClock(recovered.fold.t_us),
            loop,
            act=self._act,
            sync_interval_s=settings.wal.sync_interval_s,
            heal_interval_s=settings.wal.heal_interval_s,
        )
        self.engine.on_trouble = self._trouble
        population = Population(settings.brain.standbys, settings.brain.start_timeout_s)
        self.brains = Brains(self.engine, loop, self, self, population)
        self.health = Health(settings.health, self.engine, self.brains, loop, self._suspected)
        self.engine.executing = self.health.executing
        self.vault = Vault(
            self._data / "checkpoints",
            settings.checkpoint,
            loop,
            self,
            hash_seed=self._hash_seed,
            request=self._request_checkpoint,
            pruned=self._pruned,
        )
        self.loading = Loading(recovered.storage, self.vault.store, self.core)
        self.status = Status(self.engine, self.brains, self.health, self.vault)
        self.nursery: Nursery | None = None
        serving = Serving(
            engine=self.engine,
            loop=loop,
            handlers=Methods(self).handlers(),
            queries=lambda: self._queries,
            unsent_bytes_max=settings.listen.unsent_bytes_max,
        )
        self.listener = Listener(
            listeners,
            serving,
            connections_max=settings.listen.connections_max,
            frame_timeout_s=settings.listen.frame_timeout_s,
            token=token,
        )

    # --- life

    def start(self) -> None:
        self.vault.store.prepare()
        self.engine.start()
        self.health.start()
        self._start_nursery()
        self.listener.start()
        self.loop.call_later(VAULT_TICK_S, self._vault_tick)

    async def stop(self) -> None:
        """Take a last checkpoint, end the brains, seal the log."""
        if self.status.stopping:
            return
        self.status.stopping = True
        self.listener.stop()
        if self.core.primary is not None and not self.core.read_only:
            await self._last_checkpoint()
        self.brains.stopping = True
        self.health.stop()
        self.engine.turn()
        self.engine.stop()
        await self.brains.stop(self.settings.brain.shutdown_s)
        if self.nursery is not None:
            self.nursery.stop()
        self.listener.close()
        self.vault.close()
        self.disk.close()
        self.stopped.set()

    async def _last_checkpoint(self) -> None:
        """So that the next start has nothing to replay."""
        if self.core.context.log.last <= self.vault.state.last_lsn + 1:
            return
        try:
            await asyncio.wait_for(self.vault.ask(), self.settings.heart.shutdown_s / 2)
        except Exception as error:  # the log holds everything; the next start replays it
            self._say("warning", "checkpoint.failed", reason=str(error))

    def _vault_tick(self) -> None:
        if not self.status.stopping:
            self.loop.call_later(VAULT_TICK_S, self._vault_tick)
            if not self.core.read_only:
                self.vault.tick(self.disk.bytes_appended, self.core.context.log.last)

    # --- the nursery

    def _start_nursery(self) -> None:
        if self.status.stopping:
            return
        settings = self.settings
        output = os.open(
            self._data / "logs" / "nursery.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND
        )
        try:
            self.nursery = Nursery(
                settings.target, settings.root, str(self._hash_seed), output, self.loop, self
            )
        finally:
            os.close(output)

    def nursery_ready(self, version: str) -> None:
        self._say("info", "nursery.ready", code_version=version)
        self.status.warning = ""
        self.brains.refill()

    def nursery_failed(self, traceback: str) -> None:
        """The target can't be imported: say it until somebody mends it."""
        self.status.warning = traceback.strip().splitlines()[-1] if traceback.strip() else "?"
        self._say("error", "nursery.failed", traceback=traceback)

    def nursery_ended(self) -> None:
        self._say("warning", "nursery.ended")
        self.nursery = None
        self.loop.call_later(NURSERY_RETRY_S, self._start_nursery)

    def spawn(self, brain: int, descriptors: list[int]) -> bool:
        return self.nursery is not None and self.nursery.spawn(brain, descriptors)

    def spawned(self, brain: int, pid: int) -> None:
        self.brains.spawned(brain, pid)

    def exited(self, pid: int, status: int) -> None:
        self.brains.exited(pid, status)

    # --- what the core wants

    def _act(self, action: Action) -> None:
        match action:
            case Granted(brain, epoch):
                self._granted(brain, epoch)
            case LoadBrain(brain, after):
                self._load(brain, after)
            case ForkBrain():
                self.brains.fork(action)
            case KillBrain(brain, reason):
                self.brains.broken(brain, reason)
            case BeginCheckpoint():
                self._begin_checkpoint(action)
            case AnswerFromLog(waiter, lsn):
                if waiter.asker.answer(waiter.message_id, self._outcome_at(lsn)):
                    waiter.asker.flush()
            case KeepDeadLetter():
                self._say("error", "deadletter", op=action.op)

    def _granted(self, brain: int, epoch: int) -> None:
        process = self.brains.by_id.get(brain)
        if process is not None:
            self._queries = self.core.brains[brain].queries
            self.schema = process.schema
            self.vault.code_version = process.version
            self._say("info", "lease.granted", brain=brain, pid=process.pid, epoch=epoch)
        self.brains.refill_soon()
        self._ready()

    def _load(self, brain: int, after: int) -> None:
        process = self.brains.by_id.get(brain)
        if process is None:
            return
        process.loads += 1
        try:
            self.loading.load(process, after)
        except (NothingToLoad, OSError, BridgeError) as error:
            self._say("error", "brain.load_failed", brain=brain, reason=str(error))
            self.status.warning = str(error)
            self.brains.kill(process, Verdict(str(error)))

    def _begin_checkpoint(self, action: BeginCheckpoint) -> None:
        process = self.brains.by_id.get(action.brain)
        descriptors = self.vault.begin(action)
        if descriptors is None:
            return
        try:
            if process is not None:
                line.send(process.line, ["checkpoint", action.lsn], descriptors)
        except (OSError, BridgeError) as error:
            self._say("warning", "checkpoint.failed", reason=str(error))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _outcome_at(self, lsn: int) -> bytes:
        """The outcome in the log's record `lsn`."""
        firsts = [first for first in segment_lsns(self._storage) if first <= lsn]
        descriptor = self._storage.open_fd(segment_name(firsts[-1]))
        try:
            record = reader.find(descriptor, lsn)
        finally:
            os.close(descriptor)
        from osupervisor.supervisor.core.fold import split_commit

        return split_commit(record.commit)[0]

    def _request_checkpoint(self) -> None:
        self.core.want_checkpoint()
        self.engine.wake()

    def durable_lsn(self) -> int:
        return self.core.context.log.durable

    def sync_soon(self) -> None:
        self.engine.sync_soon()

    def _pruned(self, oldest_lsn: int) -> None:
        self._say("info", "checkpoint.pruned", oldest_lsn=oldest_lsn)

    # --- what happens to brains

    def brain_ready(self, process: BrainProcess) -> None:
        self._say("info", "brain.ready", brain=process.id, pid=process.pid)

    def brain_died(self, process: BrainProcess, was_primary: bool) -> None:
        self.loading.forget(process.id)
        self.brain_output(process)
        reason = process.killed.reason if process.killed is not None else ""
        self._say(
            "warning",
            "brain.died",
            brain=process.id,
            pid=process.pid,
            role="primary" if was_primary else "standby",
            status=process.status,
            reason=reason,
        )

    def brain_damaged(self, process: BrainProcess, report: dict[str, object]) -> None:
        why = self.loading.damaged(process, report)
        if why is None:
            self._say("error", "checkpoint.damaged", report=report)
        else:
            self.status.warning = why
            self._say("error", "log.damaged", reason=why)

    def brain_output(self, process: BrainProcess) -> None:
        try:
            data = os.read(process.output, 65536)
        except OSError:
            return
        if not data:
            self.loop.remove_reader(process.output)
            return
        for text in data.decode(errors="replace").splitlines():
            self._say("info", "brain.output", brain=process.id, pid=process.pid, text=text)

    def start_failed(self, process: BrainProcess) -> None:
        self._say("error", "brain.start_failed", brain=process.id)
        self.brains.refill_soon(0.2)

    def _suspected(self, process: BrainProcess, reason: str) -> None:
        self._say("warning", "brain.suspected", brain=process.id, pid=process.pid, reason=reason)

    def _trouble(self, why: str) -> None:
        if why:
            self._say("error", "log.trouble", reason=why)
        else:
            self._say("info", "log.healed")


def _core(settings: Settings, recovered: Recovered) -> Core:
    limits = Limits(
        window=settings.window,
        queue_max=settings.queue_max,
        queue_bytes_max=settings.queue_bytes_max,
        op_timeout_us=int(settings.op.timeout_s * 1e6),
        wait_timeout_us=int(settings.op.wait_timeout_s * 1e6),
        strikes_max=settings.op.strikes_max,
    )
    return Core(
        recovered.fold,
        always=settings.durability == "always",
        boot=int.from_bytes(recovered.boot_id[:8], "big"),
        seed=secrets.randbits(64),
        limits=limits,
        ring_bytes_max=settings.wal.retained_bytes_max,
        since_control=recovered.since_control,
    )
