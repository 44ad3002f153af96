"""The primary's side of a brain: calls executed strictly in order, each undoable until confirmed.

    lease      n = 0, nothing unconfirmed
    call       n + 1; executed on the uncommitted state of the one before it; its undo is kept
    confirm    logged up to n: those undos are forgotten
    fence      undo all unconfirmed, newest first; drop what was not sent; follow at the last LSN

The cell holds n while n executes: that is how a death is blamed. Anything out of order is a bug of
the peer: PortError, and the process must end.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]

from osupervisor.brain import failure
from osupervisor.brain.errors import PortError
from osupervisor.brain.executor import Executed, Executor
from osupervisor.brain.port import FLUSH_BYTES, FLUSH_RESPONSES, Port, Undecodable
from osupervisor.vault_store.hot import HotWriter

BIN8 = [b"\xc4" + bytes((size,)) for size in range(256)]
EMPTY_ARRAY_BIN = b"\xc4\x01\x90"

_pack = msgpack.packb


class Lease:
    """Holds the right to execute, for `epoch`, from the moment it is made until `fence`."""

    def __init__(self, executor: Executor, hot: HotWriter, epoch: int) -> None:
        self.epoch = epoch
        self.n = 0
        self._executor = executor
        self._execute: Callable[[Any, Any], Executed] = executor.execute
        self._hot = hot
        self._undos: deque[tuple[int, Any]] = deque()
        self._packed_epoch = _pack(epoch)

    @property
    def unconfirmed(self) -> int:
        """Executions whose undo is kept."""
        return len(self._undos)

    def call(self, port: Port, n: int, params: Any) -> None:
        """Execute request `n` and queue its response; flushes when enough is queued."""
        epoch, key, request = params
        if epoch != self.epoch or n != self.n + 1:
            raise self._out_of_order(epoch, n)
        self.n = n
        self._hot.enter(n)
        outcome, ops, effects, undo = self._execute(key, request)
        self._hot.leave()
        if ops is None:
            self._respond(port, n, outcome)
            return
        if undo is not None:
            self._undos.append((n, undo))
        self._respond(port, n, outcome, ops, effects)

    def state(self, port: Port, n: int, params: Any) -> None:
        """Answer a read of the state at a path; it takes an n as a query does."""
        epoch, path = params
        if epoch != self.epoch or n != self.n + 1:
            raise self._out_of_order(epoch, n)
        self.n = n
        self._respond(port, n, self._executor.state(path))

    def refuse(self, port: Port, found: Undecodable) -> None:
        """Answer a request that can't be decoded."""
        if found.epoch != self.epoch or found.n != self.n + 1:
            raise self._out_of_order(found.epoch, found.n)
        self.n = found.n
        outcome = failure.undecodable(found.reason)
        if found.method == "call":
            self._respond(port, found.n, outcome, b"\x90", b"\x90")
        else:
            self._respond(port, found.n, outcome)

    def confirm(self, n: int) -> None:
        """Everything up to `n` is in the log: it can't be undone any more."""
        if n > self.n:
            raise PortError(f"confirm of {n}, and only {self.n} were executed")
        undos = self._undos
        while undos and undos[0][0] <= n:
            undos.popleft()

    def fence(self) -> None:
        """Undo all that was not confirmed, newest first."""
        undos = [undo for _n, undo in reversed(self._undos)]
        self._undos.clear()
        self._executor.tree.rollback_all(undos)

    def _respond(self, port: Port, n: int, *parts: bytes) -> None:
        """Queue `[1, n, nil, [epoch, part, ...]]`, the parts as bins."""
        size = 13 + len(self._packed_epoch)
        bins: list[bytes] = []
        for part in parts:
            length = len(part)
            head = BIN8[length] if length < 256 else _bin_header(length)
            bins += (head, part)
            size += len(head) + length
        port.parts.append(
            size.to_bytes(4, "big")
            + b"\x94\x01\xcf"
            + n.to_bytes(8, "big")
            + (b"\xc0\x92" if len(parts) == 1 else b"\xc0\x94")
            + self._packed_epoch
        )
        port.parts += bins
        port.responses += 1
        port.queued_bytes += size
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
