"""The line: datagrams with descriptors, and not one descriptor left behind by any error."""

import array
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from osupervisor.bridge import line
from osupervisor.bridge.errors import LocalProtocolError, RemoteProtocolError
from osupervisor.bridge.packing import pack

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Pair]:
    near, far = line.pair()
    with near, far:
        yield near, far


@pytest.fixture
def read_end() -> Iterator[int]:
    reading, writing = os.pipe()
    os.write(writing, b"through the line")
    os.close(writing)
    yield reading
    os.close(reading)


def open_descriptors() -> set[str]:
    """What is open now, without the descriptor that lists it."""
    return {name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}


def send_raw(near: socket.socket, data: bytes, descriptors: list[int]) -> None:
    rights = array.array("i", descriptors).tobytes()
    near.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def test_a_datagram_carries_a_message_and_descriptors(ends: Pair, read_end: int) -> None:
    near, far = ends
    line.send(near, ["checkpoint", 7, {"level": 3}], [read_end, read_end])
    datagram = line.receive(far)
    assert datagram is not None
    assert (datagram.name, datagram.arguments) == ("checkpoint", [7, {"level": 3}])
    first, second = datagram.descriptors
    assert not os.get_inheritable(first) and not os.get_inheritable(second)
    assert os.read(first, 7) + os.read(second, 99) == b"through the line"
    os.close(first)
    os.close(second)
    os.fstat(read_end)  # The sender's copy is still the sender's.


def test_datagrams_arrive_one_by_one_and_in_order(ends: Pair) -> None:
    near, far = ends
    for number in range(5):
        line.send(near, ["n", number])
    assert [line.receive(far) for _ in range(5)] == [("n", [k], []) for k in range(5)]


def test_both_ends_speak(ends: Pair) -> None:
    near, far = ends
    line.send(far, ["ready"])
    assert line.receive(near) == ("ready", [], [])


def test_end_of_file_is_none(ends: Pair) -> None:
    near, far = ends
    line.send(near, ["last"])
    near.close()
    assert line.receive(far) == ("last", [], [])
    assert line.receive(far) is None


def test_an_empty_datagram_counts_as_end_of_file(ends: Pair, read_end: int) -> None:
    near, far = ends
    before = open_descriptors()
    send_raw(near, b"", [read_end])
    assert line.receive(far) is None
    assert open_descriptors() == before


def test_a_line_without_a_peer_refuses_to_send(ends: Pair, read_end: int) -> None:
    near, far = ends
    far.close()
    before = open_descriptors()
    with pytest.raises(OSError):
        line.send(near, ["port", 1], [read_end])
    assert open_descriptors() == before


def test_an_empty_line_that_does_not_block_says_so(ends: Pair) -> None:
    near, _ = ends
    near.setblocking(False)
    with pytest.raises(BlockingIOError):
        line.receive(near)


def test_a_full_line_that_does_not_block_says_so(ends: Pair) -> None:
    near, far = ends
    near.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            line.send(near, ["fill", bytes(60_000)])
            sent += 1
    assert sent
    assert line.receive(far) is not None


GARBAGE = [
    b"\xc1",
    pack("name"),
    pack({"name": 1}),
    pack([7, "name"]),
    b"\x90",
    b"\x92\xa1a",
    b"\x91" * 1000 + b"\x90",
    pack(["name"]) + b"\x00",
    bytes(line.DATAGRAM_BYTES_MAX),
]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_refused_and_its_descriptors_are_closed(
    ends: Pair, read_end: int, data: bytes
) -> None:
    near, far = ends
    before = open_descriptors()
    send_raw(near, data, [read_end] * 9)
    with pytest.raises(RemoteProtocolError):
        line.receive(far)
    assert open_descriptors() == before
    line.send(near, ["next"])
    assert line.receive(far) == ("next", [], [])


def test_a_datagram_that_is_cut_is_refused_and_its_descriptors_are_closed(
    ends: Pair, read_end: int
) -> None:
    near, far = ends
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * line.DATAGRAM_BYTES_MAX)
    before = open_descriptors()
    send_raw(near, pack(["name", bytes(line.DATAGRAM_BYTES_MAX)]), [read_end])
    with pytest.raises(RemoteProtocolError, match="more than 65536 bytes"):
        line.receive(far)
    assert open_descriptors() == before


def test_as_many_descriptors_as_the_kernel_takes(ends: Pair, read_end: int) -> None:
    near, far = ends
    before = open_descriptors()
    line.send(near, ["many"], [read_end] * line.DESCRIPTORS_MAX)
    datagram = line.receive(far)
    assert datagram is not None and len(datagram.descriptors) == line.DESCRIPTORS_MAX
    for descriptor in datagram.descriptors:
        os.close(descriptor)
    assert open_descriptors() == before


def test_descriptors_beyond_the_limit_of_open_files_are_missed_and_the_others_closed(
    ends: Pair, read_end: int
) -> None:
    near, far = ends
    line.send(near, ["load"], [read_end] * 20)
    before = open_descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [number for number in range(1000) if str(number) not in before]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[8], hard))
    try:
        with pytest.raises(RemoteProtocolError, match="8 arrived"):
            line.receive(far)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert open_descriptors() == before


def test_too_much_is_refused_before_it_is_sent(ends: Pair, read_end: int) -> None:
    near, _ = ends
    with pytest.raises(LocalProtocolError):
        line.send(near, ["name", bytes(line.DATAGRAM_BYTES_MAX)])
    with pytest.raises(LocalProtocolError):
        line.send(near, ["name"], [read_end] * (line.DESCRIPTORS_MAX + 1))


def test_a_line_changes_hands_between_two_datagrams(ends: Pair) -> None:
    near, far = ends
    line.send(near, ["one"])
    heirs = socket.socket(fileno=os.dup(near.fileno()))
    near.close()
    line.send(heirs, ["two"])
    heirs.close()
    assert line.receive(far) == ("one", [], [])
    assert line.receive(far) == ("two", [], [])
    assert line.receive(far) is None


def test_a_hundred_rounds_leak_nothing(ends: Pair, read_end: int) -> None:
    near, far = ends
    before = open_descriptors()
    for data in GARBAGE * 13:
        send_raw(near, data, [read_end] * 3)
        with suppress(RemoteProtocolError):
            line.receive(far)
    assert open_descriptors() == before
