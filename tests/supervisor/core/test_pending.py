"""Effects of a commit, and the table of what they asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.bridge import packing
from osupervisor.supervisor.core import pending
from osupervisor.supervisor.core.pending import DELAY_US_MAX, Pending
from tests.supervisor.core.rig import after, cast, effects


def _cast(op: str, argument: int) -> list[object]:
    return ["cast", op, [argument], {}]


def _after(op: str, delay_us: int) -> list[object]:
    return ["after", delay_us, op, [], {"k": "v"}]


def _emit(event: str) -> list[object]:
    return ["emit", event, {"deep": [[1]]}]


ops = st.text(max_size=10)
asked = st.one_of(
    st.builds(_cast, ops, st.integers(0, 9)),
    st.builds(_after, ops, st.integers(0, DELAY_US_MAX)),
    st.builds(_emit, ops),
)


@given(st.lists(asked, max_size=20), st.integers(1, 99), st.integers(1, 2**40))
def test_casts_and_timers_are_found_in_order(
    wanted: list[list[object]], epoch: int, lsn: int
) -> None:
    found = pending.parse_effects(effects(*wanted), epoch, lsn, 1000)
    expected = [
        ((epoch, lsn, i), Pending(1000 + _delay(each), _call(each)))
        for i, each in enumerate(wanted)
        if each[0] != "emit"
    ]
    assert found == expected


def _delay(effect: list[object]) -> int:
    return effect[1] if effect[0] == "after" and isinstance(effect[1], int) else 0


def _call(effect: list[object]) -> bytes:
    return b"".join(packing.pack(part) for part in effect[-3:])


@given(st.lists(asked, max_size=20))
def test_the_table_comes_back_from_a_control_record_in_its_order(
    wanted: list[list[object]],
) -> None:
    table = dict(pending.parse_effects(effects(*wanted), 1, 2, 3))
    dumped = packing.unpack(packing.pack(pending.dump(table)))
    assert list(pending.restore(dumped).items()) == list(table.items())


@given(st.lists(asked, min_size=1, max_size=4), st.data())
def test_effects_cut_anywhere_are_refused(wanted: list[list[object]], data: st.DataObject) -> None:
    whole = effects(*wanted)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError):
        pending.parse_effects(whole[:cut], 1, 2, 3)


@given(st.binary(max_size=40))
def test_any_bytes_are_effects_or_a_value_error(garbage: bytes) -> None:
    try:
        pending.parse_effects(garbage, 1, 2, 3)
    except ValueError:
        pass


@pytest.mark.parametrize(
    "wrong",
    [
        ["after", -1, "op", [], {}],
        ["after", DELAY_US_MAX + 1, "op", [], {}],
        ["after", 1.5, "op", [], {}],
        ["after", 1, "op", []],
        ["cast", "op", [], {}, 1],
        ["emit", "event"],
        ["skill", "op", [], {}],
        [],
    ],
)
def test_what_is_no_effect_is_refused(wrong: list[object]) -> None:
    with pytest.raises(ValueError):
        pending.parse_effects(effects(cast(), wrong), 1, 2, 3)


def test_the_longest_timer_fits_into_a_control_record() -> None:
    table = dict(pending.parse_effects(effects(after(DELAY_US_MAX / 1e6)), 1, 2, 2**62))
    assert packing.pack(pending.dump(table))


@pytest.mark.parametrize("begin", [b"\x91\x95", b"\x91\x95\xa5after"])
def test_levels_that_can_be_read_and_not_shown_are_refused(begin: bytes) -> None:
    with pytest.raises(ValueError):
        pending.parse_effects(begin + b"\x91" * 1000 + b"\x90" * 4, 1, 2, 3)
