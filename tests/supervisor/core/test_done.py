"""The idempotency table: what it remembers, what it forgets, and that it knows what it forgot."""

from hypothesis import given
from hypothesis import strategies as st

from osupervisor.bridge import packing
from osupervisor.supervisor.core.done import (
    CLIENT_AHEAD_US_MAX,
    FLOOR_ALL,
    OUTCOME_HELD_BYTES_MAX,
    Done,
    DoneTable,
)
from tests.supervisor.core.rig import BEGIN_US, client

NOW = BEGIN_US
OUTCOME = b"\xc0\x01"


def _table(
    window_us: int = 1000, keys_max: int = 4, clients_max: int = 3, entries_max: int = 100
) -> DoneTable:
    return DoneTable(window_us, keys_max, clients_max, entries_max)


def test_an_outcome_is_found_under_its_key() -> None:
    table = _table()
    table.put("k", 0, 1, NOW, 11, OUTCOME)
    table.put((client(), 5), 5, 2, NOW, 12, OUTCOME)
    assert table.get("k") == Done(1, 11, OUTCOME)
    assert table.get((client(), 5)) == Done(2, 12, OUTCOME)
    assert table.get((client(), 6)) is None and table.get("l") is None


def test_a_long_outcome_is_left_in_the_log() -> None:
    table = _table()
    for size, held in ((OUTCOME_HELD_BYTES_MAX, True), (OUTCOME_HELD_BYTES_MAX + 1, False)):
        table.put("k", 0, 1, NOW, 0, bytes(size))
        table.put((client(), 1), 1, 1, NOW, 0, bytes(size))
        for key in ("k", (client(), 1)):
            found = table.get(key)
            assert found is not None and (found.outcome is not None) is held


def test_casts_and_calls_without_a_key_are_not_kept() -> None:
    table = _table()
    table.put((1, 2, 0), 0, 1, NOW, 0, OUTCOME)
    table.put((7, 1), 0, 2, NOW, 0, OUTCOME)
    assert not table.strings and not table.clients


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), max_size=40))
def test_seen_drops_all_below_it_and_nothing_else(calls: list[tuple[int, int]]) -> None:
    table, model, seen = _table(), dict[int, int](), 0
    for lsn, (number, says) in enumerate(calls, 1):
        table.put((client(), number), min(says, number), lsn, NOW, 0, OUTCOME)
        seen = max(seen, min(says, number))
        model[number] = lsn
        model = {known: at for known, at in model.items() if known >= seen}
        window = table.clients[client()]
        assert {known: done.lsn for known, done in window.done.items()} == model
        assert table.entries == len(model) and window.seen == seen


def test_of_too_many_string_keys_the_oldest_go() -> None:
    table = _table(keys_max=4)
    for lsn in range(1, 8):
        table.put(f"k{lsn}", 0, lsn, NOW, 0, OUTCOME)
    assert list(table.strings) == ["k4", "k5", "k6", "k7"]


def test_string_keys_live_for_the_window() -> None:
    table = _table(window_us=1000, keys_max=100)
    table.put("old", 0, 1, NOW, 0, OUTCOME)
    table.put("young", 0, 2, NOW + 900, 0, OUTCOME)
    table.put("new", 0, 3, NOW + 1001, 0, OUTCOME)
    assert list(table.strings) == ["young", "new"]


def test_a_silent_client_is_forgotten_and_that_is_known() -> None:
    table = _table(window_us=1000)
    old, young = client(), client(-0.0005, b"abcdefgh")
    table.put((old, 1), 1, 1, NOW, 0, OUTCOME)
    assert not table.may_be_forgotten(young, 1, NOW)
    table.put((young, 1), 1, 2, NOW + 1001, 0, OUTCOME)
    assert old not in table.clients
    assert table.may_be_forgotten(old, 1, NOW + 1001)
    assert not table.may_be_forgotten(young, 1, NOW + 1001)


def test_of_too_many_clients_the_longest_silent_go_never_the_present_one() -> None:
    table = _table(clients_max=2)
    names = [client(n, b"x" * 8) for n in range(5)]
    for lsn, name in enumerate(names, 1):
        table.put((name, 1), 1, lsn, NOW, 0, OUTCOME)
        assert name in table.clients and len(table.clients) <= 2
    table.put((names[3], 2), 1, 6, NOW, 0, OUTCOME)
    assert set(table.clients) == {names[3], names[4]}


def test_a_client_forgotten_while_a_call_was_on_its_way_can_do_nothing_new() -> None:
    """A call before it may have been executed, and a copy of that may still come."""
    table = _table(clients_max=1)
    table.put((client(), 1), 1, 1, NOW, 0, OUTCOME)
    table.put((client(-0.001, b"abcdefgh"), 1), 1, 2, NOW, 0, OUTCOME)
    table.put((client(), 2), 1, 3, NOW, 0, OUTCOME)
    assert table.clients[client()].floor == FLOOR_ALL
    assert table.get((client(), 2)) is not None


def test_a_name_from_a_clock_a_little_ahead_is_forgotten_like_any_other() -> None:
    table = _table(clients_max=1)
    ahead = client(-5)
    table.put((ahead, 1), 1, 1, NOW, 0, OUTCOME)
    table.put((client(), 1), 1, 2, NOW, 0, OUTCOME)
    assert table.may_be_forgotten(ahead, 1, NOW)


def test_a_name_from_far_ahead_is_of_another_form_and_shuts_nobody_out() -> None:
    table = _table(clients_max=1)
    far = client(-2 * CLIENT_AHEAD_US_MAX / 1e6)
    table.put((far, 1), 1, 1, NOW, 0, OUTCOME)
    table.put((client(), 1), 1, 2, NOW, 0, OUTCOME)
    assert far not in table.clients
    assert not table.may_be_forgotten(client(-0.001), 1, NOW)
    assert table.may_be_forgotten(far, 2, NOW) and not table.may_be_forgotten(far, 1, NOW)


def test_a_client_that_never_says_what_it_has_seen_loses_its_older_half() -> None:
    table = _table(entries_max=10)
    modest = client(name=b"abcdefgh")
    table.put((modest, 1), 1, 1, NOW, 0, OUTCOME)
    for number in range(1, 100):
        table.put((client(), number), 0, number + 1, NOW, 0, OUTCOME)
        assert table.entries <= 10
    window = table.clients[client()]
    assert table.get((modest, 1)) is not None
    assert min(window.done) == window.floor > 85 and max(window.done) == 99


def test_the_window_that_is_held_is_told() -> None:
    table = _table(window_us=1000, keys_max=4)
    table.put("k0", 0, 1, NOW, 0, OUTCOME)
    assert table.window_held_us(NOW) == 1000
    for n in range(1, 8):
        table.put(f"k{n}", 0, n + 1, NOW + 10 * n, 0, OUTCOME)
    assert table.window_held_us(NOW + 70) == 30


def test_a_table_that_forgot_the_largest_number_fits_into_a_control_record() -> None:
    table = _table(entries_max=1)
    for name in (b"a", b"b"):
        table.put((name, 2**64 - 1), 0, 1, NOW, 0, OUTCOME)
    assert any(window.floor for window in table.clients.values())
    assert packing.pack(table.dump())
