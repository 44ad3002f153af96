"""`brain.call` off its bytes: as decoding it whole says, and no error but the declared one."""

import random
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from osupervisor.bridge.call import NESTING_MAX, Call, parse_call
from osupervisor.bridge.call_encoder import CallEncoder, CallOptions
from osupervisor.bridge.call_options import OPTIONS_BYTES_MAX, read_options
from osupervisor.bridge.errors import RemoteProtocolError
from osupervisor.bridge.frames import FRAME_BYTES_MAX
from osupervisor.bridge.packing import pack
from osupervisor.bridge.port_messages import request_bytes
from tests.bridge.calls import ARGS, IDS, KWARGS, NO_ARGS, OPS, body, nested, options, unpacked

CLIENT = bytes(range(200, 216))
LIBRARY = CallEncoder(CLIENT)
PARAMS: list[object] = ["add", [], {}, {}]


def call(data: bytes) -> Call:
    found = parse_call(data)
    assert found is not None
    return found


@given(IDS, OPS, ARGS, KWARGS, options())
def test_a_call_is_what_decoding_it_whole_gives(
    call_id: int, op: str, args: list[object], kwargs: dict[str, object], said: dict[str, object]
) -> None:
    found = call(body(call_id, op, args, kwargs, said))
    assert found == Call(
        call_id,
        op,
        pack(op) + pack(args) + pack(kwargs),
        cast("tuple[bytes, int] | None", said.get("key")),
        cast(int, said.get("seen", 0)),
        cast("str | None", said.get("session")),
        cast("float | None", said.get("timeout_s")),
        cast("None", said.get("durability")),
    )


@given(OPS, ARGS, KWARGS, st.integers(0, 2**64 - 1), st.data())
def test_the_librarys_encoding_says_the_same_as_any_other(
    op: str, args: list[object], kwargs: dict[str, object], number: int, data: st.DataObject
) -> None:
    seen = data.draw(st.integers(0, number))
    frame = LIBRARY.frame(op, tuple(args), kwargs, number, seen)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    plain = body(number, op, args, kwargs, {"key": [CLIENT, number], "seen": seen})
    assert call(frame[4:]) == call(plain)
    assert call(frame[4:]).key == (CLIENT, number)


def test_what_looks_like_the_librarys_options_inside_of_an_argument_is_an_argument() -> None:
    tail = LIBRARY.frame("a", (), {}, 9, 9)[-43:]
    trap = b"\x94\x00\xce\x00\x00\x00\x09\xaabrain.call\x94" + pack("put") + b"\x90"
    trap += b"\x80" + b"\x81\xa7session" + b"\xd9\x3b" + b"0123456789abcdef" + tail
    with pytest.raises(RemoteProtocolError):  # The session isn't UTF-8.
        parse_call(trap)
    inner = b"\x94\x00\xce\x00\x00\x00\x09\xaabrain.call\x94" + pack("put")
    inner += b"\x91" + pack(b"x" * 20 + tail) + b"\x80" + b"\x80"
    assert call(inner).key is None
    assert unpacked(b"\x93" + call(inner).params)[1] == [b"x" * 20 + tail]


def test_a_request_holds_the_params_as_they_came() -> None:
    found = call(LIBRARY.frame("add", ("hits",), {"n": 3}, 7, 7)[4:])
    request = request_bytes(found.params, 2**62, 2**63 - 1)
    assert unpacked(request) == ["add", ["hits"], {"n": 3}, 2**62, 2**63 - 1]
    assert request[-18:] == b"\xcf\x40" + bytes(7) + b"\xcf\x7f" + b"\xff" * 7


