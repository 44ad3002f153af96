"""The brain of a power cut, and what its state must be: known from two numbers, without asking.

Each client sends its entries 1, 2, 3, ... in order; what they say follows from client and number.
So the state follows from how many entries of each client are in it, and a lost, doubled or half
applied one shows. Used in the virtual machine and beside it.
"""

import random
import zlib
from typing import Any, Final

from osupervisor.brain import Brain, op

SLOTS: Final = 16
"""Entries of each client that stay in the state."""
SIZES: Final = (*range(10, 130, 10), 600, 2000, 9000)
"""Bytes of an entry, which has two letters for each: within a page, over one, over many."""


def text(who: str, number: int) -> str:
    """What entry `number` of a client says; pages of it are not like others."""
    source = random.Random(f"{who} {number}")
    return source.randbytes(source.choice(SIZES)).hex()


def chained(chain: int, said: str) -> int:
    """A number for all entries so far and this one, in their order."""
    return zlib.crc32(said.encode(), chain)


class Ledger(Brain):
    """Takes each client's entries in their order, each once."""

    @op
    def enter(self, who: str, number: int, said: str) -> int:
        """The count of all entries with this one, whoever they are of."""
        state = self.state
        own = state.setdefault(who, {"number": 0, "chain": 0, "said": {}})
        if number != own["number"] + 1:
            raise ValueError(f"{who}: entry {number} came behind {own['number']}")
        own["number"] = number
        own["chain"] = chained(own["chain"], said)
        own["said"][str(number % SLOTS)] = said
        state["total"] = state.get("total", 0) + 1
        return int(state["total"])


class Expected:
    """What the state holds of one client, by the number of its last entry."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._chains = [0]

    def after(self, number: int) -> dict[str, Any]:
        for next_number in range(len(self._chains), number + 1):
            self._chains.append(chained(self._chains[-1], text(self._who, next_number)))
        last = range(max(1, number - SLOTS + 1), number + 1)
        said = {str(each % SLOTS): text(self._who, each) for each in last}
        return {"number": number, "chain": self._chains[number], "said": said}


def wrong(state: dict[str, Any], expected: dict[str, Expected]) -> list[str]:
    """What no run of the ledger makes: empty for each state between two entries."""
    found: list[str] = []
    counts = {who: own["number"] for who, own in state.items() if who != "total"}
    for who, number in counts.items():
        if state[who] != expected.setdefault(who, Expected(who)).after(number):
            found.append(f"{who}: not what {number} entries make")
    if state.get("total", 0) != sum(counts.values()):
        found.append(f"{state.get('total')} entries in all, of the clients {counts}")
    return found
