"""Final answers that no execution gave: records of the kind `verdict`. Pure.

Quarantined   too many brains died while they executed it; a dead letter is kept
Timeout       a brain was killed because it executed it for too long
OpFailed      it asked for more casts and timers than may be pending
"""

from typing import Final

from osupervisor.supervisor.core import outcome as outcomes
from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.context import Context
from osupervisor.supervisor.core.outbox import KeepDeadLetter
from osupervisor.wal.record import Kind

_NO_TAIL: Final = bytes(18)
"""In place of the time and seed of a request: a read of the state has none."""


def quarantine(context: Context, call: Call) -> None:
    """The final answer to a request that killed too many brains."""
    strikes = max(context.fold.strikes.get(call.key, 0), context.limits.strikes_max)
    outcome = outcomes.quarantined(call.op, strikes)
    context.out.actions.append(KeepDeadLetter(call.key, call.op, call.request, outcome))
    _give(context, call, outcome)


def time_out(context: Context, call: Call) -> None:
    """The final answer to a request that ran for too long."""
    limit_us = call.timeout_us or context.limits.op_timeout_us
    _give(context, call, outcomes.timeout_hung(call.op, limit_us))


def refuse_effects(context: Context, call: Call, asked: int) -> None:
    """The final answer to a request that asked for `asked` casts and timers too many."""
    _give(context, call, outcomes.too_much_pending(call.op, asked, len(context.fold.pending)))


def _give(context: Context, call: Call, outcome: bytes) -> None:
    request = call.request if call.method == "call" else b"\x91" + call.request + _NO_TAIL
    commit = outcomes.as_commit(outcome)
    context.add_record(Kind.VERDICT, call.key_bytes, request, commit, call=call, outcome=outcome)
