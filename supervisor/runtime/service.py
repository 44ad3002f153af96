"""The service: recovery, then the parts wired together, until it is told to stop.

recovery -> core, disk -> engine -> keeper (nursery, brains) -> health, vault -> listener
stop: no new calls, those in flight, a last checkpoint, brains, nursery, vault, log
"""

import asyncio
from pathlib import Path

from osupervisor.config.settings import Settings
from osupervisor.supervisor.heart.launch import Inheritance
from osupervisor.supervisor.heart.notifier import Notifier
from osupervisor.supervisor.runtime import (
    allocator,
    application,
    key_window,
    methods,
    recovery,
)
from osupervisor.supervisor.runtime.actions import Actions
from osupervisor.supervisor.runtime.allocator import Slack
from osupervisor.supervisor.runtime.application import Beat, Part
from osupervisor.supervisor.runtime.brain_process import BrainProcess
from osupervisor.supervisor.runtime.brains import Brains, Population, role_of
from osupervisor.supervisor.runtime.chaos import Chaos
from osupervisor.supervisor.runtime.clock import LogClock
from osupervisor.supervisor.runtime.connection import Serving
from osupervisor.supervisor.runtime.dead_letters import DeadLetters
from osupervisor.supervisor.runtime.disk import Disk
from osupervisor.supervisor.runtime.engine import TICK_S, Engine
from osupervisor.supervisor.runtime.gauges import Gauges
from osupervisor.supervisor.runtime.health import LOOK_S, Health
from osupervisor.supervisor.runtime.heart_link import HeartLink
from osupervisor.supervisor.runtime.history import History
from osupervisor.supervisor.runtime.keeper import Keeper
from osupervisor.supervisor.runtime.key_window import KeyWindow
from osupervisor.supervisor.runtime.listener import SWEEP_S, Listener
from osupervisor.supervisor.runtime.loading import Loading
from osupervisor.supervisor.runtime.metrics_http import MetricsHttp
from osupervisor.supervisor.runtime.nursery_process import NurseryProcess
from osupervisor.supervisor.runtime.post_mortem import FLOOD_LOOK_S, PostMortem, Say
from osupervisor.supervisor.runtime.recovery import Recovered
from osupervisor.supervisor.runtime.status import Status
from osupervisor.supervisor.runtime.tape import Tape
from osupervisor.supervisor.runtime.vault import CheckpointFailed, Vault
from osupervisor.wal.placement import segment_lsns
from osupervisor.wal.retention import bytes_behind
from osupervisor.wal.segment import segment_name

VAULT_TICK_S = 1.0


class TreeGaveUp(Exception):
    """A part failed more often than the tree bears: this process ends, heart starts the next."""


STOP_POLL_S = 0.01


