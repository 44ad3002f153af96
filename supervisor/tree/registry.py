"""Names of living children, and what each of them offers under its name. Pure.

A name belongs to one incarnation of one child. It is free again the moment that
incarnation is over, so whoever finds a name finds something that lives.
"""

from dataclasses import dataclass

from osupervisor.supervisor.tree.errors import NameTakenError


@dataclass(frozen=True, slots=True)
class _Entry:
    incarnation: int
    value: object


class Registry:
    """One per tree: nested supervisors share it."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def register(self, name: str, incarnation: int, value: object) -> None:
        """Raises NameTakenError while another incarnation holds the name."""
        entry = self._entries.get(name)
        if entry is not None and entry.incarnation != incarnation:
            raise NameTakenError(name)
        self._entries[name] = _Entry(incarnation, value)

    def whereis(self, name: str) -> object | None:
        """What was registered; None where nobody living holds the name."""
        entry = self._entries.get(name)
        return None if entry is None else entry.value

    def forget(self, incarnation: int) -> None:
        """This incarnation is over: all its names are free."""
        for name in [n for n, e in self._entries.items() if e.incarnation == incarnation]:
            del self._entries[name]

    def names(self) -> tuple[str, ...]:
        """All names that are held, sorted."""
        return tuple(sorted(self._entries))
