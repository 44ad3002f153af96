"""What is said of a bad setting."""

import copy
import pickle

from hypothesis import given

from osupervisor.config.errors import (
    FOUND_CHARS_MAX,
    BadValueError,
    ContradictionError,
    SettingsError,
    shown,
)
from tests.config.strategies import garbage, patient


def test_message_has_place_key_found_wanted_and_what_to_do() -> None:
    error = SettingsError("f.toml", "a.b", "1", "2", "do it", line=3)
    assert str(error) == "f.toml:3: a.b: found 1, wanted 2; do it"
    assert str(SettingsError("", "", "1", "2")) == "found 1, wanted 2"
    assert str(SettingsError("f.toml", "", "1", "2")) == "f.toml: found 1, wanted 2"


def test_message_of_several_has_a_line_each() -> None:
    error = BadValueError("f", "a", "1", "2", more=(BadValueError("f", "b", "3", "4"),))
    assert str(error) == "f: a: found 1, wanted 2\nf: b: found 3, wanted 4"
    assert error.message() == "f: a: found 1, wanted 2"


def test_an_error_can_be_handed_to_another_process() -> None:
    for error in (
        BadValueError("f", "a", "1", "2", "h", line=3, more=(SettingsError("f", "b", "3", "4"),)),
        ContradictionError("a", "b", "1", "2", "h"),
    ):
        for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert type(twin) is type(error)
            assert (str(twin), twin.as_dict()) == (str(error), error.as_dict())


def test_a_value_is_shown_as_a_file_would_have_it() -> None:
    assert shown(True) == "true"
    assert shown("é\n") == '"\\u00e9\\n"'
    assert shown(3) == "3"
    assert shown(10**5000) == "<int too big to show>"


@patient
@given(garbage)
def test_whatever_is_found_is_shown_on_one_short_line(value: object) -> None:
    text = shown(value)
    assert text.isascii() and text.isprintable()
    assert 0 < len(text) <= FOUND_CHARS_MAX
