"""Descriptors that outlive a supervisor (systemd's file descriptor store).

A name holds one descriptor, or as many as came in one message; storing under a known name
replaces what was there. Whoever is in the store is bounded, so that a supervisor that leaks
can't take heart with it.
"""

import os
from collections.abc import Iterable, Iterator, Sequence

DESCRIPTORS_MAX = 200  # with the listeners below SCM_MAX_FD (253): a spare gets all in one message


class StoreFullError(Exception):
    """The store holds DESCRIPTORS_MAX; what was offered has been closed."""


class DescriptorStore:
    """Name to descriptors, in the order in which the names came first. It owns them."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        """How many descriptors are held."""
        return sum(map(len, self._held.values()))

    def put(self, name: str, fds: Sequence[int]) -> None:
        """Keep these descriptors; raises StoreFullError."""
        replaced = self._held.get(name, ())
        if len(self) - len(replaced) + len(fds) > DESCRIPTORS_MAX:
            close_all(fds)
            raise StoreFullError(f"{name}: more than {DESCRIPTORS_MAX} descriptors in the store")
        self._held[name] = tuple(fds)
        close_all(replaced)

    def remove(self, name: str) -> None:
        """Close what a name holds; a name that isn't there is fine."""
        close_all(self._held.pop(name, ()))

    def items(self) -> Iterator[tuple[str, int]]:
        """Every descriptor with its name."""
        return ((name, fd) for name, fds in self._held.items() for fd in fds)

    def close(self) -> None:
        """Close everything."""
        for name in list(self._held):
            self.remove(name)


def close_all(fds: Iterable[int]) -> None:
    """Close these descriptors."""
    for fd in fds:
        os.close(fd)
