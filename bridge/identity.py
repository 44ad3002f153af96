"""Who a client is to the service: its name, the numbers of its calls, what it has seen.

        byte  0                                  8               16
              +----------------------------------+---------------+
              | the service's time, us, u64 BE   | random        |
              +----------------------------------+---------------+

A name begins with the time of its making, by the service's clock (`kernel.hello` tells it). So the
service can tell a client that it has never heard of from one that it has forgotten, and never takes
a call of the latter for new. A name is used for new calls for RENEW_S, far less than the service
remembers it; the numbers go on under the next one.

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
RANDOM_BYTES: Final = 8
"""Two names of one microsecond are alike once in 10^19."""
RENEW_S: Final = 60.0
"""A tenth of the window (idempotency.window_s, 600) in which a silent client is remembered."""
JUMP_US: Final = 1_000_000
"""What a service's clock may go wrong against ours between two connections."""
_NEVER: Final = float("inf")


def new_name(service_us: int) -> bytes:
    """A name of the time `service_us`, in microseconds since 1970 by the service's clock."""
    return service_us.to_bytes(CLIENT_BYTES - RANDOM_BYTES, "big") + os.urandom(RANDOM_BYTES)


class Identity:
    """One client's name and numbers. Not for several threads at once.

    Times are monotonic seconds, given by the caller, once `learn` has told what the service's
    clock says. Until then the name is of this machine's clock.
    """

    __slots__ = ("_ahead", "_offset_us", "client", "next_number", "renew_at", "seen")

    def __init__(self, client: bytes | None = None) -> None:
        self.client = new_name(time.time_ns() // 1000) if client is None else client
        self.renew_at = _NEVER
        """From then on new calls want a new name. Never: the name is not of the service's clock."""
        self.next_number = 1
        self.seen = 1
        """Every number below it is settled."""
        self._offset_us = 0
        self._ahead: set[int] = set()
        """Settled numbers above `seen`: answers that overtook others."""

    def learn(self, service_us: int, now: float) -> bool:
        """The service's clock says `service_us` now. Whether the name is of another clock."""
        offset_us = service_us - int(now * 1e6)
        known = self.renew_at != _NEVER and abs(offset_us - self._offset_us) < JUMP_US
        self._offset_us = offset_us
        return not known

    def rename(self, now: float) -> None:
        """Go on under a new name, of this time."""
        self.client = new_name(max(0, self._offset_us + int(now * 1e6)))
        self.renew_at = now + RENEW_S

    def take(self) -> int:
        """The number of the next call."""
        number = self.next_number
        self.next_number = number + 1
        return number

    def settle(self, numbers: list[int]) -> None:
        """Nothing more is wanted under the numbers. At most once for each number taken."""
        seen = self.seen
        ahead = self._ahead
        for number in numbers:
            if number != seen:
                ahead.add(number)
                continue
            seen += 1
            while ahead and seen in ahead:
                ahead.remove(seen)
                seen += 1
        self.seen = seen
