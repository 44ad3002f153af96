import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.supervisor.heart import descriptor_name
from osupervisor.supervisor.heart.listen_environment import FIRST_FD


@pytest.mark.parametrize("name", ["", "a:b", 'a"b', "a\\b", "a\n", "ä", "x" * 256])
def test_names_that_would_break_the_protocol_are_refused(name: str) -> None:
    assert not descriptor_name.is_name(name)
    assert not descriptor_name.is_store_name(name)


def test_hearts_own_names_cannot_be_stored() -> None:
    assert descriptor_name.is_name("heart.pidfd")
    assert not descriptor_name.is_store_name("heart.pidfd")
    assert descriptor_name.is_store_name("brain.7.line")


PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126, exclude_characters=':"\\')


@given(st.lists(st.text(PRINTABLE, min_size=1, max_size=255)))
def test_names_come_through_environment_and_json(names: list[str]) -> None:
    assert descriptor_name.split(descriptor_name.join(names), len(names)) == names
    wanted = {"listen_fdnames": names, "predecessor": "7 -9"}
    assert json.loads(descriptor_name.as_json(names, "7 -9")) == wanted


def test_descriptors_without_a_name_are_called_unknown() -> None:
    assert FIRST_FD == 3
    assert descriptor_name.split("a", 3) == ["a", "unknown", "unknown"]
    assert descriptor_name.split("", 1) == ["unknown"]
    assert descriptor_name.split("a:b", 1) == ["a"]
