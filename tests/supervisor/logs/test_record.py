"""Log lines: as JSON, back again, and for people."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.supervisor.logs.record import TEXT_CHARS_MAX, as_text, decode, encode
from osupervisor.supervisor.logs.timestamp import timestamp

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=8,
)
any_values: st.SearchStrategy[Any] = st.recursive(
    json_values | st.text() | st.binary() | st.integers() | st.floats() | st.builds(object),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(record=st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=5))
def test_what_is_json_comes_back(record: dict[str, Any]) -> None:
    line = encode(record)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert decode(line) == record
    assert json.loads(line) == record


@given(record=st.dictionaries(st.text(), any_values, max_size=5))
def test_whatever_is_logged_is_one_line_of_json(record: dict[str, Any]) -> None:
    line = encode(record)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert isinstance(json.loads(line), dict)


@given(line=st.binary())
def test_whatever_stands_in_a_file_is_a_record(line: bytes) -> None:
    record = decode(line)
    as_text(record)
    assert isinstance(record, dict)


def test_a_line_to_the_letter() -> None:
    record = {
        "time": timestamp(1795172602.1239),
        "level": "info",
        "source": "supervisor",
        "message": "lease.granted",
        "brain": 2,
        "took": {"s": 0.25},
        "why": "death",
    }
    assert encode(record) == (
        b'{"time":"2026-11-20T11:03:22.123Z","level":"info","source":"supervisor",'
        b'"message":"lease.granted","brain":2,"took":{"s":0.25},"why":"death"}\n'
    )
    assert as_text(record) == (
        '11:03:22.123 info    supervisor  lease.granted  brain=2 took={"s":0.25} why=death'
    )


@pytest.mark.parametrize("line", [b"Traceback (most recent call last):", b"[1,2]", b"7", b"\xff"])
def test_a_line_of_another_program_is_a_message(line: bytes) -> None:
    assert decode(line) == {"message": line.decode(errors="replace")}


@given(
    record=st.dictionaries(
        st.sampled_from(("time", "level", "source", "message", "text")), st.text()
    )
)
def test_text_for_people_is_one_line_without_control_characters(record: dict[str, str]) -> None:
    """What a brain prints must not move an operator's cursor."""
    text = as_text(record)
    assert text.isprintable()
    assert len(text) <= TEXT_CHARS_MAX
