"""The core of the supervisor: events in, answers, frames and actions out. Pure.

One turn of whoever drives it:

    core.at(log time)
    core.call(...), core.responses(...), core.died(...), ...     what has happened
    while records := core.turn():                                what has to be appended, in order
        append them with one write, then core.written(), or core.cut_short(whole, why)
    take core.out.actions, then each brain's frames, then core.out.answers

It has no clock, no randomness and no I/O; the same object runs the service and the simulator.
docs/adr and ARCHITECTURE.md say why; the folder's other modules say how.
"""

from osupervisor.supervisor.core import (
    admission,
    appending,
    deaths,
    execution,
    following,
    reads,
    upkeep,
)
from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.context import Context, Limits, Mode
from osupervisor.supervisor.core.fold import Fold
from osupervisor.supervisor.core.lease import Brain, Delivery
from osupervisor.supervisor.core.log_tail import LogTail
from osupervisor.supervisor.core.outbox import Outbox
from osupervisor.supervisor.core.queue import CallQueue
from osupervisor.supervisor.core.response import Response


class Core:
    """Order, lease, epochs, in-flight table, idempotency, redelivery, fencing, acknowledgement."""

    __slots__ = ("context",)

    def __init__(
        self,
        fold: Fold,
        *,
        always: bool,
        boot: int,
        seed: int,
        limits: Limits,
        ring_bytes_max: int,
        since_control: int,
        newest: list[bytes],
    ) -> None:
        """`fold`: what the log says, all of which must be durable (reopen). `boot`: a number that
        no other start has; `seed`: from which the requests' seeds are counted on; `newest`: the
        log's last records, for followers that lack no more than those."""
        self.context = Context(
            limits=limits,
            fold=fold,
            log=LogTail(
                fold.lsn, always, ring_bytes_max, since_control, newest, limits.control_bytes_min
            ),
            queue=CallQueue(limits.queue_max, limits.queue_bytes_max),
            boot=boot,
            seed=seed,
            now_us=fold.t_us,
        )
        appending.healed(self.context)

    @property
    def out(self) -> Outbox:
        return self.context.out

    @property
    def brains(self) -> dict[int, Brain]:
        return self.context.brains

    @property
    def primary(self) -> Brain | None:
        return self.context.lease.primary

    def at(self, now_us: int) -> None:
        """Log time goes on; it never goes back."""
        if now_us > self.context.now_us:
            self.context.now_us = now_us

    # --- clients

    def call(self, call: Call) -> None:
        """A client's call, with its one waiter. An empty `key_bytes` means that it has no key."""
        if not call.key_bytes:
            admission.name(self.context, call)
        admission.admit(self.context, call)

    # --- brains

    def ready(
        self,
        brain: int,
        lsn: int,
        epoch: int,
        *,
        version: str,
        abilities: frozenset[str],
        queries: frozenset[str],
        safe: bool = False,
    ) -> None:
        """A brain has the state at `lsn`, whose record stands in `epoch`."""
        new = Brain(brain, version, abilities, queries, safe, lsn)
        view = self.context.brains.get(brain) or new
        following.ready(self.context, view, lsn, epoch)

    def responses(self, brain: int, responses: list[Response]) -> None:
        """The primary's next responses to deliveries, in order."""
        view = self.context.brains.get(brain)
        if view is not None:
            execution.receive(self.context, view, responses)

    def read_done(self, brain: int, message_id: int, outcome: bytes) -> None:
        """A follower's answer to a query."""
        view = self.context.brains.get(brain)
        if view is not None:
            reads.done(self.context, view, message_id, outcome)

    def fenced(self, brain: int, lsn: int) -> None:
        """A former primary undid what was not confirmed, and is at `lsn`."""
        view = self.context.brains.get(brain)
        if view is not None:
            following.fenced(self.context, view, lsn)

    def died(
        self, brain: int, cell: int | None, *, blame: bool = True, hung: Delivery | None = None
    ) -> None:
        """A brain's process has ended and its port was read to the end. See deaths.died."""
        view = self.context.brains.get(brain)
        if view is not None:
            deaths.died(self.context, view, cell, blame=blame, hung=hung)

    def halted(self, brain: int) -> None:
        """The same, of one that was ended because it was stopped, or gave no sign of life. See
        deaths.halted."""
        view = self.context.brains.get(brain)
        if view is not None:
            deaths.halted(self.context, view)

    def outgrew(self, brain: int, cell: int, within_n: int) -> None:
        """The same, of one that was ended because it took more memory than it may. See
        deaths.outgrew."""
        view = self.context.brains.get(brain)
        if view is not None:
            deaths.outgrew(self.context, view, cell, within_n)

    def lagging(self, brain: int) -> None:
        """Too much waits to be sent to this brain: a follower gets no more for now."""
        view = self.context.brains.get(brain)
        if view is not None:
            following.lagging(view)

    def drained(self, brain: int) -> None:
        """A lagging follower was sent all that waited: let it catch up."""
        view = self.context.brains.get(brain)
        if view is not None:
            following.drained(self.context, view)

    def overdue(self, brain: int, cell: int, running_us: int) -> Call | None:
        """The call that this brain has executed for too long, if it has."""
        return deaths.overdue(self.context, brain, cell, running_us)

    def owed(self, brain: int, cell: int) -> Delivery | None:
        """The answer that this brain owes, while its cell makes no sense. See deaths.owed."""
        return deaths.owed(self.context, brain, cell)

    # --- the log

    def turn(self) -> list[bytes]:
        """Do what can be done, and return the records to append with one write; none: the turn is
        over."""
        upkeep.pump(self.context)
        return self.context.log.records()

    def written(self) -> None:
        """What `turn` returned is in the log."""
        appending.written(self.context)

    def cut_short(self, whole: int, trouble: str) -> None:
        """Of what `turn` returned the first `whole` records are in the log, and nothing else."""
        appending.cut_short(self.context, whole, trouble)

    def synced(self, lsn: int) -> None:
        appending.synced(self.context, lsn)

    def sync_failed(self, trouble: str) -> None:
        appending.sync_failed(self.context, trouble)

    def healed(self) -> None:
        """Reopened: every retained record was written again and is durable."""
        appending.healed(self.context)

    # --- time and house-keeping

    def tick(self, executing: int) -> None:
        """To be called about ten times a second. `executing`: the n that the primary runs, or 0."""
        upkeep.expire(self.context, executing)
        following.check_fences(self.context)
        reads.check(self.context)
        self.context.lease.confirm()

    def give_up(self, reason: str) -> None:
        """No brain will start: refuse what needs one, until one holds the lease after all."""
        upkeep.give_up(self.context, reason)

    def retire(self) -> None:
        """Grant no lease from now on: the brains are about to be ended."""
        self.context.retired = True

    def want_checkpoint(self) -> None:
        """Have one written as soon as somebody can."""
        self.context.checkpoint_wanted = True

    def want_fork(self, brain: int) -> bool:
        """Have a follower with this id forked from a living brain, unless another is to be
        already. False: there is none to fork."""
        return upkeep.want_fork(self.context, brain)

    @property
    def read_only(self) -> bool:
        return self.context.mode is Mode.READONLY
