"""The core's whole state, in one place, and the few moves that all its parts share. Pure."""

import enum
from collections import deque
from dataclasses import dataclass, field
from heapq import heapify
from typing import Final

from osupervisor.bridge.port_messages import DELIVERIES_MAX, request_bytes
from osupervisor.supervisor.core import outcome as outcomes
from osupervisor.supervisor.core.call import Call, Waiter
from osupervisor.supervisor.core.fold import Fold
from osupervisor.supervisor.core.key import Key, PendingKey
from osupervisor.supervisor.core.lease import Brain, Lease
from osupervisor.supervisor.core.log_tail import Entry, LogTail, Parked
from osupervisor.supervisor.core.outbox import AnswerFromLog, Outbox
from osupervisor.supervisor.core.pending import Pending
from osupervisor.supervisor.core.queue import CallQueue
from osupervisor.wal import record as records
from osupervisor.wal.record import Kind

_SEED_STEP: Final = 0x1E3779B97F4A7C15
_SEEDS: Final = 2**61 - 1
"""Of 61 bits, so that a sum of two is no large number to a compiled module."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of the core; config/default.toml says why."""

    window: int = 256
    """W: calls delivered and unlogged."""
    window_bytes_max: int = 32 * 2**20
    """Bytes of their requests, beyond which no more is delivered: W of 16 MiB would be 4 GiB."""
    deliveries_max: int = DELIVERIES_MAX
    """Under one lease; behind the last the holder is fenced, and the next lease counts anew."""
    queue_max: int = 10_000
    queue_bytes_max: int = 64 * 2**20
    op_timeout_us: int = 30_000_000
    wait_timeout_us: int = 60_000_000
    pending_max: int = 100_000
    pending_bytes_max: int = 16 * 2**20
    """With everything else that a control record holds this stays below what a record may have."""
    strikes_max: int = 3
    copies_max: int = 64
    """How many copies of one call wait for it: a client may reconnect again and again."""
    control_bytes_min: int = 4 * 2**20
    """So much of the log lies between two control records that no checkpoint asked for."""
    checkpoint_level: int = 3
    """zstd."""


class Mode(enum.Enum):
    NORMAL = "normal"
    READONLY = "readonly"


