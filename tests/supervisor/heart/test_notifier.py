"""The supervisor's voice: it never blocks, and what heart missed is sent later."""

import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from osupervisor.supervisor.heart.inbox import Datagram, receive
from osupervisor.supervisor.heart.notification import parse
from osupervisor.supervisor.heart.notifier import Notifier
from osupervisor.supervisor.heart.run_folder import RunFolder


class Ear:
    """Heart's end."""

    def __init__(self, folder: RunFolder, name: str) -> None:
        self.address = folder.address(name)
        self.inbox = folder.bind(name, socket.SOCK_DGRAM)

    def hear(self) -> list[tuple[dict[str, str], int]]:
        """What has come: assignments, and how many descriptors came along."""
        heard: list[tuple[dict[str, str], int]] = []
        while (datagram := receive(self.inbox)) is not None:
            assert datagram.pid == os.getpid()
            heard.append((parse(datagram.content), len(datagram.fds)))
            for fd in datagram.fds:
                os.close(fd)
        return heard


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    made = RunFolder(str(tmp_path))
    yield made
    made.close()


@pytest.fixture
def ear(folder: RunFolder) -> Iterator[Ear]:
    made = Ear(folder, "notify.sock")
    yield made
    made.inbox.close()


@pytest.fixture
def notifier(ear: Ear) -> Iterator[Notifier]:
    made = Notifier(ear.address, {})
    yield made
    made.close()


def test_messages_are_systemds(ear: Ear, notifier: Notifier) -> None:
    notifier.status("recovering")
    notifier.ready()
    notifier.watchdog()
    notifier.extend(1.5)
    notifier.store("brain.1.line", 0)
    notifier.remove("brain.1.line")
    notifier.stopping()
    notifier.refuse("a\nb")
    assert ear.hear() == [
        ({"STATUS": "recovering"}, 0),
        ({"READY": "1", "STATUS": "recovering"}, 0),
        ({"WATCHDOG": "1"}, 0),
        ({"EXTEND_TIMEOUT_USEC": "1500000"}, 0),
        ({"FDSTORE": "1", "FDNAME": "brain.1.line", "FDPOLL": "0"}, 1),
        ({"FDSTOREREMOVE": "1", "FDNAME": "brain.1.line"}, 0),
        ({"STOPPING": "1"}, 0),
        ({"STATUS": "a b", "EXIT_STATUS": "78"}, 0),
    ]


def test_a_name_that_is_known_is_removed_before_it_is_stored_again(ear: Ear) -> None:
    notifier = Notifier(ear.address, {"old": 1})
    notifier.store("old", 0)
    assert [fields.get("FDSTOREREMOVE") for fields, _ in ear.hear()] == ["1", None]
    notifier.close()


def test_a_heart_that_does_not_read_blocks_nobody_and_gets_it_all_later(
    ear: Ear, notifier: Notifier
) -> None:
    for number in range(100):
        notifier.store(f"n{number}", 0)
    for number in range(50):
        notifier.remove(f"n{number}")
    assert notifier.unsent > 0
    notifier.ready()
    kept: dict[str, int] = {}
    ready = False
    while not notifier.flush() or notifier.unsent or not ready:
        for fields, fds in ear.hear():
            ready = ready or "READY" in fields
            if "FDSTORE" in fields:
                assert fds == 1
                kept[fields["FDNAME"]] = 1
            elif "FDSTOREREMOVE" in fields:
                kept.pop(fields["FDNAME"], None)
    assert sorted(kept) == sorted(f"n{number}" for number in range(50, 100))
    assert sorted(notifier.stored) == sorted(kept)


def test_a_dead_heart_is_no_error_and_a_new_one_hears_the_rest(
    folder: RunFolder, ear: Ear, notifier: Notifier
) -> None:
    notifier.store("a", 0)
    notifier.ready()
    ear.inbox.close()
    for _ in range(3):
        notifier.watchdog()
        notifier.store("b", 0)
        notifier.status("later")
    assert notifier.unsent == 1
    new = Ear(folder, "notify.sock")  # at the same path, as a restarted manager would be
    notifier.watchdog()
    heard = [fields for fields, _ in new.hear()]
    assert [fields.get("FDNAME") for fields in heard if "FDSTORE" in fields] == ["b"]
    assert {"READY": "1", "STATUS": "later"} in heard
    new.inbox.close()


def test_a_revived_heart_is_told_the_state_and_not_the_store(
    folder: RunFolder, ear: Ear, notifier: Notifier
) -> None:
    notifier.store("a", 0)
    notifier.status("fine")
    notifier.ready()
    ear.inbox.close()
    notifier.store("b", 0)
    new = Ear(folder, "another.sock")
    notifier.renew(new.address)
    assert [fields for fields, _ in new.hear()] == [{"READY": "1", "STATUS": "fine"}]
    notifier.remove("b")
    assert [fields for fields, _ in new.hear()] == [{"FDSTOREREMOVE": "1", "FDNAME": "b"}]
    new.inbox.close()


def test_without_an_address_everything_is_accepted() -> None:
    notifier = Notifier("", {})
    notifier.store("a", 0)
    notifier.ready()
    notifier.stopping()
    assert notifier.unsent == 0
    assert notifier.flush()
    assert notifier.barrier(0.0)
    notifier.close()


def test_an_abstract_address_works() -> None:
    name = f"osupervisor-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind("\0" + name)
        notifier = Notifier("@" + name, {})
        notifier.ready()
        assert inbox.recv(100) == b"READY=1"
        notifier.close()


def test_a_barrier_waits_until_heart_has_read(ear: Ear, notifier: Notifier) -> None:
    assert not notifier.barrier(0.05)
    ear.hear()
    notifier.store("a", 0)
    assert not notifier.barrier(0.0)


def test_too_large_a_datagram_and_one_with_too_many_descriptors_come_empty(ear: Ear) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(ear.address)
        socket.send_fds(sender, [b"x" * 5000], [0])
        assert receive(ear.inbox) == Datagram(os.getpid(), b"", ())
        socket.send_fds(sender, [b"FDSTORE=1"], [0] * 253)
        datagram = receive(ear.inbox)
        assert datagram is not None
        assert len(datagram.fds) == 253
        for fd in datagram.fds:
            os.close(fd)
    assert receive(ear.inbox) is None


def test_what_cannot_be_said_for_want_of_descriptors_is_said_later(
    ear: Ear, notifier: Notifier
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        notifier.watchdog()
        notifier.ready()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert ear.hear() == []
    notifier.watchdog()
    assert ear.hear() == [({"READY": "1"}, 0), ({"WATCHDOG": "1"}, 0)]
