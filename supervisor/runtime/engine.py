"""The engine: drives the core, one turn of the loop at a time.

    whatever happened is told to the core as it comes; `wake` asks for a turn, which
    1. lets the core decide, appends what it wants appended, tells it what the disk said
    2. carries out its actions, sends the brains their frames, the clients their answers
    3. starts a sync when somebody waits for one

A turn is taken after at most TURN_EVENTS events, so that supervisor and brain work at the same
time instead of handing one convoy back and forth.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from osupervisor.supervisor.core.call import Asker
from osupervisor.supervisor.core.core import Core
from osupervisor.supervisor.core.lease import Brain
from osupervisor.supervisor.core.outbox import Action, KeepDeadLetter
from osupervisor.supervisor.runtime.clock import LogClock
from osupervisor.supervisor.runtime.disk import Disk
from osupervisor.wal.errors import AppendFailed
from osupervisor.wal.record import Kind

TURN_EVENTS: Final = 32
STREAM_BYTES: Final = 64 * 1024
STREAM_S: Final = 0.002
"""Records wait so long, or until there are so many bytes of them, before a follower is woken: it
applies many at once, and leaves the cores to those who serve. A promotion waits for neither."""
TICK_S: Final = 0.05
"""How often waiting calls, deadlines and due timers are looked at."""


class Sending(Protocol):
    """A brain's port, as the engine needs it."""

    def send(self, frames: list[bytes]) -> None: ...


class Engine:
    """Turns events into turns."""

    def __init__(
        self,
        core: Core,
        disk: Disk,
        clock: LogClock,
        loop: asyncio.AbstractEventLoop,
        *,
        act: Callable[[Action], None],
    ) -> None:
        self.core = core
        self.disk = disk
        self.clock = clock
        self.ports: dict[int, Sending] = {}
        self.on_trouble: Callable[[str], None] = lambda why: None
        self.executing: Callable[[], int] = lambda: 0
        self._loop = loop
        self._act = act
        self._scheduled = False
        self._events = 0
        self._stream_timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def start(self) -> None:
        self.core.at(self.clock.now_us())
        self.wake()

    def stop(self) -> None:
        """No turn after this one."""
        self._stopped = True

    def new_future(self) -> "asyncio.Future[bytes]":
        """For an outcome that is wanted inside the supervisor."""
        return self._loop.create_future()

    def event(self, count: int = 1) -> None:
        """So much was told to the core that may need a turn soon."""
        self._events += count
        if self._events >= TURN_EVENTS:
            self.turn()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._scheduled = False
        self.turn()

    def turn(self) -> None:
        """Decide, append, act, send, answer."""
        if self._stopped:
            return
        self._events = 0
        core = self.core
        core.at(self.clock.now_us())
        while records := core.turn():
            if core.out.actions:
                self._keep_letters()
            self._append(records)
        if core.out.actions:
            actions, core.out.actions = core.out.actions, []
            for action in actions:
                self._act(action)
        for brain in list(core.brains.values()):
            if brain.records_bytes >= STREAM_BYTES:
                brain.frame_records()
            if brain.out:
                self._send(brain)
            if brain.records and self._stream_timer is None:
                self._stream_timer = self._loop.call_later(STREAM_S, self._stream)
        if core.out.answers:
            self._answer()
        if core.context.log.sync_wanted or self.disk.writer.is_nearly_full:
            self.sync()

    def _send(self, brain: Brain) -> None:
        frames, brain.out = brain.out, []
        port = self.ports.get(brain.id)
        if port is not None:
            port.send(frames)

    def _stream(self) -> None:
        """Send followers the records that waited for company."""
        self._stream_timer = None
        for brain in list(self.core.brains.values()):
            if brain.records:
                brain.frame_records()
                self._send(brain)

    def _keep_letters(self) -> None:
        """Dead letters, before the verdicts that they belong to."""
        out = self.core.out
        letters = [action for action in out.actions if isinstance(action, KeepDeadLetter)]
        if letters:
            out.actions = [each for each in out.actions if not isinstance(each, KeepDeadLetter)]
            for letter in letters:
                self._act(letter)

    def _append(self, records: list[bytes]) -> None:
        log = self.core.context.log
        control = log.batch[0].kind is Kind.CONTROL
        try:
            self.disk.append(records, log.last + 1, control=control)
        except AppendFailed as error:
            self.on_trouble(str(error))
            self.core.cut_short(error.whole, str(error))
            return
        self.core.written()

    def _answer(self) -> None:
        answers, self.core.out.answers = self.core.out.answers, []
        touched: list[Asker] = []
        for waiter, outcome in answers:
            asker = waiter.asker
            if asker.answer(waiter.message_id, outcome):
                touched.append(asker)
        for asker in touched:
            asker.flush()

    def sync(self) -> None:
        """Have what is appended made durable, unless that is being done."""
        log = self.core.context.log
        if self.disk.busy or self.core.read_only or log.last == log.durable:
            return
        self.disk.sync(self._synced, self._sync_failed)

    def _synced(self, lsn: int) -> None:
        self.core.synced(lsn)
        self.turn()

    def _sync_failed(self, why: str) -> None:
        self.on_trouble(why)
        self.core.sync_failed(why)
        self.turn()

    def heal(self) -> None:
        """Try to write again what is not known durable, when the log takes no records."""
        if not self.core.read_only or self.disk.busy:
            return
        log = self.core.context.log
        self.disk.reopen(
            log.durable, log.ring.since(log.durable + 1), self._healed, self._not_healed
        )

    def _healed(self) -> None:
        self.core.healed()
        self.on_trouble("")
        self.turn()

    def _not_healed(self, why: str) -> None:
        self.core.context.trouble = why

    def tick(self) -> None:
        """To be called each TICK_S: timeouts, timers that are due."""
        self.core.at(self.clock.now_us())
        self.core.tick(self.executing())
        self.turn()
