"""The methods beside brain.call: what each makes of the service's parts."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from osupervisor.bridge.frames import FRAME_BYTES_MAX
from osupervisor.bridge.port_messages import request_bytes
from osupervisor.supervisor.core import outcome as outcomes
from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.outbox import KeepDeadLetter
from osupervisor.supervisor.runtime import methods
from osupervisor.supervisor.runtime.dead_letters import DeadLetters
from osupervisor.supervisor.runtime.engine import Engine

ELSE: Any = None
"""What is asked here needs no other part."""


def test_a_list_of_letters_fits_into_a_frame_whatever_they_hold(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "deadletter", kept=10)
    parts = methods.Parts(ELSE, ELSE, ELSE, letters, ELSE, ELSE, ELSE, ELSE, ELSE, ELSE, ELSE)

    def listed() -> list[dict[str, object]]:
        found = methods.handlers(parts)["system.deadletter"](["ls"])
        return cast("list[dict[str, object]]", found)

    for number, size in enumerate((10, FRAME_BYTES_MAX // 2, FRAME_BYTES_MAX // 2)):
        params = b"\xa3die\x91\xc6" + size.to_bytes(4, "big") + bytes(size) + b"\x80"
        request = request_bytes(params, 1, 1)
        letters.keep(KeepDeadLetter(f"k{number}", "die", request, outcomes.quarantined("die", 3)))
        wanted = [str] if not number else [type(None)] * (number + 1)
        assert [type(letter["request"]) for letter in listed()] == wanted
    assert {letter["op"] for letter in listed()} == {"die"}


def test_a_retry_that_succeeds_says_so_whatever_became_of_its_letter(tmp_path: Path) -> None:
    """Somebody may drop it meanwhile, or call it again as well."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        letters = DeadLetters(tmp_path / "deadletter", kept=10)
        request = request_bytes(b"\xa3die\x90\x80", 1, 1)
        letter = letters.keep(KeepDeadLetter("k", "die", request, outcomes.quarantined("die", 3)))
        calls: list[Call] = []
        core = SimpleNamespace(call=calls.append, context=SimpleNamespace(now_us=0))
        engine = SimpleNamespace(new_future=loop.create_future, core=core, wake=loop.time)
        parts = methods.Parts(
            cast("Engine", engine), ELSE, ELSE, letters, ELSE, ELSE, ELSE, ELSE, ELSE, ELSE, ELSE
        )
        retry = cast("Any", methods.handlers(parts)["system.deadletter"](["retry", letter]))
        asked = asyncio.ensure_future(retry)
        while not calls:
            await asyncio.sleep(0)
        letters.drop(letter)
        calls[0].waiters[0].asker.answer(0, b"\xc0\x07")
        assert await asked == {"retried": letter, "result": 7}

    asyncio.run(run())
