"""The primary's side of a brain: calls executed strictly in order, each undoable until confirmed.

    lease      n = 0, nothing unconfirmed
    call       n + 1; executed on the uncommitted state of the one before it; its undo is kept
    confirm    logged up to n: those undos are forgotten
    fence      undo all unconfirmed, newest first; drop what was not sent; follow at the last LSN

The cell holds n while n executes: that is how a death is blamed. Anything out of order is a bug of
the peer: PortError, and the process must end. `call` is the hot path of the whole brain.

    response   [1, n, nil, [epoch, outcome, ops, effects]], the last three as bin; a query has one
"""

import struct
from typing import Any, Final

from osupervisor.brain import failure
from osupervisor.brain.errors import PortError
from osupervisor.brain.executor import NO_OPS, Executor
from osupervisor.brain.packing import NO_EFFECTS, encode
from osupervisor.brain.port import FLUSH_BYTES, FLUSH_RESPONSES, Port, Undecodable
from osupervisor.vault_store.hot import HotWriter

_BIN8: Final = [b"\xc4" + bytes((size,)) for size in range(256)]
_NO_EFFECTS_BIN: Final = b"\xc4\x01" + NO_EFFECTS
_RESPONSE: Final = b"\x94\x01\xcf"


class Lease:
    """Holds the right to execute, for `epoch`, from the moment it is made until `fence`."""

    __slots__ = (
        "_base",
        "_executor",
        "_head_size",
        "_hot",
        "_op_head",
        "_pack_head",
        "_query_head",
        "_undos",
        "epoch",
        "n",
    )

    def __init__(self, executor: Executor, hot: HotWriter, epoch: int) -> None:
        self.epoch = epoch
        self.n = 0
        self._executor = executor
        self._hot = hot
        self._undos: list[Any] = []
        """What undoes n = `_base` + 1, + 2 ...; None where nothing is to be undone."""
        self._base = 0
        packed = encode(epoch)
        self._op_head = b"\xc0\x94" + packed
        self._query_head = b"\xc0\x92" + packed
        layout = struct.Struct(f">I3sQ{len(self._op_head)}s")
        self._pack_head = layout.pack
        self._head_size = layout.size - 4

    @property
    def unconfirmed(self) -> int:
        """Executions that changed the state and can still be undone."""
        return sum(undo is not None for undo in self._undos)

    @property
    def remembered(self) -> int:
        """Executions of which it is kept what undoes them, or that nothing does."""
        return len(self._undos)

    def call(self, port: Port, n: int, params: list[Any]) -> None:
        """Execute request `n` and queue its response; flushes when enough is queued."""
        epoch: int
        epoch, key, request = params
        if epoch != self.epoch or n != self.n + 1:
            raise self._out_of_order(epoch, n)
        self.n = n
        self._hot.enter(n)
        outcome, ops, effects, undo = self._executor.execute(key, request)
        self._hot.leave()
        undos = self._undos
        if undos or undo is not None:
            undos.append(undo)
        else:
            self._base = n
        if ops is None:
            self._respond(port, n, self._query_head, outcome)
            return
        outcome_size, ops_size = len(outcome), len(ops)
        if outcome_size > 255 or ops_size > 255 or effects is not NO_EFFECTS:
            self._respond(port, n, self._op_head, outcome, ops, effects)
            return
        size = self._head_size + outcome_size + ops_size + 7
        port.parts += (
            self._pack_head(size, _RESPONSE, n, self._op_head),
            _BIN8[outcome_size],
            outcome,
            _BIN8[ops_size],
            ops,
            _NO_EFFECTS_BIN,
        )
        port.responses += 1
        if port.responses >= FLUSH_RESPONSES:
            port.flush()

    def state(self, port: Port, n: int, params: Any) -> None:
        """Answer a read of the state at a path; it takes an n as a query does, and stands in the
        cell as well: all of a large state takes seconds, and much memory."""
        epoch, path = params
        self._take_number(epoch, n)
        self._hot.enter(n)
        outcome = self._executor.state(path)
        self._hot.leave()
        self._respond(port, n, self._query_head, outcome)

    def refuse(self, port: Port, n: int, found: Undecodable) -> None:
        """Answer a request that can't be decoded."""
        self._take_number(found.epoch, n)
        outcome = failure.undecodable(found.reason)
        if found.method == "call":
            self._respond(port, n, self._op_head, outcome, NO_OPS, NO_EFFECTS)
        else:
            self._respond(port, n, self._query_head, outcome)

    def confirm(self, n: int) -> None:
        """Everything up to `n` is in the log: it can't be undone any more."""
        if n > self.n:
            raise PortError(f"confirm of {n}, and only {self.n} were executed")
        if n > self._base:
            undos = self._undos
            count = n - self._base
            while count < len(undos) and undos[count] is None:
                count += 1
            del undos[:count]
            self._base += count

    def fence(self) -> None:
        """Undo all that was not confirmed, newest first."""
        undos = [undo for undo in self._undos if undo is not None]
        undos.reverse()
        self._undos.clear()
        self._base = self.n
        if undos:
            self._executor.tree.rollback_all(undos)

    def _take_number(self, epoch: int, n: int) -> None:
        if epoch != self.epoch or n != self.n + 1:
            raise self._out_of_order(epoch, n)
        self.n = n
        if self._undos:
            self._undos.append(None)
        else:
            self._base = n

    def _respond(self, port: Port, n: int, head: bytes, *parts: bytes) -> None:
        """Queue a response with parts of any size."""
        size = self._head_size
        bins: list[bytes] = []
        for part in parts:
            length = len(part)
            bin_head = _BIN8[length] if length < 256 else _bin_header(length)
            bins += (bin_head, part)
            size += len(bin_head) + length
        port.parts.append(self._pack_head(size, _RESPONSE, n, head))
        port.parts += bins
        port.queued_bytes += size
        port.responses += 1
        if port.responses >= FLUSH_RESPONSES or port.queued_bytes >= FLUSH_BYTES:
            port.flush()

    def _out_of_order(self, epoch: int, n: int) -> PortError:
        return PortError(
            f"found request {n} of epoch {epoch}, wanted {self.n + 1} of epoch {self.epoch}"
        )


def _bin_header(length: int) -> bytes:
    if length < 65_536:
        return b"\xc5" + length.to_bytes(2, "big")
    return b"\xc6" + length.to_bytes(4, "big")
