"""A request on its way through the supervisor. Values only.

admitted --> queued --> delivered --> committed --> answered
                ^           |
                +-----------+   its brain died, or was fenced: back to the head of the queue

Both classes are made once per call, so that each has an `__init__` of its own: where the core is
compiled, one that a decorator makes is run by the interpreter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from osupervisor.supervisor.core.key import Key, is_pending_key

ALONE_AFTER: Final = 2
"""Deaths that nobody is blamed for, until what was in flight at each of them goes alone. One may be
anybody's doing, and costs nothing; the same calls met by a second are not in flight by chance."""


class Asker(Protocol):
    """Where an answer goes. The core hands it back and never calls it."""

    def answer(self, message_id: int, outcome: bytes) -> bool:
        """Queue an answer. True: it is the first since the last flush."""
        ...

    def flush(self) -> None:
        """Send what is queued."""
        ...

    def when_read(self, answer: Callable[[], None]) -> None:
        """Call this as soon as nothing waits to be sent: of what can be answered at any time."""
        ...


@dataclass(slots=True, eq=False, init=False)
class Waiter:
    """One client waiting for an outcome: of a call, or of a copy that arrived meanwhile."""

    asker: Asker
    message_id: int
    durable: bool
    """Answer only from what is known durable, whatever the mode."""
    until_us: int
    """Past this it is told `Timeout`. 0: past the time of its call."""

    def __init__(self, asker: Asker, message_id: int, durable: bool = False) -> None:
        self.asker = asker
        self.message_id = message_id
        self.durable = durable
        self.until_us = 0


@dataclass(slots=True, eq=False, init=False)
class Call:
    """One request, from its arrival to its outcome."""

    key: Key
    key_bytes: bytes
    """The envelope's key: `key` and `seen` as MessagePack."""
    seen: int
    op: str
    params: bytes
    """op, args and kwargs as they came: three MessagePack objects one behind the other."""
    crc: int
    waiters: list[Waiter]
    admitted_us: int
    timeout_us: int
    """Bounds the wait from admission, and the execution from its start, in microseconds each."""
    query: bool
    method: str
    """`call`, or `state`: then `params` is the path alone."""
    request: bytes
    """What is delivered and logged: [op, args, kwargs, t, seed]; fixed at the first delivery."""
    n: int
    """Its delivery's number within the epoch; 0 while it is queued."""
    deliveries: int
    barrier: int
    """Of an executed query: the last LSN that its answer rests on."""
    size: int
    """Bytes that it counts for in the queue; known from its admission on."""
    deaths: int
    """Brains that died with it in flight for no reason that is known, or while they executed it for
    taking too much memory."""
    suspect: bool
    """A query that a brain may have died of where no strike can be counted: it waits for a lease,
    where it can."""

    def __init__(
        self,
        key: Key,
        key_bytes: bytes,
        seen: int,
        op: str,
        params: bytes,
        crc: int,
        waiters: list[Waiter],
        admitted_us: int,
        timeout_us: int,
        query: bool = False,
        method: str = "call",
        size: int = 0,
    ) -> None:
        self.key = key
        self.key_bytes = key_bytes
        self.seen = seen
        self.op = op
        self.params = params
        self.crc = crc
        self.waiters = waiters
        self.admitted_us = admitted_us
        self.timeout_us = timeout_us
        self.query = query
        self.method = method
        self.size = size
        self.request = b""
        self.n = self.deliveries = self.barrier = self.deaths = 0
        self.suspect = False

    @property
    def is_alone(self) -> bool:
        """Whether it is delivered with nothing else in flight: if a brain dies then, it is why."""
        return self.deaths >= ALONE_AFTER

    @property
    def is_unwanted(self) -> bool:
        """Whether nobody waits for it, and nothing is lost when it is not executed.

        An op that was delivered may have taken effect, as far as its client knows; a cast or timer
        has no client.
        """
        return (
            not self.waiters
            and (self.query or not self.deliveries)
            and not is_pending_key(self.key)
        )

    def waits_until_us(self, wait_timeout_us: int) -> int:
        """How long its first waiter waits, in log time."""
        return self.admitted_us + (self.timeout_us or wait_timeout_us)
