"""A service's memory of keys, as CORE.md has it, for tests of clients: each call takes effect once.

add(name, n=1)   a number that no other call gets: how often `add` took effect
fail(text)       OpFailed
load()           how often `add` took effect, changing nothing
"""

from collections import Counter
from typing import Any, cast

from osupervisor.bridge.call import Call
from osupervisor.bridge.call_options import CallKey
from osupervisor.bridge.errors import OpFailed, OpNotFound, ProtocolError
from osupervisor.bridge.messages import answer, outcome_of_error, outcome_of_result
from tests.bridge.calls import unpacked

FORGOTTEN = ProtocolError("silent for too long", data={"forgotten": True}).to_map()


class Ledger:
    """What was executed under which key, and what came of it."""

    def __init__(self) -> None:
        self.adds = 0
        self.executions: Counter[CallKey | None] = Counter()
        self.tags: Counter[object] = Counter()
        """How often `add` took effect with each first argument."""
        self.horizon_us = -1
        """Clients whose names are not younger may have been forgotten."""
        self._done: dict[CallKey, tuple[bytes, bytes]] = {}
        self._seen: dict[object, int] = {}

    def answer(self, call: Call) -> bytes | None:
        """The frame that answers the call. None: the client has that answer; it gets none."""
        key = call.key
        if isinstance(key, tuple):
            client, number = key
            if number < self._seen.get(client, 0):
                return None
            if client not in self._seen and self._is_old(client):
                return answer(call.id, outcome_of_error(FORGOTTEN))
            self._forget(client, call.seen)
        if key is not None and key in self._done:
            params, outcome = self._done[key]
            assert params == call.params, "a key came back with other arguments"
            return answer(call.id, outcome)
        self.executions[key] += 1
        outcome = self._execute(call)
        if key is not None:
            self._done[key] = call.params, outcome
        return answer(call.id, outcome)

    @property
    def remembered(self) -> int:
        """Keys whose outcome is kept."""
        return len(self._done)

    def forget_all(self, now_us: int) -> None:
        """What happens to clients that were silent for the whole window."""
        self._seen.clear()
        self._done.clear()
        self.horizon_us = now_us

    def _is_old(self, client: object) -> bool:
        return isinstance(client, bytes) and int.from_bytes(client[:8], "big") <= self.horizon_us

    def _forget(self, client: object, seen: int) -> None:
        if seen >= self._seen.setdefault(client, 0):
            self._seen[client] = seen
            for key in [key for key in self._done if key[0] == client and is_below(key, seen)]:
                del self._done[key]

    def _execute(self, call: Call) -> bytes:
        op, args, kwargs = cast("list[Any]", unpacked(b"\x93" + call.params))
        match op:
            case "add":
                self.adds += kwargs.get("n", 1)
                self.tags[args[0]] += 1
                return outcome_of_result(self.adds)
            case "load":
                return outcome_of_result(self.adds)
            case "echo":
                return outcome_of_result([args, kwargs])
            case "fail":
                data: dict[str, object] = {"type": "ValueError", "message": args[0]}
                return outcome_of_error(OpFailed(f"fail raised: {args[0]}", data=data).to_map())
            case _:
                return outcome_of_error(OpNotFound(f"there is no op {op}").to_map())


def is_below(key: CallKey, seen: int) -> bool:
    """Whether the key is one of a client's, with a number that it has the answer of."""
    return isinstance(key, tuple) and key[1] < seen
