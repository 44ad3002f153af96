from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mark import marked
from tests.supervisor.cli.command import Cli, start, write_brain


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OSUPERVISOR_DATA", "OSUPERVISOR_CONFIG", "OSUPERVISOR_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path, ends_all: None) -> Path:
    """A folder with a brain; whatever a test starts is ended with it."""
    write_brain(tmp_path)
    return tmp_path


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line in a folder where nothing runs."""
    return Cli(folder, capsys)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a service that a module's tests share."""
    folder = tmp_path_factory.mktemp("service")
    write_brain(folder)
    with marked():
        started = start(folder)
        assert started.returncode == 0, started.stderr
        yield folder


@pytest.fixture
def live(running: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line in a folder with a running service."""
    return Cli(running, capsys)
