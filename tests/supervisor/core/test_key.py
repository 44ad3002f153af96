"""Keys in memory and in a record's envelope."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.supervisor.core import key as keys
from osupervisor.supervisor.core.key import Key

u64 = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)
names = st.one_of(st.binary(max_size=64), st.text(max_size=16))
client_keys = st.tuples(names, u64)
pending_keys = st.tuples(u32, u64, u32)
all_keys: st.SearchStrategy[Key] = st.one_of(
    client_keys, st.text(max_size=128), pending_keys, st.tuples(u64, u64)
)

GOLDEN: list[tuple[Key, int, str]] = [
    ((b"\x01\x02", 7), 3, "93c40201020703"),
    (("name", 7), 3, "93a46e616d650703"),
    ("order-17", 0, "a86f726465722d3137"),
    ((1, 2, 0), 0, "93010200"),
    ((7, 1), 0, "920701"),
]


@pytest.mark.parametrize(("key", "seen", "golden"), GOLDEN)
def test_golden_bytes(key: Key, seen: int, golden: str) -> None:
    assert keys.encode(key, seen).hex() == golden
    assert keys.decode(bytes.fromhex(golden)) == (key, seen)


@given(all_keys, u64)
def test_a_key_comes_back_and_seen_with_a_clients_alone(key: Key, seen: int) -> None:
    assert keys.decode(keys.encode(key, seen)) == (key, seen if keys.is_client_key(key) else 0)


@given(all_keys)
def test_a_key_is_of_one_kind(key: Key) -> None:
    kinds = [isinstance(key, str), keys.is_client_key(key), keys.is_pending_key(key)]
    arrival = isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], int)
    assert [*kinds, arrival].count(True) == 1


@given(all_keys, all_keys)
def test_two_keys_have_two_envelopes(one: Key, other: Key) -> None:
    assert (keys.encode(one, 0) == keys.encode(other, 0)) == (one == other)


def test_a_string_of_three_characters_is_no_cast() -> None:
    assert not keys.is_pending_key("abc")


def test_described_for_people() -> None:
    assert keys.describe("k") == "k"
    assert keys.describe((b"\xff", 1)) == ["ff", 1]
    assert keys.describe((1, 2, 3)) == [1, 2, 3]