@dataclass(slots=True)
class Context:
    """What the parts of the core work on. One owner, no locks."""

    limits: Limits
    fold: Fold
    log: LogTail
    queue: CallQueue
    boot: int
    seed: int
    lease: Lease = field(default_factory=Lease)
    brains: dict[int, Brain] = field(default_factory=dict[int, Brain])
    live: dict[Key, Call] = field(default_factory=dict[Key, Call])
    """Calls by key from admission until they are in the fold."""
    out: Outbox = field(default_factory=Outbox)
    now_us: int = 0
    mode: Mode = Mode.NORMAL
    trouble: str = ""
    """Why the mode is `readonly`."""
    arrivals: int = 0
    timers: list[tuple[int, PendingKey]] = field(default_factory=list[tuple[int, PendingKey]])
    """A heap of what is due when; what has left `pending` meanwhile is skipped."""
    on_way: set[PendingKey] = field(default_factory=set[PendingKey])
    unshown: deque[tuple[PendingKey, Pending]] = field(
        default_factory=deque[tuple[PendingKey, Pending]]
    )
    """Casts and timers whose commit is not acknowledged yet, in LSN order."""
    promised: int = 0
    """Casts and timers that the batch's commits ask for: they are not in the fold yet."""
    promised_bytes: int = 0
    reads: int = 0
    """Queries handed to brains without a lease, so far."""
    helpless: str = ""
    """Why no brain can hold the lease; empty while one does, or may soon."""
    retired: bool = False
    """No lease is granted any more: the brains are about to be ended."""
    hold: bool = False
    """Deliver nothing: the primary is to be idle for a fork or a checkpoint."""
    checkpoint_wanted: bool = False
    fork_wanted: int = 0
    """Id of the follower that is to be forked from a living brain; 0: none. One at a time."""

    def next_seed(self) -> int:
        self.seed = (self.seed + _SEED_STEP) & _SEEDS
        return self.seed

    def fix_request(self, call: Call) -> None:
        """Fix the call's time and seed: at its first delivery, or at a verdict before it."""
        if not call.request:
            if call.method == "state":
                call.request = call.params
            else:
                call.request = request_bytes(call.params, self.now_us, self.next_seed())

    def add_record(
        self,
        kind: Kind,
        key: bytes = b"",
        request: bytes = b"",
        commit: bytes = b"",
        *,
        epoch: int | None = None,
        call: Call | None = None,
        outcome: bytes = b"",
        effects: bytes = b"",
        checkpoint: bool = False,
    ) -> int:
        """Put a record into the batch. Returns its LSN."""
        log = self.log
        lsn = log.next_lsn
        at = self.fold.epoch if epoch is None else epoch
        data = records.encode(lsn, at, kind, self.now_us, log.durable, key, request, commit)
        log.add(Entry(kind, data, lsn, at, self.now_us, call, outcome, effects, checkpoint))
        return lsn

    def answer(self, call: Call, outcome: bytes) -> None:
        """Answer everybody who waits for the call, and forget them."""
        answers = self.out.answers
        for waiter in call.waiters:
            answers.append((waiter, outcome))
        call.waiters.clear()

    def finish(self, call: Call, lsn: int, outcome: bytes) -> None:
        """The call has its outcome, which rests on the record `lsn`: it is no longer on its way,
        and everybody is answered who may know that record."""
        self.leave(call)
        log = self.log
        ack, durable = log.ack, log.durable
        answers = self.out.answers
        for waiter in call.waiters:
            if lsn > (durable if waiter.durable else ack):
                self._park(call, waiter, lsn, outcome)
            else:
                answers.append((waiter, outcome))
        call.waiters = []

    def show(self, call: Call, lsn: int, outcome: bytes | None) -> None:
        """Answer a new copy of a call with what stands at `lsn`, as soon as it may know it.

        None for the outcome: it is read from the log.
        """
        log = self.log
        for waiter in call.waiters:
            if lsn <= (log.durable if waiter.durable else log.ack):
                self.answer_from(waiter, lsn, outcome)
            elif len(log.parked) < self.queue.calls_max:
                self._park(call, waiter, lsn, outcome)
            else:
                self.out.answers.append((waiter, outcomes.not_durable(call.op)))

    def _park(self, call: Call, waiter: Waiter, lsn: int, outcome: bytes | None) -> None:
        waiter.until_us = waiter.until_us or call.waits_until_us(self.limits.wait_timeout_us)
        self.log.park(Parked(lsn, waiter, outcome, call.op))

    def answer_from(self, waiter: Waiter, lsn: int, outcome: bytes | None) -> None:
        if outcome is None:
            self.out.actions.append(AnswerFromLog(waiter, lsn))
        else:
            self.out.answers.append((waiter, outcome))

    def leave(self, call: Call) -> None:
        """The call is no longer on its way."""
        self.live.pop(call.key, None)
        key = call.key
        if type(key) is tuple and len(key) == 3:
            self.on_way.discard(key)

    def refuse_read_only(self, call: Call) -> None:
        """Refuse a call of which the log holds nothing. A cast or timer stays pending."""
        self.leave(call)
        self.answer(call, outcomes.read_only(self.trouble))

    def refuse_helpless(self, call: Call) -> None:
        """The same, for want of a brain that could execute it."""
        self.leave(call)
        self.answer(call, outcomes.helpless(self.helpless))

    def plan_timers(self) -> None:
        """Put all that is pending and not on its way onto the heap, anew."""
        self.timers = [
            (pending.due_us, key)
            for key, pending in self.fold.pending.items()
            if key not in self.on_way
        ]
        heapify(self.timers)

    def put_back(self, calls: list[Call]) -> None:
        """To the head of the queue, in order; what nobody wants any more is dropped."""
        for call in calls:
            if call.is_unwanted:
                self.leave(call)
        self.queue.put_back([call for call in calls if not call.is_unwanted])

    def promise(self, asked: list[tuple[PendingKey, Pending]]) -> bool:
        """Make room in `pending` for what a commit asks for. False: it is too much."""
        count = self.promised + len(asked)
        size = self.promised_bytes + sum(len(pending.call) for _, pending in asked)
        fold, limits = self.fold, self.limits
        if (
            len(fold.pending) + count > limits.pending_max
            or fold.pending_bytes + size > limits.pending_bytes_max
        ):
            return False
        self.promised, self.promised_bytes = count, size
        return True

    @property
    def is_pending_full(self) -> bool:
        """Whether clients are refused, so that what is in flight finds room for what it asks."""
        fold, limits = self.fold, self.limits
        return (
            len(fold.pending) * 8 >= limits.pending_max * 7
            or fold.pending_bytes * 8 >= limits.pending_bytes_max * 7
        )
