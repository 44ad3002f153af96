"""`osupervisor config check`."""

import json
import os
from pathlib import Path

import pytest

from osupervisor.config.check import Report, check


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A folder in which everything that its settings name is there."""
    (tmp_path / "brain.py").touch()
    (tmp_path / "token").write_text("x" * 64)
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "osupervisor.toml").write_text(
        'target = "brain.py:Counter"\n[listen]\ntcp = "127.0.0.1:0"\ntoken_file = "token"\n'
    )
    return tmp_path


def checked(folder: Path, **environ: str) -> Report:
    variables = {f"OSUPERVISOR_{name}": value for name, value in environ.items()}
    return check(None, variables, {}, None, cwd=folder)


def test_a_good_file_has_no_errors(service: Path) -> None:
    report = checked(service)
    assert (report.errors, report.warnings) == ((), ())
    assert report.loaded is not None and report.loaded.settings.data == str(service / "data")
    assert report.as_dict()["ok"] is True


@pytest.mark.parametrize("name", ["no\u00a0break", "li\nne", "\U0001f469\u200d\U0001f4bb"])
def test_the_folder_may_have_any_name(service: Path, name: str) -> None:
    """What isn't printable is refused where it is written, and a folder is there already."""
    folder = service.rename(service.with_name(name))
    report = checked(folder)
    assert report.errors == () and report.loaded is not None
    assert report.loaded.settings.target == f"{folder}/brain.py:Counter"
    (folder / "brain.py").unlink()
    assert [one.key for one in checked(folder).errors] == ["target"]


def test_a_folder_whose_name_is_no_utf8_is_refused(service: Path) -> None:
    folder = service.rename(service.with_name(os.fsdecode(b"\xff")))
    found = checked(folder).errors
    assert [one.key for one in found] == ["root", "target", "data"]
    assert "no UTF-8" in str(found[0]) and str(found[0]).isascii()


def test_warnings_are_no_errors(service: Path) -> None:
    report = checked(service, BRAIN__STANDBYS="0", PORT="x")
    assert report.errors == () and len(report.warnings) == 2


def test_every_mistake_of_the_settings_is_an_error(service: Path) -> None:
    report = checked(service, WINDOW="0", OP__TIMEOUT_S="x", OP__NONE="1")
    assert sorted(one.key for one in report.errors) == ["op.none", "op.timeout_s", "window"]
    assert report.loaded is None
    assert all(one.more == () for one in report.errors[1:])


def test_files_that_settings_name_must_be_good(service: Path) -> None:
    (service / "brain.py").unlink()
    (service / "token").chmod(0o644)
    (service / "data").touch()
    report = checked(service, ROOT="nowhere", TARGET="brain.py:Counter")
    assert [one.key for one in report.errors] == ["listen.token_file", "target", "root", "data"]
    assert report.loaded is not None


def test_a_module_as_target_is_not_looked_for(service: Path) -> None:
    assert checked(service, TARGET="some.module:Class").errors == ()


def test_a_report_can_be_written_as_json(service: Path) -> None:
    for report in (checked(service), checked(service, WINDOW="0")):
        assert json.loads(json.dumps(report.as_dict())) == report.as_dict()
    assert checked(service, WINDOW="0").as_dict()["ok"] is False
