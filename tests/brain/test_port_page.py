"""docs/formats/PORT.md: its example frames are sent to a real brain, which answers as it says."""

import re
from pathlib import Path

from osupervisor.brain.packing import decode
from osupervisor.bridge import port_messages
from tests.brain.driver import BRAINS, SEED, T_US, nursery, pack

PAGE = Path(__file__).parents[2] / "docs/formats/PORT.md"


def examples() -> list[tuple[str, str, bytes]]:
    """Who sends it, what it is, its bytes."""
    rows = re.findall(r"^\| ([SB]) \| (`.*?`) \| `([0-9a-f ]+)` \|$", PAGE.read_text(), re.M)
    return [(who, what, bytes.fromhex(frame)) for who, what, frame in rows]


def test_examples_are_frames_of_what_they_say() -> None:
    assert len(examples()) >= 10
    for _who, what, frame in examples():
        assert int.from_bytes(frame[:4], "big") == len(frame) - 4, what
        message = decode(frame[4:])
        head = [str(message[0]), str(message[1]).replace(str(2**63), "2^63").replace("'", '"')]
        assert what.replace('"', "").startswith(f"`[{', '.join(head)}"), what


def test_encoders_make_the_examples() -> None:
    request = port_messages.request_bytes(pack("add") + pack(["hits"]) + pack({"n": 3}), T_US, SEED)
    made = {
        port_messages.notify_frame("lease", 5, 0),
        port_messages.call_frame(1, 5, pack(["client", 7, 3]), request),
        port_messages.state_frame(2, 5, pack(["hits"])),
        port_messages.confirm_frame(1, 1),
        port_messages.ping_frame(2**63),
        port_messages.notify_frame("fence"),
    }
    assert made == {frame for who, _what, frame in examples() if who == "S"}


def test_a_real_brain_answers_the_examples() -> None:
    with nursery(f"{BRAINS}:Tally") as nest:
        brain = nest.spawn("example")
        received = b""
        for who, what, frame in examples():
            if who == "S":
                brain.send(frame)
                continue
            while len(received) < len(frame):
                received += brain.port.recv(65_536)
            assert received[: len(frame)].hex() == frame.hex(), what
            received = received[len(frame) :]