class Service:
    """One running service."""

    def __init__(
        self,
        settings: Settings,
        recovered: Recovered,
        inheritance: Inheritance,
        loop: asyncio.AbstractEventLoop,
        *,
        token: str,
        say: Say,
        history: History,
        head_start: NurseryProcess | None,
    ) -> None:
        self.settings = settings
        self.history = history
        self.loop = loop
        self.stopped = asyncio.Event()
        self.refused = ""
        """Why the service ends itself: damage that only a person can mend."""
        self._say = say
        self._data = Path(settings.data)
        self._schema: dict[str, object] = {}
        self._storage = recovered.storage
        self._stop_task: asyncio.Task[None] | None = None
        self._is_ready = False
        """Whether heart was told that somebody serves; it stands until this process ends."""
        self.post_mortem = PostMortem(settings, loop, say)
        self.heart = HeartLink(inheritance, loop, self._heart_revived, say)
        self._wire_log(recovered)
        self._wire_brains(recovered, head_start)
        self._wire_clients(inheritance, token)
        self.tree = application.build(
            self._parts(), self.keeper.start_nursery, settings.supervision, self._say
        )

    def _wire_log(self, recovered: Recovered) -> None:
        settings, loop = self.settings, self.loop
        self.core = recovery.new_core(settings, recovered)
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
            act=lambda action: self.actions.carry_out(action),
        )
        self.engine.on_trouble = self._trouble

    def _wire_brains(self, recovered: Recovered, head_start: NurseryProcess | None) -> None:
        settings, loop = self.settings, self.loop
        hash_seed = recovery.hash_seed(self._data)
        self.vault = Vault(
            self._data / "checkpoints",
            settings.checkpoint,
            loop,
            self,
            hash_seed=hash_seed,
            request=self._request_checkpoint,
            pruned=self._pruned,
            failed=self._checkpoint_failed,
        )
        checkpoint_lsn = recovered.checkpoint_lsn
        self.vault.resume(checkpoint_lsn, bytes_behind(recovered.storage, checkpoint_lsn))
        self.tape = Tape(recovered.storage, settings.tape)
        self.loading = Loading(recovered.storage, self.vault.store, self.core)
        self.keeper = Keeper(
            settings,
            hash_seed,
            self._notify,
            loop,
            self.loading,
            self._say,
            self,
            self.history,
            head_start,
        )
        population = Population(settings.brain.standbys)
        self.brains = Brains(self.engine, loop, self.keeper, self.keeper, population)
        self.keeper.manage(self.brains)
        self.health = Health(
            settings.health,
            settings.brain.memory_bytes_max,
            self._data,
            self.engine,
            self.brains,
            loop,
            self._suspected,
        )
        self.engine.executing = self.health.executing

    def _wire_clients(self, inheritance: Inheritance, token: str) -> None:
        settings, loop = self.settings, self.loop
        self.status = Status(self.engine, self.brains, self.health, self.vault, self.history)
        self.status.rung = lambda: self.keeper.ladder.rung.name
        self.letters = DeadLetters(self._data / "deadletter", settings.deadletter.kept)
        self.actions = Actions(
            self.brains,
            self.health,
            self.loading,
            self.vault,
            self.tape,
            self.letters,
            self._say,
            granted=self._granted,
            damaged=self.log_damaged,
        )
        parts = methods.Parts(
            engine=self.engine,
            status=self.status,
            vault=self.vault,
            letters=self.letters,
            chaos=Chaos(self.engine, self.brains, loop, allowed=settings.chaos.allowed),
            schema=lambda: self._schema,
            tree=lambda: application.as_root(self.tree.tree(), self.brains.rows()),
            metrics=lambda: self.gauges.render(),
            crashes=self.post_mortem.crashes,
            segments=lambda: [segment_name(each) for each in segment_lsns(self._storage)],
            stop=self.request_stop,
        )
        self.serving = Serving(
            engine=self.engine,
            loop=loop,
            handlers=methods.handlers(parts),
            unsent_bytes_max=settings.listen.unsent_bytes_max,
        )
        self.listener = Listener(
            list(inheritance.listeners.values()),
            self.serving,
            connections_max=settings.listen.connections_max,
            frame_timeout_s=settings.listen.frame_timeout_s,
            token=token,
        )
        self.gauges = Gauges(
            self.core,
            self.disk,
            self.brains,
            self.health,
            self.vault,
            self.status,
            self.listener,
            self.history,
        )
        self.metrics_http = MetricsHttp(settings.metrics.http, self.gauges.render, loop, self._say)
        self.health.others += [lambda: self.metrics_http.trouble, lambda: self.heart.trouble]
        self.status.listen = lambda: {
            "tcp": self.listener.tcp,
            "metrics": self.metrics_http.served,
        }
        self.key_window = KeyWindow(
            self.core.context.fold.done, lambda: self.core.context.now_us, self._say
        )
        self.health.others.append(lambda: self.key_window.trouble)

    def _notify(self) -> Notifier:
        return self.heart.inheritance.notify

    # --- life

    async def run(self) -> None:
        """Serve until `request_stop` has done its work, or the tree gives up."""
        self.vault.store.prepare()
        self.engine.start()
        self.heart.start()
        self.keeper.adopt(self.core.context.fold.epoch)
        await self.tree.start()
        ended = self.loop.create_task(self.tree.wait())
        stopped = self.loop.create_task(self.stopped.wait())
        await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        if self._stop_task is None:
            raise TreeGaveUp(str(ended.result()))
        await self._stop_task

    def _parts(self) -> list[Part]:
        """The tree's children, in start order."""
        settings, engine, slack = self.settings, self.engine, Slack()
        log_beats = (
            Beat(TICK_S, engine.tick),
            Beat(settings.wal.sync_interval_s, engine.sync),
            Beat(settings.wal.heal_interval_s, engine.heal),
        )
        return [
            Part("wal_manager", log_beats),
            Part(
                "memory_vault",
                (
                    Beat(VAULT_TICK_S, self._vault_tick),
                    Beat(allocator.LOOK_S, lambda: slack.look(self.disk.bytes_appended)),
                ),
            ),
            Part("health_monitor", (Beat(LOOK_S, self.health.look),)),
            Part(
                "telemetry",
                (
                    Beat(FLOOD_LOOK_S, self.post_mortem.look),
                    Beat(key_window.LOOK_S, self.key_window.look),
                ),
                self.metrics_http.start,
                self.metrics_http.stop,
            ),
            Part(
                "listener",
                (Beat(SWEEP_S, self.listener.sweep),),
                self.listener.start,
                self.listener.stop,
            ),
        ]

    def request_stop(self) -> None:
        """Stop; `stopped` is set at the end. Asked again, it changes nothing."""
        if self._stop_task is None:
            self._notify().stopping()
            self._stop_task = self.loop.create_task(self._stop())

    def refuse(self, reason: str) -> None:
        """End, and don't be started again: only a person can mend this. Heart is told that and
        not of a stop, which it would take for one that was asked for, and end with 0."""
        if self.refused:
            return
        self.refused = reason
        self._notify().refuse(reason)
        if self._stop_task is None:
            self._stop_task = self.loop.create_task(self._stop())

    async def _stop(self) -> None:
        self.status.stopping = self.serving.stopping = True
        self.heart.stop()
        await self._settle()
        if self.core.primary is not None and not self.core.read_only and not self.refused:
            await self._last_checkpoint()
        self.brains.stopping = True
        self.keeper.safe_brain.release()
        self.core.retire()  # not before: until here a standby may have to finish what is in flight
        self.engine.turn()
        await self.tree.stop()
        await self.brains.stop(self.settings.brain.shutdown_s)
        self.engine.stop()
        self.listener.close()
        self.vault.close()
        self.post_mortem.close()
        self.disk.close()
        self.stopped.set()

    async def _settle(self) -> None:
        """Wait for what is in flight, as long as a shutdown may take."""
        context = self.core.context
        limit = self.loop.time() + self.settings.brain.shutdown_s
        while (context.lease.inflight or context.queue) and self.loop.time() < limit:
            if self.core.primary is None:
                return
            await asyncio.sleep(STOP_POLL_S)

    async def _last_checkpoint(self) -> None:
        """So that the next start has nothing to replay."""
        if self.core.context.log.last <= self.vault.state.last_lsn:
            return
        limit_s = self.settings.heart.shutdown_s / 2
        try:
            await asyncio.wait_for(self.vault.ask(), limit_s)
        except CheckpointFailed:
            return
        except TimeoutError:
            self._checkpoint_failed(f"the last one was not written within {limit_s:g} s")

    def _checkpoint_failed(self, reason: str) -> None:
        self._say("warning", "checkpoint.failed", reason=reason)

    def _vault_tick(self) -> None:
        if not self.status.stopping and not self.core.read_only:
            self.vault.tick(self.disk.bytes_appended, self.core.context.log.last)

    def _heart_revived(self, trouble: str) -> None:
        if trouble:
            self._say("error", "heart.not_revived", reason=trouble)
            return
        self._say("warning", "heart.revived")
        self.status.heart_pid = self.heart.pid

    # --- what the core and the vault tell

    def _granted(self, brain: int, epoch: int) -> None:
        process = self.brains.by_id.get(brain)
        if process is not None:
            self.serving.queries = self.core.brains[brain].queries
            self._schema = process.schema
            self.vault.code_version = process.version
            self.loop.call_soon(self._say_granted, brain, process.pid, epoch)
        self.keeper.safe_brain.release()
        self.status.warnings.pop("start", None)
        self.brains.granted(brain)

    def _say_granted(self, brain: int, pid: int, epoch: int) -> None:
        """Behind the turn: the calls that waited for the lease are on their way by then."""
        self._say("info", "lease.granted", brain=brain, pid=pid, epoch=epoch)
        if not self._is_ready:
            self._is_ready = True
            self._notify().ready()

    def _request_checkpoint(self) -> None:
        self.core.want_checkpoint()
        self.engine.wake()

    def durable_lsn(self) -> int:
        return self.core.context.log.durable

    def sync_soon(self) -> None:
        self.engine.sync()

    def _pruned(self, oldest_lsn: int, newest_lsn: int) -> None:
        """In the vault's thread: the control record of the newest checkpoint is the newest that
        is certain to stand."""
        try:
            names = self.tape.trim(oldest_lsn, newest_lsn, self.engine.clock.now_us())
        except OSError as error:
            self._say_later("warning", "tape.not_trimmed", reason=str(error))
            return
        if names:
            self._say_later("info", "tape.trimmed", segments=len(names), first=names[0])

    def _say_later(self, level: str, event: str, **fields: object) -> None:
        """From another thread."""
        self.loop.call_soon_threadsafe(lambda: self._say(level, event, **fields))

    # --- what happens

    def target_failed(self, reason: str, traceback: str) -> None:
        self.status.warnings["code"] = reason
        self._notify().status(f"the brain's code can't be imported: {reason}"[:2000])

    def target_imported(self) -> None:
        if self.status.warnings.pop("code", ""):
            self._notify().status("the brain's code was imported")

    def log_damaged(self, reason: str) -> None:
        """A living primary still serves from memory; without one there is nothing to serve."""
        self.status.warnings["log"] = reason
        if self.core.primary is None:
            self.refuse(reason)

    def brains_dont_start(self, reason: str) -> None:
        self.status.warnings["start"] = reason

    def gave_up(self, reason: str) -> None:
        """Nothing is left to try: what can be answered without the author's code is answered."""
        brain, heart = self.settings.supervision, self.settings.heart
        self.core.give_up(reason)
        self.engine.wake()
        self._notify().extend(heart.start_timeout_s + 2 * brain.backoff_max_s)

    def brain_loaded(self) -> None:
        """From files: whatever was damaged is no longer in the way of a start."""
        self.status.warnings.pop("log", None)

    def brain_buried(self, process: BrainProcess, was_primary: bool) -> None:
        report = self.post_mortem.bury(process, role_of(process, was_primary))
        if report is not None:
            about = {"role": report.role, "took_over": report.took_over, "crash": report.id}
            cause = report.cause.detail or report.cause.name or report.cause.kind
            self._say("warning", "brain.died", pid=process.pid, cause=cause, **about)

    def brain_said(self, process: BrainProcess, data: bytes) -> None:
        self.post_mortem.said(process, data)

    def _suspected(self, process: BrainProcess, reason: str) -> None:
        self._say("warning", "brain.suspected", brain=process.id, pid=process.pid, reason=reason)

    def _trouble(self, why: str) -> None:
        if why:
            self._say("error", "log.trouble", reason=why)
        else:
            self._say("info", "log.healed")
