"""Who a client is to the service: its random name, the numbers of its calls, what it has seen.

A call's key is `[client, number]`. `seen` goes with every call and says: I have every answer below
this number. The service then forgets those answers, and refuses late copies of those calls. A
number is settled when its answer is here, or when nobody waits for it any more.

A forked child must not go on under its parent's name: two calls would share a key, and one of them
would get the other's answer. Whoever holds an identity across a fork takes a new one in the child.
"""

import os
from typing import Final

CLIENT_BYTES: Final = 12
"""96 random bits: among a billion clients the odds of two alike are below one in 10^10."""


class Identity:
    """One client's name and numbers. Not for several threads at once."""

    __slots__ = ("_ahead", "client", "next_number", "seen")

    def __init__(self, client: bytes | None = None) -> None:
        self.client = os.urandom(CLIENT_BYTES) if client is None else client
        self.next_number = 1
        self.seen = 1
        """Every number below it is settled."""
        self._ahead: set[int] = set()
        """Settled numbers above `seen`: answers that overtook others."""

    def take(self) -> int:
        """The number of the next call."""
        number = self.next_number
        self.next_number = number + 1
        return number

    def settle(self, number: int) -> None:
        """Nothing more is wanted under `number`. At most once for each number taken."""
        if number != self.seen:
            self._ahead.add(number)
            return
        number += 1
        while self._ahead and number in self._ahead:
            self._ahead.remove(number)
            number += 1
        self.seen = number