@pytest.mark.parametrize(
    "head",
    [
        b"\x94\x00\x07\xaabrain.call\x94",
        b"\x94\x00\xcc\x07\xaabrain.call\x94",
        b"\x94\x00\xcd\x00\x07\xaabrain.call\x94",
        b"\x94\x00\xcf" + bytes(7) + b"\x07\xaabrain.call\x94",
        b"\x94\x00\xd0\x07\xaabrain.call\x94",
        b"\x94\x00\xd3" + bytes(7) + b"\x07\xaabrain.call\x94",
        b"\xdc\x00\x04\xcc\x00\x07\xd9\x0abrain.call\xdd\x00\x00\x00\x04",
    ],
)
def test_any_encoding_of_the_head_is_understood(head: bytes) -> None:
    found = call(head + b"\xd9\x03add\xdc\x00\x00\xde\x00\x00\x80")
    assert (found.id, found.op, found.params) == (7, "add", b"\xd9\x03add\xdc\x00\x00\xde\x00\x00")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x93\x00\x07\xaabrain.call",
        pack([1, 7, None, None]),
        pack([2, "kernel.error", NO_ARGS]),
        pack([0, 7, "kernel.ping", NO_ARGS]),
        pack([0.0, 7, "brain.call", PARAMS]),
        pack([False, 7, "brain.call", PARAMS]),
        pack([0, 7, b"brain.call", PARAMS]),
        pack([[0] * 100, 7, "brain.call", PARAMS]),
        pack([0, 7, {"brain.call": 1}, PARAMS]),
        pack({0: 7}),
        pack("brain.call" * 9),
    ],
)
def test_other_messages_are_not_calls(data: bytes) -> None:
    assert parse_call(data) is None


@pytest.mark.parametrize("call_id", [-1, 1.0, None, "7", True])
def test_an_id_is_a_uint64(call_id: object) -> None:
    with pytest.raises(RemoteProtocolError, match="an id is a uint64") as caught:
        parse_call(body(call_id))
    assert caught.value.request_id is None


BAD_PARAMS: list[tuple[object, str]] = [
    ([], "params of brain.call"),
    (["add", [], {}], "params of brain.call"),
    (["add", [], {}, {}, 1], "params of brain.call"),
    ({"op": "add"}, "params of brain.call"),
    (["", [], {}, {}], "an op is"),
    ([b"add", [], {}, {}], "an op is"),
    ([7, [], {}, {}], "an op is"),
    ([["add"] * 9, [], {}, {}], "an op is"),
    (["a" * 129, [], {}, {}], "an op is"),
    (["é" * 65, [], {}, {}], "an op is"),
    (["add", {}, {}, {}], "args must be an array"),
    (["add", [], [], {}], "kwargs a map"),
    (["add", None, None, {}], "args must be an array"),
    (["add", [], {}, []], "options must be a map"),
    (["add", [], {}, None], "options must be a map"),
    (["add", [], {}, "x" * OPTIONS_BYTES_MAX], "options are at most"),
]


@pytest.mark.parametrize(("params", "message"), BAD_PARAMS)
def test_what_is_wrong_with_a_call_is_said_and_whose_it_is(params: object, message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=message) as caught:
        parse_call(pack([0, 7, "brain.call", params]))
    assert caught.value.request_id == 7


@pytest.mark.parametrize("op", ["a", "a" * 31, "a" * 32, "a" * 128, "é" * 64])
def test_an_op_has_up_to_128_bytes(op: str) -> None:
    assert call(body(op=op)).op == op
    assert call(LIBRARY.frame(op, (), {}, 1, 1)[4:]).op == op


