"""Bugs to plant in the core, each one a rule of CORE.md left out: the simulation must find them."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from osupervisor.supervisor.core import (
    admission,
    appending,
    deaths,
    execution,
    reads,
    upkeep,
)
from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.context import Context
from osupervisor.supervisor.core.done import ClientWindow, Done, DoneTable
from osupervisor.supervisor.core.fold import Fold
from osupervisor.supervisor.core.key import Key, is_client_key
from osupervisor.supervisor.core.lease import Brain, Delivery, Lease, LeaseState
from osupervisor.supervisor.core.log_tail import Entry, LogTail
from osupervisor.wal.record import Kind


def _answers_before_the_sync() -> Any:
    return patch.object(LogTail, "ack", property(lambda self: self.last))


def _shows_recovered_bytes_at_once() -> Any:
    def show(self: Context, call: Call, lsn: int, outcome: bytes | None) -> None:
        for waiter in call.waiters:
            self.answer_from(waiter, lsn, outcome)

    return patch.object(Context, "show", show)


def _answers_queries_before_what_they_read() -> Any:
    def at_once(context: Context, call: Call, epoch: int, outcome: bytes) -> None:
        context.leave(call)
        context.answer(call, outcome)

    return patch.object(execution, "_receive_query", at_once)


def _forgets_to_end_a_cast() -> Any:
    def verdict(
        self: Fold, lsn: int, t_us: int, key: Key, seen: int, crc: int, outcome: bytes
    ) -> None:
        self.lsn, self.t_us = lsn, t_us
        self.strikes.pop(key, None)
        if isinstance(key, str) or is_client_key(key):
            self.done.put(key, seen, lsn, t_us, crc, outcome)

    return patch.object(Fold, "verdict", verdict)


def _takes_what_lies_below_seen() -> Any:
    admit = admission.admit

    def careless(context: Context, call: Call) -> None:
        key = call.key
        window = context.fold.done.clients.get(key[0]) if is_client_key(key) else None
        seen = window.seen if window is not None else 0
        if window is not None:
            window.seen = 0
        try:
            admit(context, call)
        finally:
            if window is not None:
                window.seen = seen

    return patch.object(admission, "admit", careless)


def _denies_what_a_short_write_left() -> Any:
    cut_short: Callable[[Context, int, str], None] = appending.cut_short

    def denying(context: Context, whole: int, trouble: str) -> None:
        cut_short(context, 0, trouble)

    return patch.object(appending, "cut_short", denying)


def _blames_the_first_in_flight() -> Any:
    def first(calls: list[Call], cell: int | None) -> Call | None:
        return calls[0] if calls and cell else None

    return patch.object(deaths, "_suspect", first)


def _runs_a_copy_beside_the_first() -> Any:
    def enter_too(context: Context, first: Call, copy: Call) -> None:
        admission._enter(context, copy)  # pyright: ignore[reportPrivateUsage]

    return patch.object(admission, "_join", enter_too)


def _folds_by_the_clock() -> Any:
    settle = appending._settle  # pyright: ignore[reportPrivateUsage]

    def by_the_clock(context: Context, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.kind is Kind.COMMIT:
                entry.t_us = context.now_us
        settle(context, entries)

    return patch.object(appending, "_settle", by_the_clock)


def _forgets_a_client_too_early() -> Any:
    def put(
        self: DoneTable, key: Any, seen: int, lsn: int, t_us: int, crc: int, outcome: bytes
    ) -> None:
        known = self.clients.get(key[0])
        self.entries += 1 - (0 if known is None else len(known.done))
        done = {key[1]: Done(lsn, crc, outcome)}
        self.clients[key[0]] = ClientWindow(seen, t_us, done)

    return patch.object(DoneTable, "put_client", put)


def _grants_to_two() -> Any:
    grant = execution.grant

    def twice(context: Context) -> None:
        before = context.lease.state
        grant(context)
        if before is LeaseState.VACANT and context.lease.state is LeaseState.GRANTING:
            context.lease.state = LeaseState.VACANT
            context.lease.epoch -= 1
            grant(context)

    return patch.object(execution, "grant", twice)


def _forgets_that_it_forgot() -> Any:
    def never(self: DoneTable, client: bytes | str, seen: int, now_us: int) -> bool:
        return False

    return patch.object(DoneTable, "may_be_forgotten", never)


def _disowns_without_blame(when: Callable[[Call | None], bool]) -> Any:
    disown = deaths.disown

    def blameless(context: Context, brain: Brain, reason: str, blamed: Call | None = None) -> None:
        if not when(blamed):
            disown(context, brain, reason, blamed)
            return
        before = [(call, call.deaths) for call in context.lease.inflight if not call.is_alone]
        disown(context, brain, reason)
        for call, count in before:
            call.deaths = count

    return patch.object(deaths, "disown", blameless)


def _blames_nobody_for_nonsense() -> Any:
    return _disowns_without_blame(lambda blamed: blamed is not None)


def _blames_nobody_for_misspeaking() -> Any:
    return _disowns_without_blame(lambda blamed: blamed is None)


def _lets_copies_share_one_time() -> Any:
    join = admission._join  # pyright: ignore[reportPrivateUsage]

    def share(context: Context, first: Call, copy: Call) -> None:
        join(context, first, copy)
        for waiter in first.waiters:
            waiter.until_us = 0

    return patch.object(admission, "_join", share)


def _lets_anything_be_pending() -> Any:
    def promise(self: Context, asked: list[Any]) -> bool:
        return True

    return patch.object(Context, "promise", promise)


def _lets_timers_pile_up() -> Any:
    healed = appending.healed

    def pile(context: Context) -> None:
        before = context.timers
        healed(context)
        context.timers = sorted(before + context.timers)

    return patch.object(appending, "healed", pile)


def _takes_a_busy_primary_for_idle() -> Any:
    def idle(context: Context) -> bool:
        return context.lease.primary is not None

    return patch.object(upkeep, "_idle", idle)


def _confirms_what_was_only_delivered() -> Any:
    confirm = Lease.confirm

    def too_much(self: Lease) -> None:
        if self.unconfirmed_lsn:
            self.written_n = self.n
        confirm(self)

    return patch.object(Lease, "confirm", too_much)


def _waits_for_no_hung_read() -> Any:
    def look_away(context: Context) -> None:
        return

    return patch.object(reads, "check", look_away)


def _never_ends_a_lease() -> Any:
    def renew(context: Context) -> None:
        return

    return patch.object(execution, "renew", renew)


def _counts_anew_under_the_same_lease() -> Any:
    def renew(context: Context) -> None:
        lease = context.lease
        if lease.n >= context.limits.deliveries_max and not lease.inflight:
            lease.n = lease.written_n = lease.confirmed_n = 0

    return patch.object(execution, "renew", renew)


def _delivers_suspects_together() -> Any:
    return patch.object(Call, "is_alone", property(lambda self: False))


def _blames_nobody_for_memory() -> Any:
    outgrew = deaths.outgrew

    def blameless(context: Context, brain: Brain, cell: int, within_n: int) -> None:
        outgrew(context, brain, cell, 0)

    return patch.object(deaths, "outgrew", blameless)


def _blames_whoever_executes_for_memory() -> Any:
    def blaming(context: Context, brain: Brain, cell: int, within_n: int) -> None:
        deaths.died(context, brain, cell, blame=True, hung=None)

    return patch.object(deaths, "outgrew", blaming)


def _blames_nobody_for_stopping() -> Any:
    def blameless(context: Context, brain: Brain) -> None:
        deaths.died(context, brain, 0, blame=False, hung=None)

    return patch.object(deaths, "halted", blameless)


def _blames_for_time_by_the_cell() -> Any:
    died = deaths.died

    def by_the_cell(
        context: Context, brain: Brain, cell: int | None, *, blame: bool, hung: Delivery | None
    ) -> None:
        at_it = hung if hung is not None and hung[1] == cell else None
        died(context, brain, cell, blame=blame, hung=at_it)

    return patch.object(deaths, "died", by_the_cell)


PLANTS: dict[str, Callable[[], Any]] = {
    "answers before the sync": _answers_before_the_sync,
    "shows recovered bytes at once": _shows_recovered_bytes_at_once,
    "answers queries before what they read": _answers_queries_before_what_they_read,
    "forgets to end a cast": _forgets_to_end_a_cast,
    "takes what lies below seen": _takes_what_lies_below_seen,
    "denies what a short write left": _denies_what_a_short_write_left,
    "blames the first in flight": _blames_the_first_in_flight,
    "runs a copy beside the first": _runs_a_copy_beside_the_first,
    "folds by the clock": _folds_by_the_clock,
    "forgets a client too early": _forgets_a_client_too_early,
    "grants to two": _grants_to_two,
    "forgets that it forgot": _forgets_that_it_forgot,
    "blames nobody for nonsense": _blames_nobody_for_nonsense,
    "blames nobody for misspeaking": _blames_nobody_for_misspeaking,
    "lets copies share one time": _lets_copies_share_one_time,
    "lets anything be pending": _lets_anything_be_pending,
    "lets timers pile up": _lets_timers_pile_up,
    "takes a busy primary for idle": _takes_a_busy_primary_for_idle,
    "confirms what was only delivered": _confirms_what_was_only_delivered,
    "lets a read hang": _waits_for_no_hung_read,
    "blames for time by the cell": _blames_for_time_by_the_cell,
    "delivers suspects together": _delivers_suspects_together,
    "blames nobody for stopping": _blames_nobody_for_stopping,
    "blames nobody for memory": _blames_nobody_for_memory,
    "blames whoever executes for memory": _blames_whoever_executes_for_memory,
    "never ends a lease": _never_ends_a_lease,
    "counts anew under the same lease": _counts_anew_under_the_same_lease,
}


@contextmanager
def planted(name: str) -> Generator[None]:
    with PLANTS[name]():
        yield
