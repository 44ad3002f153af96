"""A settings file: read whole, or refused with its place."""

import os
import socket
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.config.errors import SettingsError, TomlSyntaxError, UnreadableFileError
from osupervisor.config.toml_file import FILE_BYTES_MAX, TomlFile, read_toml
from tests.config.strategies import patient

NOBODY = 65_534


def written(folder: Path, content: bytes) -> Path:
    path = folder / "osupervisor.toml"
    path.write_bytes(content)
    return path


def read(folder: Path, content: bytes) -> TomlFile:
    return read_toml(written(folder, content))


def refused(path: Path) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        read_toml(path)
    assert caught.value.file == str(path)
    assert caught.value.found and caught.value.wanted and caught.value.hint
    return caught.value


def test_tables_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, b"[op]\ntimeout_s = 3\n").tables == {"op": {"timeout_s": 3}}


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# nothing\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_a_file_without_settings(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content).tables == {}


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    assert read(tmp_path, b'\xef\xbb\xbfdata = "d"\n').tables == {"data": "d"}


def test_line_ends_of_windows_are_line_ends(tmp_path: Path) -> None:
    file = read(tmp_path, b'# x\r\n[op]\r\ntimeout_s = "5s"\r\n')
    assert file.tables == {"op": {"timeout_s": "5s"}}
    assert file.lines["op.timeout_s"] == 3


def test_lines_of_keys_are_found_however_they_are_written(tmp_path: Path) -> None:
    content = b"""
window = 3
op.timeout_s = 1
"queue_max" = 2

  [ wal ]
\tsegment_bytes_max  =  1
# kept = 1
[ "tape" ] # for later
'keep' = 3
"""
    assert read(tmp_path, content).lines == {
        "window": 2,
        "op.timeout_s": 3,
        "queue_max": 4,
        "wal": 6,
        "wal.segment_bytes_max": 7,
        "tape": 9,
        "tape.keep": 10,
    }


@pytest.mark.parametrize(
    ("content", "line", "word"),
    [
        (b"a = 1\nb = \nc = 2", 2, "column"),
        (b"a = 1\n[op\n", 2, ""),
        (b"a = 1\nkeep = 7d\n", 2, "quotes"),
        (b"a = 1\nbare", 2, "too early"),
        (b'a = "open\n', 1, ""),
        (b"a = 1\na = 2\n", 2, "take one of them out"),
        (b"[a]\n[a]\n", 2, "take one of them out"),
        (b"a = 1\n\0 = 2", 2, ""),
        (b"[[[[[[[[", 1, ""),
        (b"a = 2026-99-99\n", 1, ""),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(
    tmp_path: Path, content: bytes, line: int, word: str
) -> None:
    error = refused(written(tmp_path, content))
    assert isinstance(error, TomlSyntaxError)
    assert error.line == line
    assert word in error.hint
    assert f"osupervisor.toml:{line}: " in str(error)


@pytest.mark.parametrize(
    "content",
    [b"a = " + b"[" * 50_000, b"a = " + b"{a=" * 50_000, b"a = " + b"9" * 10_000],
    ids=["arrays", "tables", "digits"],
)
def test_what_is_too_deep_or_too_long_for_the_parser_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    assert isinstance(refused(written(tmp_path, content)), TomlSyntaxError)


def test_bytes_that_are_not_utf8_are_refused_with_their_line(tmp_path: Path) -> None:
    error = refused(written(tmp_path, b'# one\ndata = "caf\xe9"\n'))
    assert isinstance(error, UnreadableFileError)
    assert error.line == 2 and "0xe9" in error.found and "UTF-8" in error.hint


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_refused_by_name(tmp_path: Path, encoding: str) -> None:
    error = refused(written(tmp_path, "\ufeffdata = 'd'".encode(encoding)))
    assert "UTF-16" in error.found


def test_a_missing_file_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    error = refused(tmp_path / "nowhere" / "osupervisor.toml")
    assert error.found == "no such file" and "osupervisor init" in error.hint


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path).found == "a directory"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "pipe" in refused(tmp_path / "pipe").found


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        assert "socket" in refused(tmp_path / "s").found


def test_a_device_is_refused_but_the_null_device_is_an_empty_file() -> None:
    assert refused(Path("/dev/zero")).found == "a device"
    assert read_toml(Path(os.devnull)).tables == {}


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "a")
    assert isinstance(refused(tmp_path / "a"), UnreadableFileError)


def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "a\0b")
    refused(tmp_path / ("x" * 5000))


def test_a_file_of_another_size_than_settings_have_is_refused(tmp_path: Path) -> None:
    assert read(tmp_path, b"#" * FILE_BYTES_MAX).tables == {}
    assert str(FILE_BYTES_MAX) in refused(written(tmp_path, b"#" * (FILE_BYTES_MAX + 1))).found


def test_a_file_that_may_not_be_read_is_refused_with_the_command(tmp_path: Path) -> None:
    path = written(tmp_path, b"")
    path.chmod(0)
    user = os.geteuid()
    os.seteuid(user or NOBODY)  # root may read every file
    try:
        error = refused(path)
    finally:
        os.seteuid(user)
    assert "may not be read" in error.found and "chmod" in error.hint


@patient
@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "replace"))))
def test_garbage_is_read_as_the_parser_reads_it_or_refused(content: bytes) -> None:
    path = Path(f"/proc/self/fd/{_memory_file(content)}")
    try:
        file = read_toml(path)
    except SettingsError as error:
        assert error.file == str(path)
    else:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
        assert repr(file.tables) == repr(tomllib.loads(text))
    finally:
        os.close(int(path.name))


def _memory_file(content: bytes) -> int:
    fd = os.memfd_create("settings")
    os.write(fd, content)
    return fd
