"""The brain manager: as many brains as are wanted, who they are, and what their deaths mean.

A brain comes from the nursery (cold: it loads a checkpoint and the log) or is forked from a living
one (warm: it has the state). One that dies while it serves is a change of lease, without backoff;
only those that die before `ready` count, and too many of them lead down the ladder.
"""

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import dataclass
from typing import Protocol, cast

from osupervisor.bridge import line, port_messages
from osupervisor.bridge.errors import BridgeError, shown
from osupervisor.supervisor.core.core import Core
from osupervisor.supervisor.core.key import describe
from osupervisor.supervisor.core.outbox import ForkBrain
from osupervisor.supervisor.core.response import Response
from osupervisor.supervisor.runtime import brain_process
from osupervisor.supervisor.runtime.brain_process import BrainProcess, Death, Verdict
from osupervisor.supervisor.runtime.engine import Engine
from osupervisor.supervisor.runtime.exit_info import exit_status
from osupervisor.supervisor.runtime.port import Note
from osupervisor.supervisor.telemetry.events import execute

RESPAWN_DELAY_S = 0.02
"""After a promotion those go first who waited for it, and the kernel's work for the dead brain;
then the new primary is forked, which stops it for milliseconds."""
REMAKE_DELAY_S = 0.1
"""After a brain could not be made, for want of descriptors or memory."""
CLOSED_PORT_S = 0.5
"""A brain that is dying closes its port a little before its death is noticed."""
EXIT_WAIT_S = 10.0
"""How long a death's report waits for the process's end: the kernel tears its memory down first,
on busy CPUs only when nobody else wants to run."""
REAP_WAIT_S = 0.05
"""How long after that for the exit status: somebody has to reap it."""
QUIET_S = 0.25
"""So long after a promotion nothing is done that only people read: a report is a few milliseconds
of work, in which those who wait for an answer would wait on."""


TOOK_OVER = "brain.took_over"
"""Told when a brain gets the lease of one that died: `duration_s` since that was noticed."""


class Forker(Protocol):
    """Who makes cold brains: the nursery's keeper."""

    @property
    def is_ready(self) -> bool: ...
    def spawn(self, brain: int, descriptors: list[int]) -> bool: ...


class BrainEvents(Protocol):
    """Who is told of brains."""

    def brain_made(self, process: BrainProcess) -> None: ...
    def brain_identified(self, process: BrainProcess) -> None: ...
    def brain_ready(self, process: BrainProcess) -> None: ...
    def brain_lost(self, process: BrainProcess) -> None: ...
    def brain_died(self, process: BrainProcess, was_primary: bool) -> None: ...
    def brain_damaged(self, process: BrainProcess, report: dict[str, object]) -> None: ...
    def brain_output(self, process: BrainProcess) -> None: ...
    def start_failed(self, process: BrainProcess) -> None: ...
    def safe_brain_gone(self) -> None: ...


@dataclass(slots=True)
class Population:
    """How many brains there should be."""

    standbys: int


