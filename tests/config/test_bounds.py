"""Two judges of a value, pydantic on the dataclasses and the catalogue: they must agree."""

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from osupervisor.config.catalogue import CATALOGUE, nested, value_of
from osupervisor.config.setting import Setting, Value
from osupervisor.config.settings import Settings
from tests.config.strategies import all_values, patient, whole_settings

ADAPTER = TypeAdapter(Settings)


def pydantic_accepts(key: str, value: Value) -> bool:
    try:
        settings = ADAPTER.validate_python(nested({key: value}))
    except ValidationError:
        return False
    return value_of(settings, CATALOGUE[key]) == value


def around(setting: Setting) -> list[Value]:
    """The bounds of a setting and their neighbours, in the setting's type."""
    bounds = [bound for bound in (setting.low, setting.high) if bound is not None]
    step = 1 if setting.kind is int else 1e-6
    return [setting.kind(bound + by) for bound in bounds for by in (-step, 0, step)]


def test_both_judges_agree_around_every_bound() -> None:
    for key, setting in CATALOGUE.items():
        for value in (*around(setting), setting.default):
            assert setting.accepts(value) == pydantic_accepts(key, value), (key, value)


def test_both_judges_agree_about_texts() -> None:
    for key, setting in CATALOGUE.items():
        if setting.kind is str:
            for value in ("", "x", *setting.choices):
                assert setting.accepts(value) == pydantic_accepts(key, value), (key, value)


@patient
@given(st.sampled_from(list(CATALOGUE)), st.integers(), st.floats(allow_nan=False))
def test_both_judges_agree_about_numbers(key: str, number: int, fraction: float) -> None:
    setting = CATALOGUE[key]
    if setting.kind in (int, float):
        value: Value = number if setting.kind is int else fraction
        assert setting.accepts(value) == pydantic_accepts(key, value)


@patient
@given(all_values)
def test_a_good_value_is_taken_as_its_own_text(values: dict[str, Value]) -> None:
    for key, value in values.items():
        setting = CATALOGUE[key]
        assert setting.accepts(value), key
        if setting.kind is not str:
            assert setting.parse(setting.text(value), text=True) == value, key


@patient
@given(whole_settings)
def test_pydantic_takes_what_the_catalogue_takes(settings: Settings) -> None:
    values = {key: value_of(settings, setting) for key, setting in CATALOGUE.items()}
    assert ADAPTER.validate_python(nested(values)) == settings
