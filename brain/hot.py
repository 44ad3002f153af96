"""The table of counters and gauges: a part of the state that is mirrored into shared memory.

`hot["placed"] += 1` counts; a name that isn't there reads as 0. Integers are counters and are logged as
increments, floats are gauges and are logged as they are. Names and values have the sizes of the shared
segment: 48 bytes of UTF-8, i64 and f64, 512 names.
"""

from collections.abc import Callable
from typing import Any, Final

from osupervisor.brain.errors import StateError
from osupervisor.brain.journal import Journal, pack
from osupervisor.brain.tree import TrackedDict, dict_set, locate
from osupervisor.brain.undo import undo_set
from osupervisor.brain.values import MISSING
from osupervisor.bridge.operations import Opcode

NAME_BYTES_MAX: Final = 48
NAMES_MAX: Final = 512
COUNTER_MIN: Final = -(2**63)
COUNTER_MAX: Final = 2**63 - 1

Mirror = Callable[[set[str]], None]
"""Called with the names that a request, or a rollback, changed or removed."""

_INCREMENT: Final = int(Opcode.INCREMENT)
_SET: Final = int(Opcode.SET)


class HotTable(TrackedDict):
    """Names to counters (int) and gauges (float); a dict as far as reading goes."""

    __slots__ = ("changed",)

    changed: set[str]
    """Names changed since the mirror was last told."""

    def __missing__(self, _name: str) -> int:
        return 0

    def __setitem__(self, name: Any, value: Any) -> None:
        old = self.get(name, MISSING)
        if old is MISSING:
            self._check_name(name)
        path, journal = locate(self, name)
        if type(value) is int:
            operation = _count(path, 0 if old is MISSING else old, value)
        elif type(value) is float:
            operation = (_SET, path, value)
        else:
            raise _refused(name, f"found {value!r:.60}", "wanted an int (counter) or float (gauge)")
        journal.record(pack(operation))
        journal.undo((undo_set, self, name, old))
        dict_set(self, name, value)
        self.changed.add(name)
        if old is MISSING and journal.orders:
            journal.note_key(self, name)

    def clear(self) -> None:
        self.changed.update(self)
        super().clear()

    def _remove(self, key: Any, old: Any) -> None:
        super()._remove(key, old)
        self.changed.add(key)

    def _merge(self, changes: dict[Any, Any]) -> None:
        for name, value in changes.items():
            self[name] = value

    def _check_name(self, name: Any) -> None:
        if type(name) is not str:
            raise _refused(name, f"found the name {name!r:.60}", "wanted a str")
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise _refused("?", f"found the name {name!a}", "wanted one that is UTF-8") from None
        if size > NAME_BYTES_MAX:
            raise _refused(
                name, f"found a name of {size} bytes", f"wanted {NAME_BYTES_MAX} at most"
            )
        if len(self) >= NAMES_MAX:
            raise _refused(
                name,
                f"found {len(self)} names already, and there is room for {NAMES_MAX}",
                'count in the state, as in state["counts"][name]',
            )


def new_hot_table(journal: Journal) -> HotTable:
    """An empty table that stands under `journal`."""
    table: HotTable = dict.__new__(HotTable)
    table.holder = journal
    table.place = "hot"
    table.changed = set()
    return table


def _count(path: list[Any], before: Any, after: int) -> tuple[Any, ...]:
    if not COUNTER_MIN <= after <= COUNTER_MAX:
        raise _refused(path[-1], f"found an int of {after.bit_length()} bits", "wanted 64 at most")
    if type(before) is int and COUNTER_MIN <= (by := after - before) <= COUNTER_MAX:
        return _INCREMENT, path, by
    return _SET, path, after


def _refused(name: Any, found: str, hint: str) -> StateError:
    return StateError(("hot", name), found, hint)