class Brains:
    """All brain processes of this supervisor."""

    def __init__(
        self,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        forker: Forker,
        events: BrainEvents,
        population: Population,
    ) -> None:
        self.by_id: dict[int, BrainProcess] = {}
        self.stopping = False
        self.first_id = 1
        self._engine = engine
        self._loop = loop
        self._forker = forker
        self._events = events
        self._population = population
        self._next_id = 1
        self._by_pid: dict[int, BrainProcess] = {}
        self._unsucceeded: list[BrainProcess] = []
        """Those that died with the lease, until somebody gets it: their reports may be written."""
        self._refill: asyncio.TimerHandle | None = None

    def rows(self) -> list[dict[str, object]]:
        """The brains for `system.tree`."""
        primary = self._engine.core.primary
        holder = 0 if primary is None else primary.id
        return [
            {
                "id": f"brain-{process.id}",
                "type": "worker",
                "phase": "running" if process.ready else "starting",
                "pid": process.pid,
                "role": role_of(process, process.id == holder),
                "children": [],
            }
            for process in self.by_id.values()
        ]

    # --- population

    def refill(self) -> None:
        """Start what is missing: one at a time, warm where a living brain can be forked."""
        self._refill = None
        if self.stopping:
            return
        wanted = 1 + self._population.standbys
        own = self.own()
        if len(own) >= wanted or any(not each.ready for each in own):
            return
        brain = self._new_id()
        if own and self._engine.core.want_fork(brain):
            self._engine.wake()
            return
        if not self._spawn_cold(brain, self._forker) and self._forker.is_ready:
            self.refill_soon(REMAKE_DELAY_S)  # one that gets ready will say so

    def own(self) -> list[BrainProcess]:
        """Those that run the author's code."""
        return [process for process in self.by_id.values() if not process.safe]

    def spawn_safe(self, forker: Forker) -> bool:
        """Start a safe brain, if there is none and nothing is being stopped. False: it could not
        be made now."""
        if len(self.by_id) > len(self.own()) or self.stopping:
            return True
        return self._spawn_cold(self._new_id(), forker, safe=True)

    def dismiss_safe(self) -> None:
        """Ask the safe brain to end, if there is one."""
        for process in self.by_id.values():
            if process.safe:
                _ask_to_end(process)

    def refill_soon(self, delay_s: float = RESPAWN_DELAY_S) -> None:
        if self._refill is None and not self.stopping:
            self._refill = self._loop.call_later(delay_s, self.refill)

    def _new_id(self) -> int:
        brain = max(self._next_id, self.first_id)
        self._next_id = brain + 1
        return brain

    def _spawn_cold(self, brain: int, forker: Forker, *, safe: bool = False) -> bool:
        """False: it could not be made now."""
        try:
            process, ends = brain_process.make(brain, self._loop, self)
        except OSError:  # too many descriptors are open, or there is no memory
            return False
        process.safe = safe
        is_made = forker.spawn(brain, ends.descriptors())
        if is_made:
            self._register(process)
            self._events.brain_made(process)
        else:
            process.close()
            os.close(process.output)
        ends.close()
        return is_made

    def fork(self, action: ForkBrain) -> None:
        """Hand the source the ends of a new brain; its port frame follows."""
        source = self.by_id.get(action.source)
        if source is None:
            self.refill_soon(REMAKE_DELAY_S)
            return
        try:
            process, ends = brain_process.make(action.brain, self._loop, self)
        except OSError:
            self._call_off(source, action.brain)
            return
        try:
            line.send(source.line, ["spawn", action.brain], ends.descriptors())
        except (OSError, BridgeError):
            process.close()
            os.close(process.output)
            self._call_off(source, action.brain)
        else:
            self._register(process)
            self._events.brain_made(process)
        ends.close()

    def _call_off(self, source: BrainProcess, brain: int) -> None:
        """The frame that asks for it is on its way: without this its reader waits and ends."""
        with contextlib.suppress(OSError, BridgeError):
            line.send(source.line, ["spawn", brain])
        self.refill_soon(REMAKE_DELAY_S)

    def _register(self, process: BrainProcess) -> None:
        self.by_id[process.id] = process
        self._engine.ports[process.id] = process.port
        self._loop.add_reader(process.output, self._events.brain_output, process)

    def adopt(self, process: BrainProcess, pid: int) -> None:
        """Take over a brain that outlived an earlier supervisor."""
        self._register(process)
        if not self._identify(process, pid):
            self._gone(process)

    async def stop(self, patience_s: float) -> None:
        """End every brain: ask, wait, kill. None is left when this returns."""
        self.stopping = True
        for process in self.by_id.values():
            _ask_to_end(process)
        limit = self._loop.time() + patience_s
        while self.by_id and self._loop.time() < limit:
            await asyncio.sleep(0.01)
        for process in list(self.by_id.values()):
            self.kill(process, Verdict("it did not stop in time"))
        for process in list(self._by_pid.values()):
            if process.gone and process.status is not None:
                self._report(process)

    # --- what ports say

    def responded(self, brain: int, responses: list[Response]) -> None:
        engine = self._engine
        if responses[0].n < port_messages.READ_ID_MIN:
            engine.core.responses(brain, responses)
        else:  # Reads are answered without a lease: no response to a delivery stands before one.
            for response in responses:
                if response.n < port_messages.READ_ID_MIN:
                    engine.core.responses(brain, [response])
                else:
                    engine.core.read_done(brain, response.n, response.outcome)
        engine.event(len(responses))

    def noted(self, brain: int, note: Note) -> None:
        process = self.by_id.get(brain)
        if process is None:
            return
        match note.method, note.params:
            case "pong", [int(message_id), _]:
                if message_id == process.ping_id:
                    process.ping_id = 0
            case "ready", [fields]:
                self._ready(process, _map(fields))
            case "fenced", [int(lsn)]:
                self._engine.core.fenced(brain, lsn)
                process.leads = process.leads and brain not in self._engine.core.brains
            case "spawned", [int(child), int(pid)]:
                self._told(brain, child, pid)
            case "damaged", [report]:
                self._events.brain_damaged(process, _map(report))
            case _:
                self.broken(brain, f"its port said {note.method!r}")
        self._engine.wake()

    def broken(self, brain: int, reason: str) -> None:
        process = self.by_id.get(brain)
        if process is not None:
            self.kill(process, Verdict(reason, own_fault=True))

    def closed(self, brain: int) -> None:
        """End of file: it has closed its port, or it is dying and the watch will say so soon."""
        process = self.by_id.get(brain)
        if process is None:
            return
        if process.pid == 0:
            self._loop.call_soon(self._gone, process)
        else:
            self._loop.call_later(CLOSED_PORT_S, self._still_there, process)

    def _still_there(self, process: BrainProcess) -> None:
        if not process.gone:
            self.kill(process, Verdict("it closed its port", own_fault=True))

    def lagging(self, brain: int) -> None:
        self._engine.core.lagging(brain)

    def drained(self, brain: int) -> None:
        self._engine.core.drained(brain)
        self._engine.wake()

    def _ready(self, process: BrainProcess, fields: dict[str, object]) -> None:
        pid, lsn, epoch = fields.get("pid"), fields.get("lsn"), fields.get("epoch")
        schema, version = fields.get("schema"), fields.get("version")
        if not (isinstance(pid, int) and isinstance(lsn, int) and isinstance(epoch, int)):
            self.broken(process.id, f"its ready says {shown(fields, 200)}")
            return
        if not self._identify(process, pid):
            self._gone(process)
            return
        process.schema = cast("dict[str, object]", schema) if isinstance(schema, dict) else {}
        process.version = version if isinstance(version, str) else ""
        self._engine.core.ready(
            process.id,
            lsn,
            epoch,
            version=process.version,
            abilities=_names(fields.get("abilities")),
            queries=queries_of(process.schema),
            safe=process.safe,
        )
        view = self._engine.core.brains.get(process.id)
        if view is not None and view.streaming and not process.ready:
            process.ready = True
            self._events.brain_ready(process)
            self.refill_soon()

    def _told(self, parent: int, brain: int, pid: int) -> None:
        """One brain says of another which process it is: only of one that nobody knows yet."""
        process = self.by_id.get(brain)
        if process is not None and process.pid not in (0, pid):
            self.broken(parent, f"its port said that brain {brain} is process {pid}")
        else:
            self.spawned(brain, pid)

    def spawned(self, brain: int, pid: int) -> None:
        """A fork tells which process the new brain is."""
        process = self.by_id.get(brain)
        if process is not None and not self._identify(process, pid):
            self._gone(process)

    def _identify(self, process: BrainProcess, pid: int) -> bool:
        if process.pid == 0:
            if not process.identify(pid, self._loop, lambda: self._gone(process)):
                return False
            self._by_pid[pid] = process
            self._events.brain_identified(process)
        return process.pid == pid

    # --- ends

    def kill(self, process: BrainProcess, verdict: Verdict) -> None:
        """End it. Failover begins now: what it was asked is taken back at once."""
        if process.gone:
            return
        process.killed = verdict
        if process.signal(signal.SIGKILL) or process.pid == 0:
            self._gone(process)

    def _gone(self, process: BrainProcess) -> None:
        """It is dead, or certain to be: read what it sent, move the lease, then tidy up."""
        if process.gone:
            return
        process.gone = True
        process.port.drain()
        cell, _ = process.reader.cell()
        core = self._engine.core
        primary = core.primary
        holds = primary is not None and primary.id == process.id
        # The core has taken the lease from one that broke the protocol before it says so.
        process.was_primary = holds or process.leads
        process.death = _death(core)
        if process.was_primary:
            self._unsucceeded.append(process)
        killed = process.killed
        process.doing = _doing(core, cell) if holds else None
        if killed is not None and killed.outgrown and not process.excused:
            core.outgrew(process.id, cell, process.within_n)
        elif killed is not None and killed.halted and not process.excused:
            core.halted(process.id)
        else:
            core.died(
                process.id,
                cell,
                blame=(killed is None or killed.own_fault) and not process.excused,
                hung=None if killed is None or process.excused else killed.hung,
            )
        self._engine.turn()
        self.by_id.pop(process.id, None)
        self._engine.ports.pop(process.id, None)
        self._bury(process)
        if process.safe:
            self._events.safe_brain_gone()
        elif process.pid and not process.ready and not self.stopping:
            self._events.start_failed(process)
        else:
            self.refill_soon(RESPAWN_DELAY_S if process.pid else REMAKE_DELAY_S)

    def granted(self, brain: int) -> None:
        """This one holds the lease now: it took over from those that died with it."""
        for process in self.by_id.values():
            process.leads = process.id == brain
        for process in self._unsucceeded:
            assert process.death is not None, "a brain that lives has no successor"
            process.took_over = f"brain-{brain}"
            waited_s = time.monotonic() - process.death.monotonic_s
            execute(TOOK_OVER, {"duration_s": waited_s}, {"brain": brain})
        self._unsucceeded.clear()
        self.refill_soon()

    def _bury(self, process: BrainProcess) -> None:
        """Everything that takes time, behind the promotion."""
        self._events.brain_lost(process)
        if process.pidfd >= 0 and process.status is None:
            if process.watch is not None:
                process.watch.stop()
            self._loop.add_reader(process.pidfd, self._ended, process)
            self._loop.call_later(EXIT_WAIT_S, self._report, process)
        else:
            self._loop.call_later(QUIET_S if self._hurry(process) else 0.0, self._report, process)

    def _ended(self, process: BrainProcess) -> None:
        """The kernel has torn it down; the nursery reaps it about now."""
        self._loop.remove_reader(process.pidfd)
        delay_s = QUIET_S if self._hurry(process) else REAP_WAIT_S
        self._loop.call_later(delay_s, self._report, process)

    def _hurry(self, process: BrainProcess) -> bool:
        """Whether calls wait for what this death has set in motion."""
        return process.was_primary and not self.stopping

    def _report(self, process: BrainProcess) -> None:
        if process.pidfd < -1:
            return
        if process.pidfd >= 0:
            self._loop.remove_reader(process.pidfd)
        if process.status is None and process.pidfd >= 0:
            process.status = exit_status(process.pidfd)
        self._events.brain_died(process, process.was_primary)
        self._loop.remove_reader(process.output)
        os.close(process.output)
        process.close()
        if process.pidfd >= 0:
            os.close(process.pidfd)
        process.pidfd = -2
        self._by_pid.pop(process.pid, None)

    def exited(self, pid: int, status: int) -> None:
        """The nursery reaped it."""
        process = self._by_pid.get(pid)
        if process is None:
            return
        process.status = status
        if process.gone:
            if not self._hurry(process):
                self._report(process)
        else:
            self._gone(process)


