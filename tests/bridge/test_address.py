"""Addresses, and sockets at the end of paths of any length."""

import os
import socket
import stat
import threading
from pathlib import Path
from typing import cast

import pytest

from osupervisor.bridge.address import (
    SUN_PATH_BYTES_MAX,
    TcpAddress,
    UnixAddress,
    connect,
    listen_unix,
    parse_address,
    service_address,
)
from osupervisor.bridge.errors import AddressError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/a/b.sock", UnixAddress(Path("/a/b.sock"))),
        ("unix:/a/b.sock", UnixAddress(Path("/a/b.sock"))),
        ("b.sock", UnixAddress(Path.cwd() / "b.sock")),
        (Path("/a/b.sock"), UnixAddress(Path("/a/b.sock"))),
        ("tcp:localhost:7070", TcpAddress("localhost", 7070)),
        ("tcp://localhost:7070", TcpAddress("localhost", 7070)),
        ("tcp:[::1]:7070", TcpAddress("::1", 7070)),
        ("127.0.0.1:7070", TcpAddress("127.0.0.1", 7070)),
        ("a-host.example:7070", TcpAddress("a-host.example", 7070)),
        ("[::1]:7070", TcpAddress("::1", 7070)),
        ("./b:7070", UnixAddress(Path.cwd() / "b:7070")),
        ("unix:b:7070", UnixAddress(Path.cwd() / "b:7070")),
        (Path("b:7070"), UnixAddress(Path.cwd() / "b:7070")),
        (Path("tcp:b:7070"), UnixAddress(Path.cwd() / "tcp:b:7070")),
        (TcpAddress("h", 1), TcpAddress("h", 1)),
    ],
)
def test_an_address_is_read(text: str | Path | TcpAddress, address: object) -> None:
    found = parse_address(text)
    assert found == address
    assert parse_address(str(found)) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "unix:", "/a\0b", "tcp:", "tcp:h", "tcp:h:", "tcp::1", "tcp:h:x", "tcp:h:65536"),
        *("a..b:1", ".h:1", "h" * 64 + ":1", "\u00e4" * 64 + ":1", "\udcff:1"),
        *("h:", ":1", "h:x", "h:65536", "::1:7070", "h:1:2", "h:\u0661", "[]:1", "[::1]", "[::1:1"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError, match="host:port.*a path with a colon"):
        parse_address(text)


def test_a_name_of_other_letters_is_taken() -> None:
    assert parse_address("b\u00fccher.example.:1") == TcpAddress("b\u00fccher.example.", 1)


@pytest.mark.parametrize(
    "address",
    [
        *(TcpAddress("a..b", 1), TcpAddress("", 1), TcpAddress("h", 65_536), TcpAddress("h", -1)),
        *(TcpAddress("h", cast(int, "80")), TcpAddress(cast(str, None), 1)),
        UnixAddress(Path("/a\0b")),
    ],
)
def test_one_that_was_made_elsewhere_is_looked_at_too(
    address: TcpAddress | UnixAddress,
) -> None:
    with pytest.raises(AddressError, match="host:port"):
        parse_address(address)


def test_a_path_of_bytes_is_refused() -> None:
    with pytest.raises(AddressError, match="b'data'"):
        parse_address(cast(str, b"data"))


def test_a_folder_stands_for_the_service_whose_data_it_is(tmp_path: Path) -> None:
    data = UnixAddress(tmp_path / "data")
    assert service_address(data) == data
    data.path.mkdir()
    assert service_address(data) == UnixAddress(tmp_path / "data" / "run" / "osupervisor.sock")
    assert service_address(TcpAddress("h", 1)) == TcpAddress("h", 1)


def talk(listener: socket.socket, path: Path) -> bytes:
    with connect(UnixAddress(path), 5.0) as near:
        listener.settimeout(5.0)
        far, _ = listener.accept()
        with far:
            near.sendall(b"hello")
            return far.recv(99)


def deep_folder(tmp_path: Path, size: int) -> Path:
    folder = tmp_path
    while len(os.fsencode(folder)) < size:
        folder /= "d" * 50
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("size", [0, 300, 3000])
def test_a_socket_listens_and_is_reached_at_a_path_of_any_length(tmp_path: Path, size: int) -> None:
    path = deep_folder(tmp_path, size) / "osupervisor.sock"
    with listen_unix(path) as listener:
        assert not listener.getblocking() and not listener.get_inheritable()
        assert talk(listener, path) == b"hello"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["osupervisor.sock"]


def test_a_path_just_at_the_limit_is_used_as_it_is(tmp_path: Path) -> None:
    for size in range(SUN_PATH_BYTES_MAX - 12, SUN_PATH_BYTES_MAX + 3):
        path = tmp_path / ("s" * (size - len(os.fsencode(tmp_path)) - 1))
        with listen_unix(path) as listener:
            assert talk(listener, path) == b"hello"


def test_a_last_part_that_is_too_long_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / ("s" * 120)
    with pytest.raises(AddressError, match="too long"):
        listen_unix(path)
    with pytest.raises(AddressError, match="shorter data directory"):
        connect(UnixAddress(path), 1.0)
    assert not list(tmp_path.iterdir())


def test_a_new_socket_takes_the_place_of_a_dead_ones(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    listen_unix(path).close()
    with pytest.raises(ConnectionRefusedError):
        connect(UnixAddress(path), 1.0)
    with listen_unix(path) as listener:
        assert talk(listener, path) == b"hello"


def test_a_socket_is_replaced_without_a_moment_when_nobody_listens(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    listeners = [listen_unix(path)]
    stop = threading.Event()
    failures: list[OSError] = []

    def knock() -> None:
        while not stop.is_set():
            try:
                connect(UnixAddress(path), 1.0).close()
            except BlockingIOError:
                continue  # The backlog is full: somebody listens.
            except OSError as error:
                failures.append(error)

    knocker = threading.Thread(target=knock)
    knocker.start()
    for _ in range(200):
        listeners.append(listen_unix(path))
    stop.set()
    knocker.join()
    for listener in listeners:
        listener.close()
    assert not failures


def test_nobody_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        connect(UnixAddress(tmp_path / "s.sock"), 1.0)
    with pytest.raises(FileNotFoundError):
        connect(UnixAddress(tmp_path / ("d" * 50) / ("e" * 50) / "s.sock"), 1.0)


def test_a_full_backlog_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with listen_unix(path, backlog=1):
        waiting: list[socket.socket] = []
        with pytest.raises(BlockingIOError):
            for _ in range(9):
                waiting.append(connect(UnixAddress(path), 0.0))
        for connection in waiting:
            connection.close()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(AddressError, match="no such|No such"):
        listen_unix(tmp_path / "run" / "s.sock")


def test_tcp_is_connected_without_delay() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = TcpAddress("127.0.0.1", listener.getsockname()[1])
        with connect(address, 5.0) as connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert connection.getblocking() and not connection.get_inheritable()
