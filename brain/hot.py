"""The table of counters and gauges: a part of the state that is mirrored into shared memory.

`hot["placed"] += 1` counts; a name that isn't there reads as 0. Integers are counters and are
logged as increments, floats are gauges and are logged as they are. Names and values have the sizes
of the shared segment: 48 bytes of UTF-8, i64 and f64, 512 names.
"""

from typing import Any, Final, cast

from osupervisor.brain import spot
from osupervisor.brain.errors import StateError
from osupervisor.brain.journal import Journal
from osupervisor.brain.raw import dict_new, dict_set
from osupervisor.brain.spot import Spot, pack, root_spot
from osupervisor.brain.tracked_dict import TrackedDict
from osupervisor.brain.undo import undo_set
from osupervisor.brain.values import MISSING, python_class

NAME_BYTES_MAX: Final = 48
NAMES_MAX: Final = 512
COUNTER_MIN: Final = -(2**63)
COUNTER_MAX: Final = 2**63 - 1


@python_class
class HotTable(TrackedDict):
    """Names to counters (int) and gauges (float); a dict as far as reading goes."""

    __slots__ = ()

    def __missing__(self, _name: str) -> int:
        return 0

    def __setitem__(self, name: Any, value: Any) -> None:
        old = self.get(name, MISSING)
        if old is MISSING:
            self._check_name(name)
        kept: Spot = self._spot  # a root's is always there
        book: Journal
        book, increment, pack_key, prefix, depth = kept
        head, operand = increment, value
        if type(value) is int:
            if not COUNTER_MIN <= value <= COUNTER_MAX:
                raise _refused(name, f"found {value.bit_length()} bits", "a counter is an i64")
            by = value - old if type(old) is int else value
            if type(old) is float or by < COUNTER_MIN:
                head = spot.SET[depth] + prefix
            else:
                operand = by
        elif type(value) is float:
            head = spot.SET[depth] + prefix
        else:
            raise _refused(name, f"found {value!r:.60}", "wanted an int (counter) or float (gauge)")
        record, undo = book.record, book.undo
        record(head + pack_key(name) + pack(operand))
        undo((undo_set, self, name, old))
        dict_set(self, name, value)
        book.hot_changed.add(name)
        if old is MISSING:
            book.note_key(self, name)

    def clear(self) -> None:
        names = list(self)
        super().clear()
        self._spot[0].hot_changed.update(names)

    def _remove(self, key: Any, old: Any) -> None:
        super()._remove(key, old)
        self._spot[0].hot_changed.add(key)

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
    table: Any = dict_new(HotTable)
    table._holder = journal
    table._place = "hot"
    book, _, pack_key, prefix, depth = root_spot(journal, "hot")
    table._spot = (book, spot.INCREMENT[depth] + prefix, pack_key, prefix, depth)
    journal.hot = table
    return cast(HotTable, table)


def _refused(name: Any, found: str, hint: str) -> StateError:
    return StateError(("hot", name), found, hint)
