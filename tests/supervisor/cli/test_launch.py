"""What `start` leaves in `<data>/run`."""

import errno
import os
from pathlib import Path

import pytest

from osupervisor.config.settings import Settings
from osupervisor.supervisor.cli.launch import StartArguments, write_files


def test_a_start_on_a_full_disk_leaves_nothing_more_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again and again, each time by another process."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "run").mkdir()
    settings = Settings(data=str(tmp_path))
    arguments = StartArguments(None, None, str(tmp_path), None, (), str(tmp_path), {})
    write_files(settings, arguments)
    before = sorted((tmp_path / "run").iterdir())
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_files(settings, arguments)
    assert sorted((tmp_path / "run").iterdir()) == before
