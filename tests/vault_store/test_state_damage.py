"""A state file that is not what was written: always found, named by offset, never a crash."""

import random
import struct
import tracemalloc
import zlib
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from osupervisor.vault_store import state_format as form
from osupervisor.vault_store.errors import CorruptCheckpointError
from osupervisor.vault_store.state_format import Label
from osupervisor.vault_store.state_reader import check_state, read_state
from tests.vault_store.state_files import assemble, block, pack, read, stored, units, write

# Several blocks in some hundred bytes: most of it compresses to nothing.
STATE: dict[str, Any] = {
    "t": "x" * 2_500_000,
    "d": {str(i): {"n": i} for i in range(5)},
    "l": [0] * 10_000,
}


@pytest.fixture(scope="module")
def content() -> bytes:
    whole, _ = write(STATE, {"hits": 3})
    assert len(units(whole)) >= 8, "at least three blocks"
    return whole


def refused(content: bytes) -> CorruptCheckpointError:
    """The error with which both ways to read a file refuse it."""
    with stored(content) as fd:
        with pytest.raises(CorruptCheckpointError) as checked:
            check_state(fd, path="here/state.zst")
        with pytest.raises(CorruptCheckpointError) as raised:
            read_state(fd, path="here/state.zst")
    assert raised.value.path == "here/state.zst"
    assert (raised.value.offset, raised.value.reason) == (
        checked.value.offset,
        checked.value.reason,
    )
    assert f"byte {raised.value.offset}" in str(raised.value)
    return raised.value


def test_file_cut_at_every_byte_is_refused(content: bytes) -> None:
    starts = units(content)
    for end in range(len(content)):
        unit = max(start for start in starts if start <= end)
        assert unit <= refused(content[:end]).offset <= end


