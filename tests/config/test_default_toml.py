"""default.toml and the profiles against the dataclasses."""

import re
import tomllib
from pathlib import Path
from typing import cast

import pytest

from osupervisor.config.catalogue import CATALOGUE, value_of
from osupervisor.config.description import reasons
from osupervisor.config.layers import FOLDER
from osupervisor.config.load import ProfileName, load_with_provenance
from osupervisor.config.settings import Settings

PROFILES: tuple[ProfileName, ...] = ("dev", "prod", "test")


def keys_of(name: str) -> dict[str, object]:
    tables = tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))
    keys: dict[str, object] = {}
    for name, node in tables.items():
        if isinstance(node, dict):
            table = cast(dict[str, object], node)
            keys.update({f"{name}.{key}": value for key, value in table.items()})
        else:
            keys[name] = node
    return keys


def test_default_toml_has_every_setting_in_the_order_of_the_dataclasses() -> None:
    assert list(keys_of("default.toml")) == list(CATALOGUE)


def test_default_toml_has_the_defaults_of_the_dataclasses() -> None:
    for key, raw in keys_of("default.toml").items():
        value = CATALOGUE[key].parse(raw, text=False)
        assert value == CATALOGUE[key].default, key
        assert value == value_of(Settings(), CATALOGUE[key]), key


def test_loading_nothing_gives_the_defaults(tmp_path: Path) -> None:
    settings = load_with_provenance(None, {}, {}, None, cwd=tmp_path).settings
    for key, setting in CATALOGUE.items():
        if key not in ("root", "data"):  # these are absolute now
            assert value_of(settings, setting) == setting.default, key


def test_every_comment_begins_with_type_and_bounds_as_the_dataclass_has_them() -> None:
    lines = (FOLDER / "default.toml").read_text(encoding="utf-8").splitlines()
    table, first = "", ""
    seen: list[str] = []
    for line, before in zip(lines, ["", *lines], strict=False):
        if line.startswith("#") and not before.startswith("#"):
            first = line
        if header := re.fullmatch(r"\[(\w+)\]", line):
            table = header[1] + "."
        elif name := re.match(r"(\w+) = ", line):
            seen.append(table + name[1])
            assert first == f"# {CATALOGUE[seen[-1]].range()}.", seen[-1]
    assert seen == list(CATALOGUE)


def test_every_setting_has_a_reason_of_at_least_a_sentence() -> None:
    assert list(reasons()) == list(CATALOGUE)
    for key, why in reasons().items():
        assert len(why.split()) >= 5 and why.endswith("."), key


def test_default_toml_fits_its_margin() -> None:
    for name in ("default.toml", *(f"{profile}.toml" for profile in PROFILES)):
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert max(map(len, text.splitlines())) <= 100, name


@pytest.mark.parametrize("profile", PROFILES)
def test_every_value_of_a_profile_is_valid_and_in_force(
    profile: ProfileName, tmp_path: Path
) -> None:
    loaded = load_with_provenance(None, {}, {}, profile, cwd=tmp_path)
    keys = keys_of(f"{profile}.toml")
    assert keys
    for key, raw in keys.items():
        setting = CATALOGUE[key]
        assert value_of(loaded.settings, setting) == setting.parse(raw, text=False), key
        assert str(loaded.provenance[key]) == f"profile {profile}", key
    assert loaded.settings.profile == profile
    assert loaded.warnings == ()


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_repeats_no_default_and_names_no_place(profile: str) -> None:
    for key, raw in keys_of(f"{profile}.toml").items():
        assert CATALOGUE[key].parse(raw, text=False) != CATALOGUE[key].default, key
        assert key not in ("profile", "target", "root", "data"), key
