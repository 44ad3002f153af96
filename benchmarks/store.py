"""The brain that is measured, and the values that it holds: known to the client without asking.

`value(n, version, size)` is what stands under key n: half of it random digits, so that neither
zstd nor a dict of equal strings makes it cheap.
"""

import hashlib

from osupervisor.brain import Brain, op, query


def name(number: int) -> str:
    return f"key:{number:08d}"


def value(number: int, version: int, size: int) -> str:
    digest = hashlib.sha256(b"%d %d" % (number, version)).hexdigest()
    return (digest * (size // len(digest) + 1))[:size]


class Store(Brain):
    """Keys with values, and a count of the changes."""

    @op
    def set(self, key: str, value: str) -> None:
        """What Redis' SET does."""
        self.state[key] = value

    @op
    def put(self, key: str, value: str) -> int:
        """Set, and say how many changes that makes: one lost or doubled shows in the number."""
        self.state["keys"][key] = value
        self.state["puts"] += 1
        return int(self.state["puts"])

    @op
    def echo(self, text: str) -> str:
        return text

    @op
    def fill(self, table: str, first: int, count: int, size: int) -> int:
        """Set many at once in a table of their own."""
        keys = self.state.setdefault(table, {})
        for number in range(first, first + count):
            keys[name(number)] = value(number, 0, size)
        self.state.setdefault("puts", 0)
        return len(keys)

    @query
    def puts(self) -> int:
        return int(self.state["puts"])

    @query
    def get(self, key: str) -> str | None:
        found = self.state.get(key)
        return None if found is None else str(found)

    @query
    def digest(self, table: str) -> str:
        """Of all keys and values of a table, in their order."""
        return digest(self.state[table])


def digest(table: dict[str, str]) -> str:
    """What a client computes of the table that it expects."""
    found = hashlib.sha256()
    for key, held in table.items():
        found.update(key.encode())
        found.update(held.encode())
    return found.hexdigest()
