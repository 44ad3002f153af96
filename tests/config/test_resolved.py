"""Settings on their way to another process."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.config.catalogue import CATALOGUE
from osupervisor.config.errors import SettingsError
from osupervisor.config.resolved import dump, restore
from osupervisor.config.settings import Settings
from tests.config.strategies import patient, whole_settings


def changed(**tree: Any) -> bytes:
    """A dump of the defaults in which something else stands."""
    whole = json.loads(dump(Settings()))
    for name, node in tree.items():
        if isinstance(node, dict):
            whole["settings"][name].update(node)
        else:
            whole["settings"][name] = node
    return json.dumps(whole).encode()


@patient
@given(whole_settings)
def test_settings_survive_the_way(settings: Settings) -> None:
    assert restore(dump(settings)) == settings
    assert dump(restore(dump(settings))) == dump(settings)


def test_a_dump_is_one_line_of_ascii_by_attribute_names() -> None:
    dumped = dump(Settings(data="/café"))
    assert dumped.isascii() and b"\n" not in dumped
    tree = json.loads(dumped)
    assert tree["format"] == 1
    assert tree["settings"]["data"] == "/café"
    assert tree["settings"]["tape"] == {"keep_s": 604_800.0, "bytes_max": 10 * 1024**3}


def test_what_an_older_version_didnt_know_takes_its_default() -> None:
    whole = json.loads(dump(Settings(window=3)))
    del whole["settings"]["chaos"], whole["settings"]["op"]["strikes_max"]
    assert restore(json.dumps(whole).encode()) == Settings(window=3)


def test_what_a_newer_version_knew_is_dropped() -> None:
    assert restore(changed(novel=1, op={"novel": 2})) == Settings()


def test_a_whole_number_may_stand_for_seconds() -> None:
    restored = restore(changed(op={"timeout_s": 5}))
    assert restored.op.timeout_s == 5.0 and type(restored.op.timeout_s) is float


@pytest.mark.parametrize(
    "dumped",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b"{}",
        b'{"format": 2, "settings": {}}',
        b'{"format": 1}',
        b'{"format": 1, "settings": []}',
        changed(op=3),
        changed(window=0),
        changed(window="3"),
        changed(window=True),
        changed(window=1.0),
        changed(window=None),
        changed(durability="never"),
        changed(op={"timeout_s": "5s"}),
        changed(op={"timeout_s": float("nan")}),
        changed(op={"timeout_s": 10**400}),
        changed(heart={"spare": 1}),
        changed(data=""),
    ],
)
def test_anything_else_is_refused_with_the_command_that_helps(dumped: bytes) -> None:
    with pytest.raises(SettingsError, match="osupervisor restart"):
        restore(dumped)


@patient
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
        lambda inner: st.one_of(
            st.lists(inner), st.dictionaries(st.sampled_from(["op", "timeout_s", "data"]), inner)
        ),
    )
)
def test_garbage_raises_nothing_but_a_settings_error(tree: object) -> None:
    try:
        settings = restore(json.dumps({"format": 1, "settings": tree}).encode())
    except SettingsError:
        return
    assert restore(dump(settings)) == settings


@patient
@given(st.binary())
def test_any_bytes_raise_nothing_but_a_settings_error(dumped: bytes) -> None:
    with pytest.raises(SettingsError):
        restore(dumped)


def test_every_setting_is_in_the_dump() -> None:
    tree = json.loads(dump(Settings()))["settings"]
    for setting in CATALOGUE.values():
        node = tree
        for name in setting.path:
            node = node[name]
        assert node == setting.default
