"""The hot segment's bytes: golden, round trips, every flipped bit of a slot, any content."""

import random
import struct
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osupervisor.vault_store import hot_layout as layout
from osupervisor.vault_store.hot_layout import Activity, parse

EMPTY = bytes(layout.SEGMENT_BYTES)


def with_at(offset: int, content: bytes, under: bytes = EMPTY) -> bytes:
    return under[:offset] + content + under[offset + len(content) :]


def golden_segment() -> bytes:
    """A segment put together by hand, from docs/formats/HOT.md alone."""
    segment = bytearray(layout.SEGMENT_BYTES)
    struct.pack_into("=8sII", segment, 0, b"osv.hot\0", 1, 512)
    struct.pack_into("=Q", segment, 16, 4711)
    struct.pack_into("=QQ", segment, 128, 1_000, 7)
    struct.pack_into("=QQQ", segment, 192, 42, 900, 1234)
    body = b"place" + b"\x93\xa1c\x01\x00"
    head = struct.pack("=QQ", 3, 900)
    tail = struct.pack("=HH", 5, 5) + body + bytes(256 - 24 - len(body))
    struct.pack_into("=16sI236s", segment, 512, head, zlib.crc32(head + tail), tail)
    names = [(b"placed", 1, 12, 0.0), (b"load", 2, 0, 0.5)]
    for index, (name, kind, integer, real) in enumerate(names):
        offset = 1024 + index * 72
        crc = zlib.crc32(name)
        struct.pack_into("=qdIBB", segment, offset, integer, real, crc, kind, len(name))
        segment[offset + 24 : offset + 24 + len(name)] = name
    return bytes(segment)


def test_golden_segment_is_read() -> None:
    found = parse(golden_segment())
    assert found.valid
    assert (found.pid, found.heartbeat_ns, found.beats) == (4711, 1_000, 7)
    assert (found.cell, found.cell_since_ns, found.lsn) == (42, 900, 1234)
    assert found.activity == Activity("place", b"\x93\xa1c\x01\x00", 900)
    assert found.counters == {"placed": 12, "load": 0.5}


def test_untouched_segment_is_not_valid_and_says_nothing() -> None:
    found = parse(EMPTY)
    assert not found.valid
    assert found.activity is None
    assert found.counters == {}


@given(
    op=st.text(max_size=200),
    key=st.binary(max_size=200),
    since=st.integers(0, 2**64 - 1),
    number=st.integers(1, 2**64 - 1),
)
def test_activity_comes_back_cut_to_its_room(op: str, key: bytes, since: int, number: int) -> None:
    slot = layout.pack_activity(number, Activity(op, key, since))
    assert len(slot) == layout.SLOT_BYTES
    found = parse(with_at(layout.SLOT_OFFSETS[0], slot)).activity
    assert found is not None
    encoded = op.encode("utf-8", "replace")[: layout.OP_BYTES_MAX]
    assert found == Activity(encoded.decode("utf-8", "replace"), key[: layout.KEY_BYTES_MAX], since)


def test_newer_slot_counts_whichever_it_is() -> None:
    old = layout.pack_activity(6, Activity("old", b"", 1))
    new = layout.pack_activity(7, Activity("new", b"", 2))
    first, second = layout.SLOT_OFFSETS
    for one, other in ((old, new), (new, old)):
        found = parse(with_at(second, other, with_at(first, one))).activity
        assert found is not None and found.op == "new"


def test_every_flipped_bit_of_the_newer_slot_leaves_the_older_one() -> None:
    """A brain that dies inside the store of a slot tears that slot, and only that one."""
    old = layout.pack_activity(1, Activity("old", b"k", 1))
    new = layout.pack_activity(2, Activity("new", b"k", 2))
    below = with_at(layout.SLOT_OFFSETS[1], old)
    for bit in range(layout.SLOT_BYTES * 8):
        torn = bytearray(new)
        torn[bit // 8] ^= 1 << bit % 8
        found = parse(with_at(layout.SLOT_OFFSETS[0], bytes(torn), below)).activity
        assert found is not None and found.op == "old", f"bit {bit}"


def test_every_cut_of_a_slot_over_another_leaves_the_older_one() -> None:
    older = layout.pack_activity(1, Activity("oldest", b"k" * 90, 1))
    old = layout.pack_activity(2, Activity("old", b"k", 1))
    new = layout.pack_activity(3, Activity("new", b"m" * 100, 2))
    below = with_at(layout.SLOT_OFFSETS[1], old)
    for cut in range(layout.SLOT_BYTES):
        torn = new[:cut] + older[cut:]
        found = parse(with_at(layout.SLOT_OFFSETS[0], torn, below)).activity
        whole = torn == new
        assert found is not None and found.op == ("new" if whole else "old"), f"cut {cut}"


def test_every_flipped_bit_of_an_entrys_name_hides_the_entry() -> None:
    entry = bytearray(layout.pack_free_entry(b"placed"))
    entry[20] = layout.KIND_INT
    for bit in range((20 + 1) * 8, (24 + 6) * 8):
        if 22 * 8 <= bit < 24 * 8:
            continue  # padding
        torn = bytearray(entry)
        torn[bit // 8] ^= 1 << bit % 8
        assert parse(with_at(layout.TABLE_OFFSET, bytes(torn))).counters == {}, f"bit {bit}"


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), share=st.sampled_from([0.0001, 0.01, 1.0]))
def test_any_content_is_read_without_an_error(seed: int, share: float) -> None:
    source = random.Random(seed)
    segment = bytearray(golden_segment())
    for _ in range(max(1, int(share * 200))):
        start = source.randrange(layout.SEGMENT_BYTES)
        content = source.randbytes(source.choice((1, 8, 72, 4096)))[: layout.SEGMENT_BYTES - start]
        segment[start : start + len(content)] = content
    found = parse(bytes(segment))
    assert all(isinstance(name, str) for name in found.counters)


def test_random_segments_are_read_without_an_error() -> None:
    """As many as a second gives; a longer run: raise `seconds`."""
    seconds, seed = 1.0, random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    ends, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        content = bytearray(source.randbytes(layout.SEGMENT_BYTES))
        # Plausible kinds and lengths let more of the parser run.
        for entry in range(layout.COUNTERS_MAX):
            offset = layout.TABLE_OFFSET + entry * layout.ENTRY_BYTES
            content[offset + 20] = source.randrange(4)
            content[offset + 21] = source.randrange(64)
            name = bytes(content[offset + 24 : offset + 24 + content[offset + 21]])
            content[offset + 16 : offset + 20] = zlib.crc32(name).to_bytes(4, "little")
        parse(bytes(content))
        rounds += 1
    assert rounds > 0


def test_a_copy_of_another_size_is_our_own_bug() -> None:
    with pytest.raises(AssertionError):
        parse(b"short")
