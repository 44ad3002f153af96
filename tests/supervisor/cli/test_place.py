"""The data directory, found quickly, is the one that the settings name."""

import os
from pathlib import Path

import pytest

from osupervisor.config.locate import locate_data
from osupervisor.supervisor.cli.failure import Misused
from osupervisor.supervisor.cli.place import data_directory

TOMLS = [
    None,
    "",
    'target = "brain.py:Counter"\n',
    'data = "elsewhere"\n',
    'data = "/var/lib/somewhere"\n',
    'data = "./a/../b"\n',
    'data = "~/home"\n',
    'data = "é"\n',
    'profile = "prod"\ndata = "x"\n',
    '[op]\ntimeout_s = "3s"\n',
]
FLAGS = [None, "flagged", "./x/../y", "/abs", "~/z"]


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("toml", TOMLS)
@pytest.mark.parametrize("variable", ["", "from-a-variable"])
@pytest.mark.parametrize("named", [False, True])
def test_it_is_what_the_rule_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    toml: str | None,
    flag: str | None,
    variable: str,
    named: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "config" if named else tmp_path
    folder.mkdir(exist_ok=True)
    if toml is not None:
        (folder / "osupervisor.toml").write_text(toml)
    config = "config/osupervisor.toml" if named and toml is not None else None
    environ = {"HOME": "/home/somebody", "OSUPERVISOR_DATA": variable}
    wanted = locate_data(Path(config) if config else None, environ, flag)
    assert data_directory(config, environ, flag) == str(wanted)


@pytest.mark.parametrize("toml", ["data = 3\n", 'data = ""\n', "data = [\n", "\xff"])
def test_a_file_that_names_none_is_a_bad_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toml: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "osupervisor.toml").write_bytes(toml.encode("latin-1"))
    with pytest.raises(Misused) as caught:
        data_directory(None, {}, None)
    assert caught.value.data["errors"]
    assert data_directory(None, {}, "flag") == str(tmp_path / "flag")


def test_a_named_file_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for environ in ({}, {"OSUPERVISOR_CONFIG": "other.toml"}):
        with pytest.raises(Misused):
            data_directory("missing.toml", environ, None)


def test_a_current_folder_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(Misused):
        data_directory(None, {}, None)
    os.chdir(tmp_path)
