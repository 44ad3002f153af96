from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.cli.command import Cli, end, start, write_brain


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OSUPERVISOR_DATA", "OSUPERVISOR_CONFIG", "OSUPERVISOR_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a brain; whatever a test starts there is ended with it."""
    write_brain(tmp_path)
    yield tmp_path
    end(tmp_path / "data")


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line in a folder where nothing runs."""
    return Cli(folder, capsys)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a service that a module's tests share."""
    folder = tmp_path_factory.mktemp("service")
    write_brain(folder)
    try:
        started = start(folder)
        assert started.returncode == 0, started.stderr
        yield folder
    finally:
        end(folder / "data")


@pytest.fixture
def live(running: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line in a folder with a running service."""
    return Cli(running, capsys)
