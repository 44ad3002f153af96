"""A closed-loop client that knows what the service must hold, and notices what is wrong.

Each call sets one key to a value that it had not before and is answered with the number of
changes made so far. A number that is too low says that a change was lost, one that is too high
that one was made twice; at the end the digest of all keys is compared too.
"""

import random
import time
from typing import Final

import store

from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import BridgeError
from osupervisor.bridge.pending import Reply

FILL_BYTES: Final = 4_000_000
"""Of values in one call: far below the 16 MiB that a commit may have."""


class Caller:
    """The client and its model: the version of each key, the number of changes."""

    def __init__(self, client: Client, keys: int, size: int, source: random.Random) -> None:
        self.failed = 0
        self.lost = 0
        self.doubled = 0
        self.calls = 0
        self._client = client
        self._size = size
        self._source = source
        self._versions = [0] * keys
        self._puts = 0
        fill(client, "keys", keys, size)

    def call(self) -> float:
        """One put, waited for; the perf_counter of its right answer."""
        key, value = self._next()
        try:
            answer = self._client.call("put", key, value)
        except BridgeError:
            return self._failed()
        return self._check(answer)

    def send(self) -> Reply:
        """One put, written and not waited for."""
        key, value = self._next()
        pipeline = self._client.pipeline(2)
        reply = pipeline.call("put", key, value)
        pipeline.flush()
        return reply

    def receive(self, reply: Reply) -> float:
        """The right answer's perf_counter."""
        try:
            answer = reply.result()
        except BridgeError:
            return self._failed()
        return self._check(answer)

    def _next(self) -> tuple[str, str]:
        number = self._source.randrange(len(self._versions))
        self._versions[number] += 1
        self.calls += 1
        return store.name(number), store.value(number, self._versions[number], self._size)

    def _check(self, answer: object) -> float:
        now = time.perf_counter()
        assert isinstance(answer, int)
        self._puts += 1
        if answer < self._puts:
            self.lost += self._puts - answer
        elif answer > self._puts:
            self.doubled += answer - self._puts
        self._puts = answer
        return now

    def _failed(self) -> float:
        """Whether it was done is open, so that the count begins anew from what the service says."""
        self.failed += 1
        self._puts = self._client.query("puts")
        return time.perf_counter()

    def wrong(self) -> dict[str, float]:
        """All that must be 0, the state compared as a whole among it. Empty: it differs."""
        expected = {
            store.name(number): store.value(number, version, self._size)
            for number, version in enumerate(self._versions)
        }
        differs = store.digest(expected) != self._client.query("digest", "keys")
        found = {"failed": self.failed, "lost": self.lost, "doubled": self.doubled}
        return {**found, "state_differs": int(differs)}


def fill(client: Client, table: str, keys: int, size: int) -> None:
    """So many keys with values of `size` characters."""
    step = max(1, FILL_BYTES // size)
    for first in range(0, keys, step):
        client.call("fill", table, first, min(step, keys - first), size)
