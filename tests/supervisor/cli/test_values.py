"""Arguments to values, values to JSON, durations, records: without a service."""

import json
import math

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.config.duration import parse_duration
from osupervisor.supervisor.cli.failure import Misused
from osupervisor.supervisor.cli.records import call_text, line, readable
from osupervisor.supervisor.cli.values import duration, parse_path, parse_value, to_json

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
STATES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.binary(), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_is_read_as_json_and_shown_as_itself(value: object) -> None:
    assert parse_value(json.dumps(value)) == value
    assert to_json(value) == value


@given(st.text())
def test_any_text_is_a_value(text: str) -> None:
    value = parse_value(text)
    assert value == text or json.loads(text) == value


@given(STATES)
def test_whatever_a_brain_holds_can_be_shown(value: object) -> None:
    json.dumps(to_json(value), allow_nan=False)


def test_what_json_has_not_is_a_dict_of_one_member() -> None:
    assert to_json(b"\x00\xff") == {"bytes": "00ff"}
    assert to_json({1: "a"}) == {"map": [[1, "a"]]}
    assert to_json([math.inf]) == [{"float": "inf"}]
    assert to_json((1, 2)) == [1, 2]
    assert to_json({1, 2}).keys() == {"ext"}


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", []),
        ("a", ["a"]),
        ("a.0.b", ["a", 0, "b"]),
        ('["a.b", 0, ""]', ["a.b", 0, ""]),
        (" [] ", []),
        ("a b.c", ["a b", "c"]),
        (f"a.{2**64 - 1}.{2**64}", ["a", 2**64 - 1, str(2**64)]),
    ],
)
def test_a_path_is_dotted_or_an_array(text: str, keys: list[str | int]) -> None:
    assert parse_path(text) == keys


@pytest.mark.parametrize("text", ["a.", ".a", "a..b", "[", '["a"'])
def test_a_path_that_is_none(text: str) -> None:
    with pytest.raises(Misused):
        parse_path(text)


@pytest.mark.parametrize(
    "text", ["10", "2s", "5m", "500ms", "1h30m", "0.5", "0010", "1000000", "9999999s", "1us"]
)
def test_a_duration_is_what_the_settings_take_it_for(text: str) -> None:
    assert duration(text) == parse_duration(text)


@pytest.mark.parametrize("text", ["", "0", "0s", "s", "-1", "1e3", "soon", "²", "10 s s", "inf"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        duration(text)


def test_records_of_every_kind_are_readable() -> None:
    envelope = {"lsn": 7, "epoch": 2, "bytes": 64}
    lease = readable(
        {**envelope, "kind": "lease", "key": [], "request": [None, [3, "v"]], "commit": []}
    )
    assert lease["request"] == {"brain": 3, "code_version": "v"}
    death = readable({**envelope, "kind": "death", "key": [[2, 5, 0]], "request": [], "commit": []})
    assert death["key"] == {"epoch": 2, "lsn": 5, "i": 0}
    arrival = readable({**envelope, "kind": "death", "key": [[9, 1]], "request": [], "commit": []})
    assert arrival["key"] == {"boot": 9, "arrival": 1}
    outcome = "82a4636f6465a154a76d657373616765a16dc0"  # {"code": "T", "message": "m"}, nil
    verdict = readable(
        {
            **envelope,
            "kind": "verdict",
            "key": ["k"],
            "request": [["place", [1], {}, 5, 6]],
            "commit": [{"bytes": outcome}],
        }
    )
    assert verdict["commit"] == {"error": {"code": "T", "message": "m"}, "result": None}
    assert line(verdict).endswith("place(1) -> T")
    assert "executing" in line(death) and "epoch 2" in line(lease)
    control = readable({**envelope, "kind": "control", "key": [], "request": [[1]], "commit": []})
    assert line(control).endswith("64 bytes")


def test_what_is_not_as_expected_stays_as_it_is() -> None:
    odd = {"lsn": 1, "epoch": 1, "kind": "commit", "key": [1, 2], "request": ["?"], "commit": [1]}
    assert readable(odd) == odd
    assert line(odd)
    damage = {"damage": "its checksum is wrong", "file": "/" + "d" * 150, "offset": 64, "lsn": 3}
    assert readable(damage) == damage
    wanted = f"! damaged: {damage['file']} at offset 64, lsn 3: its checksum is wrong"
    assert line(damage) == wanted, "never cut: it says where to look"
    torn = {"torn": "/w/1.wal", "offset": 64, "end": 128, "headers": 1}
    assert line(torn) == "! torn tail: /w/1.wal from offset 64 on; it does not count"
    assert call_text(["?"]) == '["?"]'
    assert len(call_text({"op": "x", "args": ["y" * 500], "kwargs": {}})) == 120
