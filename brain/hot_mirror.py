"""Keeps the counters of `hot` in shared memory equal to those of the state.

The state is the truth; the mirror runs with the executions, ahead of the log by what is in flight,
and is written anew at each lease and each fence. A counter that the segment can't take is refused
by the state already, so that an error here is a bug.
"""

from typing import Any

import msgpack  # type: ignore[import-untyped]

from osupervisor.brain.state import StateTree
from osupervisor.vault_store.errors import CounterTableError
from osupervisor.vault_store.hot import HotWriter


class HotMirror:
    """Writes `tree.hot` to the segment of `writer`."""

    def __init__(self, tree: StateTree, writer: HotWriter) -> None:
        self.tree = tree
        self.writer = writer

    def update(self, ops: bytes) -> None:
        """After an execution with `ops`: write the counters that they name."""
        hot = self.tree.hot
        for operation in msgpack.unpackb(ops, strict_map_key=False):
            path: list[Any] = operation[1]
            if path[0] != "hot":
                continue
            if len(path) < 2:
                self.replace()
                return
            value = hot.get(path[1])
            if value is None:
                self.writer.delete(path[1])
            else:
                self._set(path[1], value)

    def replace(self) -> None:
        """Write all of them, and nothing else: at a lease, and after an undo."""
        try:
            self.writer.replace(dict(self.tree.hot))
        except CounterTableError:
            for name, value in self.tree.hot.items():
                self._set(name, value)

    def _set(self, name: str, value: Any) -> None:
        try:
            self.writer.set(name, value)
        except CounterTableError:
            self.writer.delete(name)
