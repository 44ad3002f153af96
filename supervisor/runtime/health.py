"""The health monitor: what the brains do, seen from outside.

deadline   the primary executes one call for longer than it may: traceback, kill, `Timeout`
nonsense   the primary has owed the same answer for longer than that and `silence_s`, and what its
           memory shows names no call that it was given: it wrote over it. Traceback, kill
silence    no call runs and neither the loop nor the timer beats for `silence_s`: traceback, kill
           Of both times, what it waited for a CPU and how late we looked ourselves is taken off
ping       `kernel.ping` over the port each second; unanswered while a call runs is no fault
port       a primary waits for us, and has left a ping unanswered for `silence_s`: it has begun a
           message that never ends, and all its answers went into that. Traceback, kill
load       CPU and memory by psutil, sampled
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from osupervisor.bridge import port_messages
from osupervisor.config.settings import Health as HealthSettings
from osupervisor.supervisor.doctor.control_group import read_number
from osupervisor.supervisor.runtime.brain_process import BrainProcess, Verdict
from osupervisor.supervisor.runtime.brains import Brains
from osupervisor.supervisor.runtime.engine import Engine
from osupervisor.supervisor.runtime.process_state import SLEEPING, is_stopped, state_of

LOOK_S = 0.05
TRACEBACK_WAIT_S = 0.05
"""A traceback is printed within a millisecond; so long its bytes may take to arrive here."""


@dataclass(slots=True)
class Sample:
    """What a brain takes."""

    cpu_share: float = 0.0
    rss_bytes: int = 0
    run_queue_s: float = 0.0
    state: str = ""
    busy_since_s: float = 0.0
    """Since when it has taken more than `cpu_share_max` of a CPU; 0: it has not."""


@dataclass(slots=True)
class Silence:
    """How long a brain has been silent, as far as it could have spoken."""

    beat_ns: int = 0
    quiet_s: float = 0.0
    waited_s: float = 0.0
    unheard_s: float = 0.0
    """How long it has waited for us since a ping that it must have answered."""
    owed: tuple[int, int] | None = None
    """The answer that it owes while its cell makes no sense."""
    owed_s: float = 0.0
    """For how long."""
    op_since_ns: int = 0
    """When the op began that it executes."""
    op_frozen_us: int = 0
    """For how much of its time since then nobody looked: the whole service may have been frozen."""

    def frozen_us(self, op_since_ns: int, running_us: int, late_s: float) -> int:
        """The same, with a look that came too late by `late_s`."""
        if op_since_ns != self.op_since_ns:
            self.op_since_ns, self.op_frozen_us = op_since_ns, 0
        self.op_frozen_us += min(int(late_s * 1e6), running_us)
        return self.op_frozen_us


class Health:
    """Looks at every brain twenty times a second."""

    def __init__(
        self,
        settings: HealthSettings,
        memory_bytes_max: int,
        data: Path,
        engine: Engine,
        brains: Brains,
        loop: asyncio.AbstractEventLoop,
        suspected: Callable[[BrainProcess, str], None],
    ) -> None:
        self.samples: dict[int, Sample] = {}
        self.others: list[Callable[[], str]] = []
        """Parts that may have something to complain of; an empty text is nothing."""
        self._settings = settings
        self._memory_bytes_max = memory_bytes_max
        self._memory_bytes = _memory_bytes()
        self._data = data
        self._disk_free_bytes = psutil.disk_usage(str(data)).free
        self._engine = engine
        self._brains = brains
        self._loop = loop
        self._suspected = suspected
        self._silences: dict[int, Silence] = {}
        self._processes: dict[int, psutil.Process] = {}
        self._looked_s = time.monotonic()
        self._sampled_s = 0.0
        self._pings = 0

    def executing(self) -> int:
        """The n that the primary executes, 0 for none."""
        primary = self._engine.core.primary
        process = self._brains.by_id.get(primary.id) if primary is not None else None
        return process.reader.cell()[0] if process is not None and not process.gone else 0

    def verdict(self) -> str:
        """`healthy`, `degraded` or `unhealthy`, of the whole."""
        core = self._engine.core
        if core.primary is None and not core.read_only:
            return "unhealthy"
        return "degraded" if self.complaints() else "healthy"

    def complaints(self) -> list[str]:
        """What is not as it should be, in words."""
        core, settings = self._engine.core, self._settings
        queue = core.context.queue
        found = ["the log takes no records"] if core.read_only else []
        if core.context.helpless:
            found.append("brains do not start")
        if any(each.quiet_s > settings.suspicion_s for each in self._silences.values()):
            found.append("a brain gives no sign of life")
        share = settings.queue_share_max
        if len(queue) > share * queue.calls_max or queue.size_bytes > share * queue.bytes_max:
            found.append(f"{len(queue)} calls of {queue.size_bytes} bytes wait")
        if self._disk_free_bytes < settings.disk_free_bytes_min:
            found.append(f"the disk has {self._disk_free_bytes} bytes left")
        found += self._memory_complaints([each.rss_bytes for each in self.samples.values()])
        limit = time.monotonic() - settings.cpu_period_s
        if any(0.0 < sample.busy_since_s < limit for sample in self.samples.values()):
            found.append("a brain keeps a CPU busy")
        return found + [trouble for other in self.others if (trouble := other())]

    def _memory_complaints(self, rss_bytes: list[int]) -> list[str]:
        """Of one brain, by its limit; of all together, by what there is."""
        share, limit = self._settings.rss_share_max, self._memory_bytes_max
        largest = max(rss_bytes, default=0)
        found: list[str] = []
        if limit and largest > share * limit:
            found.append(f"a brain takes {largest} bytes, brain.memory_bytes_max is {limit}")
        if (taken := sum(rss_bytes)) > share * self._memory_bytes:
            found.append(f"the brains take {taken} of {self._memory_bytes} bytes of memory")
        return found

    def look(self) -> None:
        """To be called each LOOK_S."""
        now = time.monotonic()
        late = max(0.0, now - self._looked_s - 2 * LOOK_S)
        passed, self._looked_s = now - self._looked_s - late, now
        for process in list(self._brains.by_id.values()):
            if process.gone or not process.ready:
                continue
            awake = self._awake_s(process, passed)
            self._check_deadline(process, awake, late)
            if not process.gone:
                self._check_silence(process, awake)
                self._check_port(process, passed)
            self._ping(process, now)
        if now - self._sampled_s >= self._settings.sample_interval_s:
            self._sampled_s = now
            self._sample()

    def _awake_s(self, process: BrainProcess, passed_s: float) -> float:
        """The part of the time that has passed in which it did not wait for a CPU."""
        silence = self._silences.setdefault(process.id, Silence())
        before, silence.waited_s = silence.waited_s, _run_queue_s(process.pid)
        return max(0.0, passed_s - max(0.0, silence.waited_s - before))

    def _check_deadline(self, process: BrainProcess, awake_s: float, late_s: float) -> None:
        cell, since_ns = process.reader.cell()
        running_us = (time.monotonic_ns() - since_ns) // 1000
        if running_us < 0:  # a time to come is nonsense, and so is the rest
            cell = 0
        self._check_sense(process, cell, awake_s)
        if cell == 0 or process.killed is not None:
            return
        silence = self._silences.setdefault(process.id, Silence())
        running_us -= silence.frozen_us(since_ns, running_us, late_s)
        core = self._engine.core
        call = core.overdue(process.id, cell, running_us)
        if call is not None and is_stopped(process.pid):  # that blames no request at once
            self._end(process, Verdict("it was stopped by a signal", halted=True))
        elif call is not None:
            reason = f"{call.op} ran for {running_us / 1e6:.1f} s"
            self._end(process, Verdict(reason, hung=(core.context.lease.epoch, cell)))

    def _check_sense(self, process: BrainProcess, cell: int, awake_s: float) -> None:
        silence = self._silences.setdefault(process.id, Silence())
        core = self._engine.core
        owed = core.owed(process.id, cell)
        if owed is None or owed != silence.owed:
            silence.owed, silence.owed_s = owed, 0.0
            return
        silence.owed_s += awake_s
        limit_s = core.context.limits.op_timeout_us / 1e6 + self._settings.silence_s
        if silence.owed_s > limit_s and process.killed is None:
            reason = (
                f"it has owed an answer for {silence.owed_s:.1f} s, and shows no op that it runs"
            )
            self._end(process, Verdict(reason, own_fault=True))

    def _check_silence(self, process: BrainProcess, awake_s: float) -> None:
        silence = self._silences.setdefault(process.id, Silence())
        beat = process.reader.heartbeat_ns()
        if beat != silence.beat_ns:
            silence.beat_ns, silence.quiet_s = beat, 0.0
            return
        silence.quiet_s += awake_s
        if silence.quiet_s <= self._settings.silence_s or process.killed is not None:
            return
        if is_stopped(process.pid):
            self._end(process, Verdict("it was stopped by a signal", halted=True))
        elif not process.reader.cell()[0]:
            reason = f"no sign of life for {silence.quiet_s:.1f} s while no op ran"
            self._end(process, Verdict(reason, halted=True))

    def _check_port(self, process: BrainProcess, passed_s: float) -> None:
        silence = self._silences.setdefault(process.id, Silence())
        primary = self._engine.core.primary
        leads = primary is not None and primary.id == process.id and process.killed is None
        idle = leads and process.ping_id and not process.reader.cell()[0]
        if not idle or state_of(process.pid) != SLEEPING:
            silence.unheard_s = 0.0
            return
        silence.unheard_s += passed_s
        if silence.unheard_s > self._settings.silence_s:
            reason = f"its port has brought no answer for {silence.unheard_s:.1f} s, and no op ran"
            self._end(process, Verdict(reason, own_fault=True))

    def _end(self, process: BrainProcess, verdict: Verdict) -> None:
        """Take a traceback, then kill."""
        process.killed = verdict
        process.signal(signal.SIGUSR2)
        self._suspected(process, verdict.reason)
        self._loop.call_later(TRACEBACK_WAIT_S, self._brains.kill, process, verdict)

    def _ping(self, process: BrainProcess, now: float) -> None:
        if now - process.pinged_s < self._settings.ping_interval_s or process.ping_id:
            return
        self._pings += 1
        process.pinged_s = now
        process.ping_id = port_messages.PING_ID_MIN + self._pings
        process.port.send([port_messages.ping_frame(process.ping_id)])

    def _sample(self) -> None:
        with contextlib.suppress(OSError):
            self._disk_free_bytes = psutil.disk_usage(str(self._data)).free
        alive = {process.pid for process in self._brains.by_id.values() if process.pid}
        for pid in list(self._processes):
            if pid not in alive:
                del self._processes[pid]
        for process in list(self._brains.by_id.values()):
            if process.pid and not process.gone:
                self._sample_one(process)
        for brain in self.samples.keys() - self._brains.by_id.keys():
            del self.samples[brain]
        for brain in self._silences.keys() - self._brains.by_id.keys():
            del self._silences[brain]

    def _sample_one(self, process: BrainProcess) -> None:
        with contextlib.suppress(psutil.Error, OSError):  # it ended; no descriptor is left
            found = self._processes.get(process.pid)
            if found is None:
                found = self._processes[process.pid] = psutil.Process(process.pid)
                found.cpu_percent()
            before = self.samples.get(process.id)
            with found.oneshot():
                cpu_share, rss = found.cpu_percent() / 100, found.memory_info().rss
                sample = Sample(cpu_share, rss, _run_queue_s(process.pid), found.status())
            if cpu_share > self._settings.cpu_share_max:
                since_s = 0.0 if before is None else before.busy_since_s
                sample.busy_since_s = since_s or time.monotonic()
            self.samples[process.id] = sample
            process.rss_bytes = rss
            if 0 < self._memory_bytes_max < rss and process.killed is None:
                limit = f"it has {rss} bytes, brain.memory_bytes_max is {self._memory_bytes_max}"
                self._suspected(process, limit)
                self._brains.kill(process, Verdict(limit, outgrown=True))

    def look_before(self, brain: int, n: int) -> None:
        """Delivery `n` goes alone: find out whether the brain is within its memory's limit yet."""
        process = self._brains.by_id.get(brain)
        if process is None or not self._memory_bytes_max:
            return
        process.within_n = 0
        with contextlib.suppress(psutil.Error, OSError):
            if psutil.Process(process.pid).memory_info().rss <= self._memory_bytes_max:
                process.within_n = n


def _memory_bytes() -> int:
    """What there is for all brains together: the container's memory, or the machine's."""
    total = int(psutil.virtual_memory().total)
    try:
        limit = read_number("memory.max")
    except OSError:
        return total
    return total if limit is None else min(total, limit)


def _run_queue_s(pid: int) -> float:
    """How long the process was ready to run and waited for a CPU, in all. 0 where unknown."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