def test_every_flipped_bit_is_found_in_the_part_where_it_is(content: bytes) -> None:
    starts = units(content)
    for bit in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        unit = max(start for start in starts if start <= bit // 8)
        assert refused(bytes(flipped)).offset == unit, f"bit {bit}"


def test_every_byte_replaced_by_another_is_found(content: bytes) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    for offset in range(len(content)):
        changed = bytearray(content)
        changed[offset] = (changed[offset] + source.randrange(1, 256)) % 256
        refused(bytes(changed))


def test_file_that_goes_on_is_refused(content: bytes) -> None:
    for tail in (b"\0", content, form.pack_header()):
        assert refused(content + tail).offset == len(content)


def test_blocks_left_out_twice_or_in_another_order_are_refused(content: bytes) -> None:
    starts = units(content)
    head, one, two = starts[1], starts[3], starts[5]
    first, second = content[head:one], content[one:two]
    rest = content[two:]
    for blocks in (second, second + first, first + first + second, first):
        assert refused(content[:head] + blocks + rest).offset >= head


def test_another_version_is_refused_by_name() -> None:
    content, _ = write({})
    head = bytearray(content[: form.HEADER_BYTES])
    struct.pack_into("<I", head, 16, 2)
    struct.pack_into("<I", head, 20, zlib.crc32(head[:20]))
    assert "version 2" in refused(bytes(head) + content[form.HEADER_BYTES :]).reason


def test_whole_file_that_is_not_the_manifests_is_refused() -> None:
    one, first = write({"a": 1})
    other, second = write({"a": 2})
    assert first.bytes == second.bytes
    with pytest.raises(CorruptCheckpointError, match="manifest"):
        read(one, second)
    read(one, first)
    read(other, second)


@pytest.mark.parametrize("junk", [b"", b"\0" * 100, b"OSVSTATE" * 9, b"\x50\x2a\x4d\x18" * 30])
def test_file_that_is_none_of_ours_is_refused(junk: bytes) -> None:
    refused(junk)


def test_random_files_are_refused_and_nothing_else_happens() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    whole, _ = write({"a": [1, 2, {"b": "c" * 50}]})
    for _ in range(2_000):
        content = bytearray(whole)
        for _ in range(source.randrange(1, 5)):
            start = source.randrange(len(content))
            content[start : start + source.randrange(20)] = source.randbytes(source.randrange(20))
        if bytes(content) != whole:
            refused(bytes(content))


BALLOONS = {
    "array of 4 billion": b"\x92\x01\xdd\xff\xff\xff\xff",
    "array of a million": b"\x92\x01\xdd\x00\x0f\xff\xff" + b"\xc0" * 100,
    "map of 4 billion": b"\x92\x01\xdf\xff\xff\xff\xff",
    "text of 4 billion": b"\x92\x06\xdb\xff\xff\xff\xff",
    "bytes of 4 billion": b"\x92\x06\xc6\xff\xff\xff\xff",
    "extension of 4 billion": b"\x92\x01\x91\xc9\xff\xff\xff\xff\x01",
    "arrays in arrays": b"\x92\x01" + b"\xdd\x00\x00\x1f\xff" * 900,
    "ten thousand deep": b"\x92\x01" + b"\x91" * 10_000 + b"\xc0",
}


@pytest.mark.parametrize("name", BALLOONS)
def test_absurd_size_under_a_right_checksum_takes_no_memory(name: str) -> None:
    content = assemble([block(BALLOONS[name])])
    tracemalloc.start()
    try:
        with pytest.raises(CorruptCheckpointError):
            read(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # 900 arrays of 8,191 are the most that the bounds allow: 59 MB, mostly never touched.
    assert peak < (64 << 20 if name == "arrays in arrays" else 8 << 20)


def with_frame(frame: bytes, raw_bytes: int, trailer: form.Trailer | None = None) -> bytes:
    """A state file of one block, with this data frame under a right label."""
    label = form.pack_label(Label(0, len(frame), raw_bytes, zlib.crc32(frame)))
    end = form.pack_trailer(trailer or form.Trailer(1, raw_bytes, 0))
    return form.pack_header() + label + frame + end


RAW = block(pack([1, [{}, {}]]))
FRAME = zstandard.ZstdCompressor().compress(RAW)


@pytest.mark.parametrize("size", [0, len(RAW) - 1, len(RAW) + 1, 2**40, 2**64 - 1])
def test_frame_that_claims_another_size_takes_no_memory(size: int) -> None:
    """Labels and checksums are right; zstd's own header says a terabyte, or just one byte more."""
    assert FRAME[4] & 0xE0 == 0x20, "its content size stands in one byte"
    huge = FRAME[:4] + b"\xe0" + size.to_bytes(8, "little") + FRAME[6:]
    with pytest.raises(CorruptCheckpointError, match="not of the size in its label"):
        read(with_frame(huge, len(RAW)))


@pytest.mark.parametrize(
    "frame", [FRAME[:-1], FRAME + b"\0", FRAME + FRAME, FRAME[:6] + b"\xff" * 9, b"", b"\0" * 20]
)
def test_frame_that_can_not_be_decompressed_is_refused(frame: bytes) -> None:
    with pytest.raises(CorruptCheckpointError) as raised:
        read(with_frame(frame, len(RAW)))
    assert raised.value.offset == form.HEADER_BYTES + form.LABEL_BYTES


@pytest.mark.parametrize("blocks, raw_bytes", [(0, 0), (2, 0), (0, 1), (0, -1)])
def test_trailer_of_other_totals_is_refused(blocks: int, raw_bytes: int) -> None:
    trailer = form.Trailer(1 + blocks, len(RAW) + raw_bytes, 0)
    content = with_frame(FRAME, len(RAW), trailer)
    if (blocks, raw_bytes) == (0, 0):
        assert read(content) == ({}, {})
        return
    with pytest.raises(CorruptCheckpointError, match="totals"):
        read(content)


def test_block_beyond_the_writers_bound_is_refused() -> None:
    with pytest.raises(CorruptCheckpointError, match="a block of"):
        read(assemble([b"\xc0" * (form.BLOCK_RAW_MAX + 1)]))


def test_instruction_across_two_blocks_is_refused() -> None:
    whole = block(pack([1, [{}, {}]]))
    assert read(assemble([whole])) == ({}, {})
    for cut in range(1, len(whole)):
        with pytest.raises(CorruptCheckpointError, match="makes no sense"):
            read(assemble([whole[:cut], whole[cut:]]))
    with pytest.raises(CorruptCheckpointError, match="makes no sense"):
        read(assemble([whole + whole]))


ODD: list[list[Any]] = [
    [],
    [[7]],
    [[1, [{}]]],
    [[1, [{}, {}, {}]]],
    [[1, [{}, []]]],
    [[1, [{}]], [2, None]],
    [[2, None], [7], [2, "key in a list"], [7]],
    [[2, None], [0, ["a"], []], [7], [2, None], [7]],
    [[2, None], [0, [["list as key"]], [1]], [7], [2, None], [7]],
    [[2, None], [2, None], [7], [7], [2, None], [7]],
    [[2, None], [8, "no key held"], [7], [2, None], [7]],
    [[2, None], [1, [1]], [7], [2, None], [7]],
    [[3, None], [0, [1], [1]], [7], [2, None], [7]],
    [[4, None], [6, b"bytes in a text"], [7]],
    [[5, None], [6, "text in bytes"], [7]],
    [[4, None], [6, 5], [7]],
    [[6, "nothing open"]],
    [[9, "not a bool"]],
    [[10]],
    [["0", 1]],
    [[[], 1]],
    [[1]],
    [[7, 7]],
]


@pytest.mark.parametrize("number", range(len(ODD)))
def test_instructions_against_the_rules_are_refused(number: int) -> None:
    with pytest.raises(CorruptCheckpointError):
        read(assemble([block(*map(pack, ODD[number]))]))


@pytest.mark.parametrize("item", [None, 1, "x", {}, {0: 1}])
def test_what_is_no_instruction_is_refused(item: Any) -> None:
    with pytest.raises(CorruptCheckpointError, match="makes no sense"):
        read(assemble([block(pack(item))]))


ARGUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 10) | st.text(max_size=3) | st.binary(max_size=3),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=2), below),
    max_leaves=6,
)
ANY_INSTRUCTION = st.tuples(st.integers(0, 10), st.lists(ARGUMENTS, max_size=3))


@settings(max_examples=500, deadline=None)
@given(sequence=st.lists(ANY_INSTRUCTION))
def test_any_sequence_of_instructions_is_followed_or_refused(
    sequence: list[tuple[int, list[Any]]],
) -> None:
    raw = block(*(pack([code, *rest]) for code, rest in sequence))
    try:
        state, hot = read(assemble([raw]))
    except CorruptCheckpointError:
        return
    assert type(state) is dict and type(hot) is dict
