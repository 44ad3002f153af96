"""The methods beside brain.call: what each makes of the service's parts."""

from pathlib import Path
from typing import Any, cast

from osupervisor.bridge.frames import FRAME_BYTES_MAX
from osupervisor.bridge.port_messages import request_bytes
from osupervisor.supervisor.core import outcome as outcomes
from osupervisor.supervisor.core.outbox import KeepDeadLetter
from osupervisor.supervisor.runtime import methods
from osupervisor.supervisor.runtime.dead_letters import DeadLetters

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
