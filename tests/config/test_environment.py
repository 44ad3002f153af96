"""Settings from variables."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.config.catalogue import CATALOGUE, value_of
from osupervisor.config.environment import variable_of
from osupervisor.config.errors import ContradictionError, SettingsError, UnknownKeyError
from osupervisor.config.load import Loaded, load_with_provenance
from tests.config.strategies import all_values, patient

NOWHERE = Path("/nowhere")


def loaded(environ: dict[str, str]) -> Loaded:
    return load_with_provenance(None, environ, {}, None, cwd=NOWHERE)


def test_two_underscores_stand_for_the_point() -> None:
    assert variable_of("op.timeout_s") == "OSUPERVISOR_OP__TIMEOUT_S"
    assert variable_of("queue_max") == "OSUPERVISOR_QUEUE_MAX"
    assert len({variable_of(key) for key in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("OSUPERVISOR_OP__TIMEOUT_S", "5", "op.timeout_s", 5.0),
        ("OSUPERVISOR_OP__TIMEOUT_S", "5m", "op.timeout_s", 300.0),
        ("OSUPERVISOR_QUEUE_MAX", " 7 ", "queue_max", 7),
        ("OSUPERVISOR_QUEUE_BYTES_MAX", "1MiB", "queue_bytes_max", 1024**2),
        ("OSUPERVISOR_CHAOS__ALLOWED", "YES", "chaos.allowed", True),
        ("OSUPERVISOR_HEART__SPARE", "0", "heart.spare", False),
        ("OSUPERVISOR_HEALTH__RSS_SHARE_MAX", "0.5", "health.rss_share_max", 0.5),
        ("OSUPERVISOR_DURABILITY", "always", "durability", "always"),
        ("OSUPERVISOR_LISTEN__TCP", "", "listen.tcp", ""),
        ("OSUPERVISOR_DATA", "/srv/x", "data", "/srv/x"),
        ("OSUPERVISOR_DATA", "", "data", "/nowhere/data"),
    ],
)
def test_text_is_read_by_the_type_of_its_setting(
    variable: str, text: str, key: str, value: object
) -> None:
    assert value_of(loaded({variable: text}).settings, CATALOGUE[key]) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OSUPERVISOR_OP__TIMEOUT_S", ""),
        ("OSUPERVISOR_QUEUE_MAX", "1e3"),
        ("OSUPERVISOR_QUEUE_MAX", "-1"),
        ("OSUPERVISOR_QUEUE_MAX", "9" * 5000),
        ("OSUPERVISOR_BRAIN__CHECK_STATE", "maybe"),
        ("OSUPERVISOR_DURABILITY", ""),
        ("OSUPERVISOR_DATA", "caf\udce9"),
    ],
)
def test_a_bad_text_is_refused_by_the_name_of_its_variable(variable: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded({variable: text})
    assert caught.value.file == variable
    assert caught.value.message().isascii()


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("OSUPERVISOR_OP_TIMEOUT_S", "OSUPERVISOR_OP__TIMEOUT_S"),
        ("OSUPERVISOR_OP__TIMEOUT", "OSUPERVISOR_OP__TIMEOUT_S"),
        ("OSUPERVISOR_QUEUE__MAX", "OSUPERVISOR_QUEUE_MAX"),
        ("OSUPERVISOR_DURABILTY", "OSUPERVISOR_DURABILITY"),
        ("OSUPERVISOR_LOG_LEVEL", "OSUPERVISOR_LOGS__LEVEL"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_right_one(variable: str, meant: str) -> None:
    with pytest.raises(UnknownKeyError, match=f"did you mean {meant}\\?"):
        loaded({variable: "1"})


def test_a_variable_of_a_table_of_ours_is_refused_even_when_near_nothing() -> None:
    with pytest.raises(UnknownKeyError, match="OSUPERVISOR_OP__FROBNICATION: .*unset it"):
        loaded({"OSUPERVISOR_OP__FROBNICATION": "1"})


def test_variables_of_others_are_left_alone_and_told() -> None:
    """Kubernetes makes these for a service named osupervisor."""
    names = ["SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_7070_TCP", "PORT_7070_TCP_ADDR"]
    warnings = loaded({f"OSUPERVISOR_{name}": "x" for name in names} | {"HOME": "/"}).warnings
    assert len(warnings) == len(names)
    assert all(any(f"OSUPERVISOR_{name} " in one for one in warnings) for name in names)


@patient
@given(all_values)
def test_every_number_and_flag_can_be_set_by_its_variable(values: dict[str, object]) -> None:
    environ = {
        variable_of(key): CATALOGUE[key].text(value)
        for key, value in values.items()
        if isinstance(value, (bool, int, float))
    }
    try:
        settings = loaded(environ).settings
    except SettingsError as error:
        assert isinstance(error, ContradictionError), error
        return
    for variable in environ:
        key = next(key for key in CATALOGUE if variable_of(key) == variable)
        assert value_of(settings, CATALOGUE[key]) == values[key]


@patient
@given(
    st.dictionaries(
        st.text(alphabet="OPTIMEUS_LNG", max_size=20).map(lambda name: "OSUPERVISOR_" + name),
        st.text(),
        max_size=3,
    )
)
def test_garbage_raises_nothing_but_a_settings_error(environ: dict[str, str]) -> None:
    try:
        loaded(environ)
    except SettingsError as error:
        assert all(one.file in environ for one in (error, *error.more))
