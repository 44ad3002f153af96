"""The token that TCP clients must show."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.config.errors import SettingsError
from osupervisor.config.token_file import TOKEN_CHARS_MAX, TOKEN_CHARS_MIN, read_token
from tests.config.strategies import patient

TOKEN = "0123456789abcdef" * 4


def token_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_token_is_the_line_without_its_end(tmp_path: Path, end: bytes, mode: int) -> None:
    assert read_token(token_file(tmp_path, TOKEN.encode() + end, mode)) == TOKEN


@pytest.mark.parametrize("size", [TOKEN_CHARS_MIN, TOKEN_CHARS_MAX])
def test_token_of_the_least_and_the_greatest_length_is_taken(tmp_path: Path, size: int) -> None:
    assert read_token(token_file(tmp_path, b"x" * size + b"\r\n")) == "x" * size


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o610, 0o777])
def test_a_file_that_others_may_use_is_refused_with_the_command(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SettingsError, match=f"mode 0{mode:o}.*chmod 600"):
        read_token(token_file(tmp_path, TOKEN.encode(), mode))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"x" * (TOKEN_CHARS_MIN - 1),
        b"x" * (TOKEN_CHARS_MAX + 1),
        b"x" * (TOKEN_CHARS_MAX + 1) + b"\n",
        b"x" * 100_000,
        TOKEN.encode() + b"\n\n",
        TOKEN.encode() + b"\n" + TOKEN.encode(),
        b" " + TOKEN.encode(),
        b"\xff" * 20,
        b"\0" * 20,
    ],
)
def test_what_is_no_token_is_refused_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    path = token_file(tmp_path, content)
    with pytest.raises(SettingsError) as caught:
        read_token(path)
    assert (caught.value.file, caught.value.key) == (str(path), "listen.token_file")
    assert "openssl" in caught.value.hint
    assert "0123" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "a\0b", Path(os.devnull)):
        with pytest.raises(SettingsError):
            read_token(path)


@patient
@given(st.binary(max_size=80))
def test_garbage_raises_nothing_but_a_settings_error(content: bytes) -> None:
    fd = os.memfd_create("token")
    os.fchmod(fd, 0o600)
    os.write(fd, content)
    try:
        token = read_token(Path(f"/proc/self/fd/{fd}"))
    except SettingsError:
        return
    finally:
        os.close(fd)
    assert content.decode("ascii").rstrip("\r\n") == token
