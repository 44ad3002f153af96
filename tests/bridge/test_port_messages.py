"""Golden frames of the port: bytes, and what they are as MessagePack."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.bridge import frames as framing
from osupervisor.bridge import packing
from osupervisor.bridge import port_messages as port
from osupervisor.wal.record import RECORD_BYTES_MAX
from tests.source import needs_source

REQUEST = port.request_bytes(b"\xa3add\x91\xa4hits\x80", 1, 2)
GOLDEN: dict[str, tuple[bytes, str, list[Any]]] = {
    "call": (
        port.call_frame(1, 5, packing.pack(["client", 7, 3]), REQUEST),
        "0000003a9400ce00000001a463616c6c93ce0000000593a6636c69656e74070395a361646491a46869747380"
        "cf0000000000000001cf0000000000000002",
        [0, 1, "call", [5, ["client", 7, 3], ["add", ["hits"], {}, 1, 2]]],
    ),
    "state": (
        port.state_frame(2, 5, packing.pack(["hits"])),
        "000000199400ce00000002a5737461746592ce0000000591a468697473",
        [0, 2, "state", [5, ["hits"]]],
    ),
    "confirm": (
        port.confirm_frame(3, 9),
        "000000199302a7636f6e6669726d92ce00000003cf0000000000000009",
        [2, "confirm", [3, 9]],
    ),
    "read": (
        port.read_frame(port.READ_ID_MIN + 1, port.request_bytes(b"\xa3get\x90\x80", 1, 2)),
        "0000002a9400cf4000000000000001a4726561649195a36765749080cf0000000000000001"
        "cf0000000000000002",
        [0, 2**62 + 1, "read", [["get", [], {}, 1, 2]]],
    ),
    "read_state": (
        port.read_state_frame(port.READ_ID_MIN + 2, packing.pack([])),
        "000000189400cf4000000000000002aa726561645f73746174659190",
        [0, 2**62 + 2, "read_state", [[]]],
    ),
    "ping": (
        port.ping_frame(port.PING_ID_MIN + 1),
        "000000189400cf8000000000000001ab6b65726e656c2e70696e6790",
        [0, 2**63 + 1, "kernel.ping", []],
    ),
    "lease": (
        port.notify_frame("lease", 5, 9),
        "0000000b9302a56c65617365920509",
        [2, "lease", [5, 9]],
    ),
    "record": (
        port.record_frames([b"abc", b"de"])[0],
        "000000149302a67265636f726491c6000000056162636465",
        [2, "record", [b"abcde"]],
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_frames(name: str) -> None:
    frame, golden, message = GOLDEN[name]
    assert frame.hex() == golden
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert packing.unpack(frame[4:]) == message


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.binary(max_size=300))
def test_a_call_is_what_was_put_into_it(n: int, epoch: int, argument: bytes) -> None:
    params = packing.pack("op") + packing.pack([argument]) + b"\x80"
    frame = port.call_frame(n, epoch, packing.pack("key"), port.request_bytes(params, 3, 4))
    assert packing.unpack(frame[4:]) == [0, n, "call", [epoch, "key", ["op", [argument], {}, 3, 4]]]


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_time_and_seed_are_the_last_eighteen_bytes(t_us: int, seed: int) -> None:
    request = port.request_bytes(b"\xa2op\x90\x80", t_us, seed)
    assert len(request) == 1 + 5 + 18
    assert packing.unpack(request) == ["op", [], {}, t_us, seed]


@needs_source(port)
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=20), st.integers(1, 200))
def test_records_are_sent_in_order_in_frames_that_are_not_too_large(
    records: list[bytes], limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(port, "BATCH_BYTES_MAX", limit)
        frames = port.record_frames(records)
    bodies = [packing.unpack(frame[4:])[2][0] for frame in frames]
    assert b"".join(bodies) == b"".join(records)
    assert all(len(body) <= max(limit, 50) for body in bodies)
    assert all(bodies)


def test_no_records_are_no_frame() -> None:
    assert port.record_frames([]) == []


def test_the_longest_record_fits_into_a_frame() -> None:
    assert port.PORT_FRAME_BYTES_MAX == framing.PORT_FRAME_BYTES_MAX
    (frame,) = port.record_frames([bytes(RECORD_BYTES_MAX)])
    assert RECORD_BYTES_MAX < len(frame) - 4 <= framing.PORT_FRAME_BYTES_MAX
