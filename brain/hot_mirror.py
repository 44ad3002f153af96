"""Keeps the counters of `hot` in shared memory equal to those of the state.

The state is the truth; the mirror runs with the executions, ahead of the log by what is in flight,
and is written anew at each lease and each fence. The state refuses what the segment can't take;
where an older version of the code did not, that counter is left out here and nothing else happens.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from osupervisor.vault_store.errors import CounterTableError
from osupervisor.vault_store.hot import HotWriter


class HotMirror:
    """Writes `hot` to the segment of `writer`; both are set before the first request."""

    __slots__ = ("hot", "writer")

    def __init__(self) -> None:
        self.hot: Mapping[str, Any] = {}
        self.writer: HotWriter | None = None

    def update(self, names: Iterable[str]) -> None:
        """Write the counters `names`, or free those that are gone; the state tree calls this."""
        for name in names:
            value = self.hot[name] if name in self.hot else None
            self._set(name, value)

    def replace(self) -> None:
        """Write all of them and nothing else: at a lease, and in a new segment."""
        assert self.writer is not None
        self.writer.replace({})
        self.update(self.hot)

    def _set(self, name: str, value: int | float | None) -> None:
        if self.writer is None:
            return
        try:
            if value is not None:
                self.writer.set(name, value)
                return
        except CounterTableError:
            pass
        self.writer.delete(name)
