"""The log of nurseries, which several may write into at a time: none is left with a file that was
moved away, as nobody would bound that."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from osupervisor.supervisor.logs import rotated_file
from osupervisor.supervisor.runtime import nursery_process
from osupervisor.supervisor.runtime.nursery_process import bound_log, open_log

BYTES_MAX = 4096


@pytest.fixture
def living(tmp_path: Path) -> Generator[int]:
    """What a nursery writes into that lives on."""
    fd = open_log(tmp_path, BYTES_MAX, 2)
    yield fd
    os.close(fd)


def _is_still_the_log(folder: Path, fd: int) -> bool:
    return os.path.samestat(os.fstat(fd), _log(folder).stat())


def _log(folder: Path) -> Path:
    return folder / "logs" / nursery_process.LOG_NAME


def test_one_that_starts_beside_a_living_one_moves_nothing(tmp_path: Path, living: int) -> None:
    os.write(living, b"x" * (BYTES_MAX - 100) + b"\n")
    os.close(open_log(tmp_path, BYTES_MAX, 2))
    assert _is_still_the_log(tmp_path, living)
    os.write(living, b"x" * BYTES_MAX + b"\n")
    os.close(open_log(tmp_path, BYTES_MAX, 2))
    assert _is_still_the_log(tmp_path, living)
    assert _log(tmp_path).stat().st_size < BYTES_MAX


def test_what_is_printed_between_cut_and_line_moves_nothing(
    tmp_path: Path, living: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rotate_shared(path: Path, bytes_max: int, kept: int) -> bool:
        rotated = rotated_file.rotate_shared(path, bytes_max, kept)
        os.write(living, b"x" * BYTES_MAX)
        return rotated

    monkeypatch.setattr(nursery_process, "rotate_shared", rotate_shared)
    os.write(living, b"x" * BYTES_MAX)
    bound_log(tmp_path, BYTES_MAX, 2)
    assert _is_still_the_log(tmp_path, living)
    assert b"nursery.log_rotated" in _log(tmp_path).read_bytes()
