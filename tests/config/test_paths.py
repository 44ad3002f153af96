"""Where a relative path starts."""

from pathlib import Path

import pytest

from osupervisor.config.errors import SettingsError
from osupervisor.config.load import load
from osupervisor.config.locate import locate_data
from osupervisor.config.settings import Settings


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A folder with a file that names everything relatively; commands run beside it."""
    folder = tmp_path / "service"
    folder.mkdir()
    (tmp_path / "here").mkdir()
    (folder / "osupervisor.toml").write_text(
        'target = "brain.py:Counter"\nroot = "src"\ndata = "../var/./data"\n'
        '[listen]\ntcp = "h:1"\ntoken_file = "~/token"\n',
        encoding="utf-8",
    )
    return folder


def from_here(service: Path, environ: dict[str, str], flags: dict[str, object]) -> Settings:
    here = service.parent / "here"
    return load(service / "osupervisor.toml", environ, flags, None, cwd=here)


def test_paths_in_a_file_start_at_its_folder_and_a_target_at_root(service: Path) -> None:
    settings = from_here(service, {"HOME": "/home/u"}, {})
    assert settings.root == str(service / "src")
    assert settings.data == str(service.parent / "var" / "data")
    assert settings.target == f"{service}/src/brain.py:Counter"
    assert settings.listen.token_file == "/home/u/token"


def test_paths_in_variables_and_flags_start_at_the_current_folder(service: Path) -> None:
    here = service.parent / "here"
    settings = from_here(
        service, {"OSUPERVISOR_DATA": "d"}, {"target": "b.py:C", "listen.token_file": "t"}
    )
    assert settings.data == str(here / "d")
    assert settings.target == f"{here}/b.py:C"
    assert settings.listen.token_file == str(here / "t")
    assert from_here(service, {"OSUPERVISOR_DATA": "d"}, {"data": "e"}).data == str(here / "e")


def test_a_module_stays_a_module(service: Path) -> None:
    assert from_here(service, {}, {"target": "my.brain:C"}).target == "my.brain:C"


def test_without_a_home_a_tilde_is_a_name_like_others(service: Path) -> None:
    assert from_here(service, {}, {}).listen.token_file == str(service / "~" / "token")


def test_defaults_lie_beside_the_file_or_here_without_one(tmp_path: Path) -> None:
    file = tmp_path / "a" / "osupervisor.toml"
    file.parent.mkdir()
    file.touch()
    there = load(Path("a/osupervisor.toml"), {}, {}, None, cwd=tmp_path)
    assert (there.root, there.data) == (str(file.parent), str(file.parent / "data"))
    here = load(None, {}, {}, None, cwd=tmp_path)
    assert (here.root, here.data) == (str(tmp_path), str(tmp_path / "data"))


def test_links_stay_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert load(None, {}, {"data": "link"}, None, cwd=tmp_path).data == str(tmp_path / "link")


def test_locate_agrees_with_load(service: Path) -> None:
    here, file = service.parent / "here", service / "osupervisor.toml"
    for environ in ({}, {"OSUPERVISOR_DATA": "d"}, {"OSUPERVISOR_CONFIG": str(file)}):
        for config_file in (None, file):
            for data in (None, "e"):
                loaded = load(config_file, environ, {"data": data}, None, cwd=here)
                located = locate_data(config_file, environ, data, cwd=here)
                assert str(located) == loaded.data


def test_locate_is_blind_to_mistakes_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "osupervisor.toml"
    file.write_text('data = "d"\nwindow = 0\nx = 1\nprofile = "y"\n[op]\ntimeout_s = ""')
    assert locate_data(None, {}, None, cwd=tmp_path) == tmp_path / "d"
    with pytest.raises(SettingsError):
        load(None, {}, {}, None, cwd=tmp_path)


def test_locate_needs_the_file_only_where_the_file_decides(tmp_path: Path) -> None:
    (tmp_path / "osupervisor.toml").write_text("data = ")
    assert locate_data(None, {}, Path("e"), cwd=tmp_path) == tmp_path / "e"
    assert locate_data(None, {"OSUPERVISOR_DATA": "f"}, None, cwd=tmp_path) == tmp_path / "f"
    with pytest.raises(SettingsError, match=r"osupervisor\.toml:1"):
        locate_data(None, {}, None, cwd=tmp_path)


@pytest.mark.parametrize("text", ["data = 3", "data = ''"])
def test_locate_refuses_what_is_no_path(tmp_path: Path, text: str) -> None:
    (tmp_path / "osupervisor.toml").write_text(text)
    with pytest.raises(SettingsError, match="data: found"):
        locate_data(None, {}, None, cwd=tmp_path)