@pytest.mark.parametrize(
    "said",
    [
        {"key": ""},
        {"key": "k" * 129},
        {"key": 7},
        {"key": b"bytes"},
        {"key": None},
        {"key": []},
        {"key": ["c"]},
        {"key": ["c", 1, 2]},
        {"key": ["", 1]},
        {"key": ["c" * 65, 1]},
        {"key": ["é" * 33, 1]},
        {"key": [b"", 1]},
        {"key": [7, 1]},
        {"key": ["c", -1]},
        {"key": ["c", 1.0]},
        {"key": ["c", True]},
        {"key": ["c", "1"]},
        {"seen": 1},
        {"seen": 0},
        {"key": "k", "seen": 0},
        {"key": "k", "seen": 1},
        {"key": ["c", 5], "seen": 6},
        {"key": ["c", 5], "seen": -1},
        {"key": ["c", 5], "seen": 1.0},
        {"key": ["c", 5], "seen": None},
        {"session": ""},
        {"session": 7},
        {"session": "s" * 129},
        {"session": "é" * 65},
        {"timeout_s": 0},
        {"timeout_s": -1},
        {"timeout_s": float("nan")},
        {"timeout_s": float("inf")},
        {"timeout_s": True},
        {"timeout_s": "1"},
        {"timeout_s": 86_401},
        {"durability": "never"},
        {"durability": None},
        {"durability": ["always"]},
        {"timeout": 1},
        {7: 1},
    ],
)
def test_a_bad_option_is_refused_and_named(said: dict[object, object]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_call(body(said=said))
    assert caught.value.request_id == 7
    assert caught.value.hint
    with pytest.raises(RemoteProtocolError):
        read_options(said)


def test_options_of_the_clients_are_those_of_the_page() -> None:
    said = CallOptions(("c", 5), session="s", timeout_s=1.5, durability="always")
    found = call(LIBRARY.frame("add", (1,), {"n": 2}, 9, 4, said)[4:])
    params = pack("add") + pack([1]) + pack({"n": 2})
    assert found == Call(9, "add", params, ("c", 5), 0, "s", 1.5, "always")
    own = call(LIBRARY.frame("add", (), {}, 9, 4, CallOptions(timeout_s=2))[4:])
    assert (own.key, own.seen, own.timeout_s) == ((CLIENT, 9), 4, 2.0)
    keyless = call(LIBRARY.frame("load", (), {}, 9, 4, CallOptions(keyless=True))[4:])
    assert (keyless.key, keyless.seen) == (None, 0)


@given(OPS, ARGS, KWARGS, options(), st.booleans())
def test_any_options_of_the_clients_arrive(
    op: str, args: list[object], kwargs: dict[str, object], drawn: dict[str, Any], keyless: bool
) -> None:
    drawn.pop("seen", None)
    said = CallOptions(**drawn, keyless=keyless)
    found = call(LIBRARY.frame(op, tuple(args), kwargs, 9, 4, said)[4:])
    library = (CLIENT, 9), 4
    key, seen = (drawn.get("key"), 0) if keyless or "key" in drawn else library
    assert found == Call(
        9,
        op,
        pack(op) + pack(args) + pack(kwargs),
        key,
        seen,
        drawn.get("session"),
        drawn.get("timeout_s"),
        drawn.get("durability"),
    )


@pytest.mark.parametrize("padding", [b"", b"\xc3\xa9" * 300, b"x" * 300, b"x" * 5000])
@pytest.mark.parametrize("encoding", ["library", "any"])
def test_nesting_is_limited_exactly(padding: bytes, encoding: str) -> None:
    def data(levels: int, in_kwargs: bool) -> bytes:
        args: list[object] = [padding.decode()]
        kwargs: dict[str, object] = {}
        if in_kwargs:
            kwargs["n"] = nested(levels - 1)
        else:
            args.append(nested(levels - 1))
        if encoding == "library":
            return LIBRARY.frame("add", tuple(args), kwargs, 7, 7)[4:]
        return body(7, "add", args, kwargs)

    for in_kwargs in (False, True):
        assert call(data(NESTING_MAX, in_kwargs)).op == "add"
        with pytest.raises(RemoteProtocolError, match="levels deep") as caught:
            parse_call(data(NESTING_MAX + 1, in_kwargs))
        assert caught.value.request_id == 7


@pytest.mark.parametrize("levels", [1020, 1023, 1024, 1025, 5000, 100_000])
def test_nesting_beyond_what_the_decoder_follows_is_refused(levels: int) -> None:
    data = b"\x94\x00\x07\xaabrain.call\x94\xa3add" + b"\x91" * levels + b"\xc0\x80\x80"
    with pytest.raises(RemoteProtocolError):
        parse_call(data)


def test_a_call_as_long_as_a_frame_is_read_and_its_decoder_is_not_kept() -> None:
    blob = bytes(FRAME_BYTES_MAX - 200)
    assert len(call(LIBRARY.frame("put", (blob,), {}, 1, 1)[4:]).params) > len(blob)


GOLDEN = [
    LIBRARY.frame("add", ("hits", [1, 2]), {"n": 3, "é": None}, 77, 70)[4:],
    body(300, "add", ["hits"], {"n": 1.5}, {"key": ["client", 5], "seen": 4, "timeout_s": 2}),
    body(3, "add", [], {}, {"key": "mine", "session": "s", "durability": "always"}),
]


@pytest.mark.parametrize("data", GOLDEN)
def test_a_call_cut_anywhere_is_refused(data: bytes) -> None:
    for size in range(len(data)):
        try:
            assert parse_call(data[:size]) is None
        except RemoteProtocolError:
            pass


@pytest.mark.parametrize("data", GOLDEN)
def test_a_call_with_bytes_behind_it_is_refused(data: bytes) -> None:
    for more in (b"\xc0", b"\x00", data, data[-43:]):
        with pytest.raises(RemoteProtocolError):
            parse_call(data + more)


@pytest.mark.parametrize("data", GOLDEN)
def test_a_call_with_a_byte_changed_is_refused_or_as_decoding_it_whole_says(data: bytes) -> None:
    for at in range(len(data)):
        for byte in range(256):
            check_against_decoding(data[:at] + bytes([byte]) + data[at + 1 :])


@given(st.binary(max_size=120))
@example(b"\x94\x00\x07\xaabrain.call\x94\xa3add\x90\x80\xdf\xff\xff\xff\xff")
@example(b"\x94\x00\x07\xaabrain.call\x94\xa3add\xdd\xff\xff\xff\xff\x80\x80")
@example(b"\x94\x00\x07\xaabrain.call\x94\xdb\xff\xff\xff\xffadd\x90\x80\x80")
def test_garbage_is_refused(data: bytes) -> None:
    check_against_decoding(data)
    check_against_decoding(b"\x94\x00\x07\xaabrain.call\x94" + data)


def test_spliced_calls_are_refused_or_as_decoding_them_whole_says() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(30_000):
        one, other = rng.choice(GOLDEN), rng.choice(GOLDEN)
        spliced = one[: rng.randrange(len(one))] + other[rng.randrange(len(other)) :]
        check_against_decoding(spliced)


def check_against_decoding(data: bytes) -> None:
    """A call that is accepted is one that a whole decoding finds, with the same parts."""
    try:
        found = parse_call(data)
    except RemoteProtocolError:
        return
    if found is None:
        return
    try:
        value = unpacked(data)
    except UnicodeDecodeError:
        return  # In the arguments, which only the brain decodes.
    except (ValueError, TypeError):
        op, args, kwargs = lenient(found.params)
    else:
        assert value[:3] == [0, found.id, "brain.call"]
        op, args, kwargs = value[3][:3]
        assert read_options(value[3][3]) == (
            found.key,
            found.seen,
            found.session,
            found.timeout_s,
            found.durability,
        )
    assert op == found.op
    assert type(args) is list and type(kwargs) is dict


def lenient(params: bytes) -> list[object]:
    """Op, args and kwargs where a whole decoding fails: what fails lies in the arguments."""
    op = parse_call(b"\x94\x00\x07\xaabrain.call\x94" + params + b"\x80")
    assert op is not None
    return [op.op, [], {}]


@settings(max_examples=30)
@given(st.lists(st.sampled_from([*GOLDEN, b"\xc1", GOLDEN[0][:-1], GOLDEN[1] + b"\x00"])))
def test_a_refused_call_leaves_nothing_behind_for_the_next(bodies: list[bytes]) -> None:
    for data in bodies:
        if data in GOLDEN:
            assert call(data) == call(bytes(data))
        else:
            check_against_decoding(data)
