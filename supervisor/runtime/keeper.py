"""The keeper: the nursery, the brains that outlived a supervisor, and what happens to brains.

nursery   started, started again when it ends; a target that can't be imported, or ends whoever
          imports it, is said until somebody mends it
adopted   brains of the last supervisor, handed a new port each
deaths    of brains before `ready` count, and imports that fail while none lives: too many of them
          lead down the ladder, at whose end a safe brain answers the operator
"""

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from osupervisor.config.settings import Settings
from osupervisor.supervisor.heart.notifier import Notifier
from osupervisor.supervisor.runtime import adoption, nursery_process
from osupervisor.supervisor.runtime.brain_process import BrainProcess, Verdict
from osupervisor.supervisor.runtime.brains import RESPAWN_DELAY_S, Brains
from osupervisor.supervisor.runtime.history import History
from osupervisor.supervisor.runtime.loading import Loading, UnknownDamage
from osupervisor.supervisor.runtime.nursery import Nursery
from osupervisor.supervisor.runtime.nursery_process import NurseryProcess
from osupervisor.supervisor.runtime.post_mortem import Say
from osupervisor.supervisor.runtime.safe_brain import SafeBrain
from osupervisor.supervisor.tree.backoff import Backoff
from osupervisor.supervisor.tree.cause import SHUTDOWN
from osupervisor.supervisor.tree.child import Handle, Init
from osupervisor.supervisor.tree.exit_status import status_cause
from osupervisor.supervisor.tree.ladder import Attempt, Ladder

OUTPUT_READ_BYTES = 65_536
"""Read at a time from a brain's output: what is more waits in the pipe, and the brain drops it."""

SILENT_ENDS = 2
"""So many nurseries in a row that end without a word: one alone may have been killed by anybody,
for want of memory say."""


