"""The brain's port, in-process over a real socket pair: however bytes come, the same messages."""

import random
import socket
from typing import Any

import pytest

from osupervisor.brain.errors import PortError
from osupervisor.brain.packing import encode
from osupervisor.brain.port import FLUSH_RESPONSES, Port, Undecodable
from osupervisor.bridge.frames import PORT_FRAME_BYTES_MAX

MESSAGES: list[Any] = [
    [0, 1, "call", [1, ["c", 1, 0], ["op", ["x"], {"n": 1}, 1, 2]]],
    [2, "confirm", [1, 2]],
    [2, "record", [b"r" * 300]],
    [0, 2**63, "kernel.ping", []],
    [0, 2, "call", [1, "key", ["op", [{1: b"x", "a": None}], {}, 1, 2]]],
]
BAD_PARAMS = b"\x93\x01\xa1k\x95\xa2op\x91\x81\x91\x01\x02\x80\x01\x02"


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


class Interrupted(socket.socket):
    """A handler of the author's raises when half of what is sent is out."""

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        self.send(data[: len(data) // 2], flags)
        raise KeyError("of the author's")


STREAM = b"".join(frame(encode(message)) for message in MESSAGES)


class Pair:
    """A port and the peer's end of it."""

    def __init__(self) -> None:
        ours, self.peer = socket.socketpair()
        self.port = Port(ours)

    def received(self) -> list[Any]:
        """All that is there now."""
        found: list[Any] = []
        while self.port.receive(wait=False):
            found += self.port.messages()
        return found

    def close(self) -> None:
        self.port.close()
        self.peer.close()

    def __enter__(self) -> "Pair":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def test_stream_may_be_cut_anywhere() -> None:
    for cut in range(len(STREAM) + 1):
        with Pair() as pair:
            found: list[Any] = []
            for part in (STREAM[:cut], STREAM[cut:]):
                pair.peer.sendall(part)
                found += pair.received()
            assert found == MESSAGES, cut


def test_random_pieces_give_the_same_messages() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    with Pair() as pair:
        found: list[Any] = []
        stream = STREAM * 40
        while stream:
            size = source.choice((1, 2, 3, 5, 50, 500, 5_000))
            pair.peer.sendall(stream[:size])
            stream = stream[size:]
            found += pair.received()
        assert found == MESSAGES * 40


def test_undecodable_request_stands_where_it_was_sent() -> None:
    """Whatever was read before and comes behind it, and wherever the stream is cut."""
    bad = frame(b"\x94\x00\x07\xa4call" + BAD_PARAMS)
    stream = STREAM + bad + STREAM + bad + bad + STREAM
    for cut in range(0, len(stream), 7):
        with Pair() as pair:
            found: list[Any] = []
            for part in (stream[:cut], stream[cut:]):
                pair.peer.sendall(part)
                found += pair.received()
            assert [m[2] if m[1] == 7 else m for m in found] == [
                *MESSAGES,
                "undecodable",
                *MESSAGES,
                "undecodable",
                "undecodable",
                *MESSAGES,
            ], cut
            what = next(m[3] for m in found if m[1] == 7)
            assert isinstance(what, Undecodable)
            assert (what.method, what.epoch) == ("call", 1)
            assert "unhashable" in what.reason


@pytest.mark.parametrize(
    "body",
    [
        b"\xc1",
        b"\x93\x02\xa6record\x91\x81\x91\x01\x02",
        b"\x94\x00\xa1x\xa4call" + BAD_PARAMS,
        b"\x95\x00\x01\xa4call" + BAD_PARAMS + b"\xc0",
        b"\x94\x01\x07\xa4call" + BAD_PARAMS,
        b"\x94\x00\x07\xa4call\x93\xa1e" + BAD_PARAMS[2:],
    ],
)
def test_what_is_no_message_ends_the_brain(body: bytes) -> None:
    with Pair() as pair:
        pair.peer.sendall(frame(body))
        with pytest.raises(PortError):
            pair.received()


def test_frame_over_the_limit_ends_the_brain() -> None:
    with Pair() as pair:
        body = encode([2, "record", [bytes(PORT_FRAME_BYTES_MAX + 2**20)]])
        with pytest.raises(PortError, match=f"more than {PORT_FRAME_BYTES_MAX} bytes"):
            pour(pair, frame(body), 1)


def test_largest_frames_are_taken_one_behind_the_other() -> None:
    with Pair() as pair:
        size = PORT_FRAME_BYTES_MAX - 15
        body = encode([2, "record", [bytes(size)]])
        assert len(body) == PORT_FRAME_BYTES_MAX
        stream = (frame(body) + STREAM) * 3
        found = pour(pair, stream, 3 * (1 + len(MESSAGES)))
        assert [len(m[2][0]) for m in found[:: 1 + len(MESSAGES)]] == [size] * 3
        assert found[1 : 1 + len(MESSAGES)] == MESSAGES


def test_stream_without_a_pause_holds_no_more_than_a_read() -> None:
    """Frame boundaries never fall on the ends of reads, and nothing is kept for it."""
    with Pair() as pair:
        wanted = [2, "record", [bytes(999)]]
        for _ in range(60):
            found = pour(pair, frame(encode(wanted)) * 1_000, 1_000)
            assert found == [wanted] * 1_000
        bad = frame(b"\x94\x00\x07\xa4call" + BAD_PARAMS)
        assert pour(pair, bad + STREAM, 1 + len(MESSAGES))[1:] == MESSAGES


def pour(pair: Pair, stream: bytes, count: int) -> list[Any]:
    """Send and receive at once until `count` messages have come."""
    pair.peer.setblocking(False)
    found: list[Any] = []
    view, sent = memoryview(stream), 0
    while len(found) < count:
        if sent < len(view):
            sent += pair.peer.send(view[sent : sent + 100_003])
        while len(found) < count and pair.port.receive(wait=False):
            found += pair.port.messages()
    return found


def test_receive_tells_nothing_there_from_the_end() -> None:
    with Pair() as pair:
        assert pair.port.receive(wait=False) is None
        pair.peer.sendall(STREAM[:10])
        assert pair.port.receive(wait=True) is True
        assert list(pair.port.messages()) == []
        pair.peer.close()
        assert pair.port.receive(wait=True) is False


def test_end_with_unread_bytes_on_both_sides_is_an_end() -> None:
    """The peer died with our responses unread: the kernel says reset, behind what it had sent."""
    with Pair() as pair:
        pair.peer.sendall(STREAM)
        pair.port.send([2, "ready", [1]])
        pair.peer.close()
        assert pair.port.receive(wait=True) is True
        assert list(pair.port.messages()) == MESSAGES
        assert pair.port.receive(wait=True) is False


def test_nothing_is_sent_before_the_flush_and_nothing_to_a_peer_that_is_gone() -> None:
    with Pair() as pair:
        pair.port.parts.append(b"abc")
        pair.peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            pair.peer.recv(10)
        pair.port.flush()
        assert pair.peer.recv(10) == b"abc"
        pair.port.parts.append(b"dropped")
        pair.port.drop()
        pair.port.flush()
        pair.peer.close()
        pair.port.send([1])
        assert pair.port.broken
        pair.port.send([2])
        assert FLUSH_RESPONSES == 32


def test_nothing_follows_on_half_a_frame() -> None:
    ours, peer = socket.socketpair()
    with peer, Interrupted(fileno=ours.detach()) as connection:
        port = Port(connection)
        with pytest.raises(KeyError):
            port.send(MESSAGES[2])
        port.send(MESSAGES[1])
        half = frame(encode(MESSAGES[2]))
        assert peer.recv(len(STREAM)) == half[: len(half) // 2]
        assert peer.recv(1) == b""
        assert port.receive(wait=True) is False
