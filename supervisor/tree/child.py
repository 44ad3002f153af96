"""What a supervisor and a child ask of each other. Pure: two Protocols and no code.

A start function gets an `Init` and gives back a `Handle`. It returns at once; what
becomes of the child it says through the Init, in this order:

    ready | ignore    at most once; before the spec's start_timeout_s
    exited            exactly once, also when it never was ready, and also after ignore

A start function that raises has failed to start, and its Init is not used again.
"""

from collections.abc import Callable
from typing import Protocol

from osupervisor.supervisor.tree.cause import Cause
from osupervisor.supervisor.tree.environment import Environment


class Init(Protocol):
    """A starting child's line to its supervisor."""

    @property
    def id(self) -> str: ...

    @property
    def path(self) -> str:
        """Where in the tree: the supervisors' names and the id, `top/brains/nursery`."""
        ...

    @property
    def environment(self) -> Environment: ...

    def ready(self, info: object = None) -> None:
        """Init is done. `info` goes to whoever started the child by hand."""
        ...

    def ignore(self) -> None:
        """There is nothing to do here: the child ends now, and that is no failure."""
        ...

    def exited(self, cause: Cause) -> None: ...

    def register(self, name: str, value: object) -> None:
        """Offer `value` under `name` for as long as this incarnation lives.

        Raises NameTakenError while another living child holds the name.
        """
        ...


class Handle(Protocol):
    """A child that was started, seen from its supervisor. Neither call waits or raises."""

    @property
    def pid(self) -> int | None:
        """Of an operating system process; None for a task."""
        ...

    def stop(self) -> None:
        """Ask it to end, politely."""
        ...

    def kill(self) -> None:
        """End it by force."""
        ...


Start = Callable[[Init], Handle]
