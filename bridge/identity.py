"""Who a client is to the service: its name, the numbers of its calls, what it has seen.

    name   | unix time in microseconds, u64 big-endian | 8 random bytes |

A name begins with the time of its making: so the service can tell a client that it has never heard
of from one that it has forgotten, and never takes a call of the latter for new. A name is used for
new calls for RENEW_S, far less than the service remembers it; the numbers go on under the next one.

A call's key is `[client, number]`. `seen` goes with every call and says: I have every answer below
this number. The service then forgets those answers, and refuses late copies of those calls. A
number is settled when its answer is here, or when nobody waits for it any more.

A forked child must not go on under its parent's name: two calls would share a key, and one of them
would get the other's answer. Whoever holds an identity across a fork takes a new one in the child.
"""

import os
import time
from typing import Final

CLIENT_BYTES: Final = 16
"""Time, and 64 random bits: no two clients of one microsecond are alike for long odds."""
RENEW_S: Final = 60.0
"""A tenth of the window (idempotency.window_s, 600) in which a silent client is remembered."""


class Identity:
    """One client's name and numbers. Not for several threads at once."""

    __slots__ = ("_ahead", "client", "next_number", "seen")

    def __init__(self, client: bytes | None = None) -> None:
        self.client = new_name() if client is None else client
        self.next_number = 1
        self.seen = 1
        """Every number below it is settled."""
        self._ahead: set[int] = set()
        """Settled numbers above `seen`: answers that overtook others."""

    def rename(self, offset_us: int = 0) -> None:
        """Go on under a new name. `offset_us`: by how much the service's clock is ahead of ours."""
        self.client = new_name(offset_us)

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


def new_name(offset_us: int = 0) -> bytes:
    """A name for a client that begins now."""
    return (time.time_ns() // 1000 + offset_us).to_bytes(8, "big") + os.urandom(CLIENT_BYTES - 8)