def _ask_to_end(process: BrainProcess) -> None:
    process.asked_to_end = True
    process.port.send([port_messages.notify_frame("shutdown")])


def _death(core: Core) -> Death:
    """Now, where the log is now."""
    return Death(time.time(), time.monotonic(), core.context.log.last, core.context.fold.epoch)


def _doing(core: Core, cell: int) -> tuple[str, str] | None:
    """Op and key of the call with this n."""
    for call in core.context.lease.inflight:
        if call.n == cell:
            return call.op, str(describe(call.key))
    return None


def role_of(process: BrainProcess, is_primary: bool) -> str:
    """What it is called in the tree, in reports and in the metrics."""
    if process.safe:
        return "safe"
    return "primary" if is_primary else "standby"


def _names(value: object) -> frozenset[str]:
    found = cast("list[object]", value) if isinstance(value, list) else []
    return frozenset(each for each in found if isinstance(each, str))


def _map(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def queries_of(schema: dict[str, object]) -> frozenset[str]:
    """The names of the queries in a brain's schema."""
    ops = schema.get("ops")
    if not isinstance(ops, dict):
        return frozenset()
    described = cast("dict[object, object]", ops)
    return frozenset(
        str(name)
        for name, op in described.items()
        if isinstance(op, dict) and cast("dict[object, object]", op).get("kind") == "query"
    )