class Keeper:
    """Keeps brains coming. The brain manager does what it decides."""

    def __init__(
        self,
        settings: Settings,
        hash_seed: int,
        notify: Callable[[], Notifier],
        loop: asyncio.AbstractEventLoop,
        loading: Loading,
        say: Say,
        events: "KeeperEvents",
        history: History,
        head_start: NurseryProcess | None,
    ) -> None:
        """`notify`: heart may have been revived meanwhile, so it is asked for each time.
        `head_start`: a nursery that was started already; it is used when it is the right one."""
        self.nursery: Nursery | None = None
        self.brains: Brains
        self._settings = settings
        self._hash_seed = hash_seed
        self._notify = notify
        self._loop = loop
        self._loading = loading
        self._say = say
        self._events = events
        self._history = history
        self._init: Init | None = None
        self._head_start = head_start
        supervision = settings.supervision
        self._silent_ends = 0
        self.ladder = Ladder(
            random.random,
            failures_max=settings.brain.start_failures_max,
            failures_period_s=settings.brain.start_failures_period_s,
            backoff=Backoff(supervision.backoff_initial_s, supervision.backoff_max_s),
            index=history.rung,
        )
        loading.skip_newest = self.ladder.rung.checkpoint
        self.safe_brain = SafeBrain(hash_seed, self._open_output, loop, say)

    def manage(self, brains: Brains) -> None:
        """The brains that are kept; they know their keeper first."""
        self.brains = self.safe_brain.brains = brains

    # --- those that outlived the last supervisor

    def adopt(self, epoch: int) -> None:
        """Take over the brains that heart kept. Once, before the nursery starts."""
        notify = self._notify()
        living, useless = adoption.survivors(notify.stored)
        for name in useless:
            notify.remove(name)
        for _ in range(adoption.whole(useless)):
            self._history.count_brain_death()
        for survivor in living:
            self.brains.first_id = survivor.id + 1
            process = adoption.reattach(survivor, epoch, self._loop, self.brains)
            if process is None:
                self._history.count_brain_death()
                self._forget(survivor.id)
                continue
            self.brains.adopt(process, survivor.pid)
            timeout_s = self._settings.brain.reattach_timeout_s
            self._loop.call_later(timeout_s, self._check_reattached, process)

    def _check_reattached(self, process: BrainProcess) -> None:
        if not process.ready and not process.gone and not process.loads:
            self.brains.kill(process, Verdict("it did not take its new port in time"))

    def _forget(self, brain: int) -> None:
        for part in adoption.PARTS:
            self._notify().remove(adoption.store_name(brain, part))

    # --- the nursery

    def start_nursery(self, init: Init) -> Handle:
        """The start function of the tree's child `nursery`."""
        started, self._head_start = self._head_start, None
        wanted = (self._settings.target, self._settings.root, str(self._hash_seed))
        if started is not None and (started.target, started.root, started.hash_seed) != wanted:
            started.discard()
            started = None
        if started is None:
            output = self._open_output()
            try:
                started = nursery_process.start(*wanted, output)
            finally:
                os.close(output)
        self.nursery = Nursery(started, self._loop, self)
        timeout_s = self._settings.heart.start_timeout_s
        self._loop.call_later(timeout_s, self._check_imported, self.nursery)
        self._init = init
        init.ready()
        return self.nursery

    def _check_imported(self, nursery: Nursery) -> None:
        """Code whose import comes to no end, neither good nor bad, is tried again. Heart limits
        the time of a start; beside brains that live on nobody else would."""
        if nursery is self.nursery and not nursery.spoke:
            self._say("error", "nursery.silent", pid=nursery.pid)
            nursery.kill()

    def _open_output(self) -> int:
        logs = self._settings.logs
        return nursery_process.open_log(Path(self._settings.data), logs.bytes_max, logs.kept)

    def nursery_ready(self, version: str) -> None:
        self._silent_ends = 0
        self._say("info", "nursery.ready", code_version=version)
        self._events.target_imported()
        self.brains.refill()

    def nursery_failed(self, traceback: str) -> None:
        lines = traceback.strip().splitlines()
        reason = lines[-1] if lines else "the nursery failed without a word"
        self._say("error", "nursery.failed", reason=reason, traceback=traceback)
        self._events.target_failed(reason, traceback)
        if not self.brains.own():
            self._step(reason)

    def nursery_ended(self, status: int) -> None:
        asked = self.nursery is not None and self.nursery.asked_to_end
        silent = self.nursery is not None and not self.nursery.spoke
        self.nursery = None
        if silent and not asked:
            self._ended_silently(status)
        if self._init is not None:
            self._init.exited(SHUTDOWN if asked else status_cause(status))

    def _ended_silently(self, status: int) -> None:
        """The code ended its process while it was imported, or somebody else did."""
        self._silent_ends += 1
        if self._silent_ends >= SILENT_ENDS:
            self.nursery_failed(
                f"importing the brain ended the process {self._silent_ends} times in a row"
                f" ({status_cause(status)}); {self._settings.data}/logs/nursery.log has its output"
            )

    @property
    def is_ready(self) -> bool:
        return self.nursery is not None and self.nursery.ready

    def spawn(self, brain: int, descriptors: list[int]) -> bool:
        if self.nursery is None or not self.nursery.spawn(brain, descriptors):
            return False
        timeout_s = self._settings.brain.start_timeout_s
        self._loop.call_later(timeout_s, self._check_forked, brain, self.nursery)
        return True

    def _check_forked(self, brain: int, nursery: Nursery) -> None:
        """A nursery that is stopped, or hangs, forks nobody: the next one does."""
        process = self.brains.by_id.get(brain)
        if process is None or process.pid:
            return
        self._say("error", "nursery.silent", pid=nursery.pid, brain=brain)
        nursery.kill()
        self.brains.kill(process, Verdict("the nursery did not fork it in time"))

    def spawned(self, brain: int, pid: int) -> None:
        self.brains.spawned(brain, pid)

    def exited(self, pid: int, status: int) -> None:
        self.brains.exited(pid, status)

    # --- what happens to brains

    def brain_made(self, process: BrainProcess) -> None:
        """Heart keeps what the next supervisor needs to take this brain over. A safe one is ended
        by that, as its pidfd stands alone."""
        if process.safe:
            return
        notify = self._notify()
        notify.store(adoption.store_name(process.id, "line"), process.line.fileno())
        notify.store(adoption.store_name(process.id, "hot"), process.hot_fd)

    def brain_identified(self, process: BrainProcess) -> None:
        self._notify().store(adoption.store_name(process.id, adoption.PIDFD), process.pidfd)
        self._watch_start(process)

    def _watch_start(self, process: BrainProcess) -> None:
        timeout_s = self._settings.brain.start_timeout_s
        seen = (process.loads, process.reader.heartbeat_ns())
        self._loop.call_later(timeout_s, self._check_started, process, *seen)

    def _check_started(self, process: BrainProcess, loads: int, beat_ns: int) -> None:
        """A brain may load for as long as it gets on; one that never says anything is ended, and
        one that does not even beat while it loads."""
        if process.ready or process.gone:
            return
        gets_on = process.loads != loads or process.reader.heartbeat_ns() != beat_ns
        if process.loads and gets_on:
            self._watch_start(process)
        else:
            self.brains.kill(process, Verdict("it was not ready in time"))

    def brain_ready(self, process: BrainProcess) -> None:
        self._say("info", "brain.ready", brain=process.id, pid=process.pid)
        if process.safe:
            return
        self.ladder.ready(self._loop.time())
        self._history.keep_rung(self.ladder.index)
        self._loading.skip_newest = self.ladder.rung.checkpoint
        if process.loads:
            self._events.brain_loaded()

    def brain_lost(self, process: BrainProcess) -> None:
        """It is dead, or certain to be. Heart keeps its pidfd alone: that it can wait for the end,
        and the next supervisor tells by it that this death was counted."""
        if process.pid:
            self._history.count_brain_death()
        else:  # whoever was to make it died first, or could not
            self._say("warning", "brain.not_made", brain=process.id)
        for part in adoption.PARTS:
            if part != adoption.PIDFD:
                self._notify().remove(adoption.store_name(process.id, part))

    def brain_died(self, process: BrainProcess, was_primary: bool) -> None:
        self._loading.forget(process.id)
        self._forget(process.id)
        self.brain_output(process)
        self._events.brain_buried(process, was_primary)

    def brain_damaged(self, process: BrainProcess, report: dict[str, object]) -> None:
        try:
            damage = self._loading.damaged(process, report)
        except UnknownDamage as error:  # one brain's nonsense is no reason to end the service
            self.brains.broken(process.id, str(error))
            return
        except OSError as error:
            self._say("error", "checkpoint.failed", reason=f"it can't be set aside: {error}")
            return
        if damage.is_fatal:
            way_out = "restore the file from a backup, or run: osupervisor wal repair"
            self._log_damaged(f"{damage}; {way_out}")
            return
        self._say(
            "error",
            "checkpoint.damaged",
            path=damage.path,
            offset=damage.offset,
            reason=damage.reason,
        )

    def _log_damaged(self, reason: str) -> None:
        self._say("error", "log.damaged", reason=reason)
        self._events.log_damaged(reason)

    def brain_output(self, process: BrainProcess) -> None:
        """Bytes of its standard output and error, as log lines."""
        try:
            data = os.read(process.output, OUTPUT_READ_BYTES)
        except OSError:
            return
        if not data:
            self._loop.remove_reader(process.output)
            return
        self._events.brain_said(process, data)

    def start_failed(self, process: BrainProcess) -> None:
        attempt = self._step(f"brains die before they are ready, the last was {process.pid}")
        self._say(
            "error",
            "brain.start_failed",
            brain=process.id,
            pid=process.pid,
            rung=attempt.rung.name,
            delay_s=attempt.delay_s,
        )
        if attempt.is_new_rung or attempt.delay_s:
            self._loop.call_later(max(attempt.delay_s, RESPAWN_DELAY_S), self._try_again)
        else:
            self.brains.refill_soon()

    def _step(self, reason: str) -> Attempt:
        """A start has failed: perhaps it is time for the next rung. On the last one nothing more
        is left to try but the code, mended."""
        attempt = self.ladder.failed(self._loop.time())
        self._history.keep_rung(self.ladder.index)
        self._loading.skip_newest = attempt.rung.checkpoint
        if attempt.is_new_rung:
            self._say("error", "ladder.down", rung=attempt.rung.name, reason=reason)
        if attempt.is_new_rung or attempt.rung.is_readonly:
            self._events.brains_dont_start(reason)
        if attempt.rung.is_readonly and not any(each.ready for each in self.brains.own()):
            self._events.gave_up(reason)
            self.safe_brain.want()
        return attempt

    def _try_again(self) -> None:
        """With what the code is now, where no brain lives that runs what it was."""
        self.ladder.started(self._loop.time())
        if self.nursery is not None and self.nursery.ready and not self.brains.own():
            self.nursery.stop()  # the next one imports anew, and its `ready` brings a brain
        else:
            self.brains.refill_soon()

    def safe_brain_gone(self) -> None:
        self.safe_brain.gone()


class KeeperEvents(Protocol):
    """Who is told what the keeper can't settle itself."""

    def target_failed(self, reason: str, traceback: str) -> None: ...
    def target_imported(self) -> None: ...
    def brain_loaded(self) -> None: ...
    def brains_dont_start(self, reason: str) -> None: ...
    def gave_up(self, reason: str) -> None: ...
    def log_damaged(self, reason: str) -> None: ...
    def brain_buried(self, process: BrainProcess, was_primary: bool) -> None: ...
    def brain_said(self, process: BrainProcess, data: bytes) -> None: ...
