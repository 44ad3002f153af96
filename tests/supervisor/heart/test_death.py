"""The supervisor's death: the next one finds the sockets, the store, and the clients waiting."""

import os
import signal
import socket
import time

from tests.supervisor.heart.service import Service, descriptors, lives, wait_for


def test_a_killed_supervisor_is_replaced_and_inherits_the_store(service: Service) -> None:
    service.start()
    for name in ("brain.1.hot", "brain.2.hot"):
        assert service.ask(f"store {name}") == 0
    old = service.kill_supervisor()
    assert service.next_supervisor(old)["stored"] == ["brain.1.hot", "brain.2.hot"]
    assert service.ask("read brain.2.hot") == "brain.2.hot"
    assert not lives(old)


def test_what_is_removed_is_not_inherited_and_a_known_name_is_replaced(service: Service) -> None:
    service.start()
    for command in ("store a", "store b", "store b", "remove a"):
        assert service.ask(command) == 0
    assert service.ask("barrier") is True
    before = len(descriptors(service.pid))
    service.ask("store b")
    assert service.ask("barrier") is True
    assert len(descriptors(service.pid)) == before
    assert service.next_supervisor(service.kill_supervisor())["stored"] == ["b"]


def test_what_was_stored_by_the_last_message_before_the_death_is_kept(service: Service) -> None:
    service.start("--healthy", "0")
    for number in range(20):
        service.who()
        os.kill(service.pid, signal.SIGSTOP)  # heart reads the message after the death
        assert service.ask(f"store n{number:02}") == 0
        old = service.kill_supervisor()
        os.kill(service.pid, signal.SIGCONT)
        assert service.next_supervisor(old)["stored"] == [f"n{n:02}" for n in range(number + 1)]


def test_a_connection_made_while_no_supervisor_lives_is_answered_by_the_next(
    service: Service,
) -> None:
    old = service.start().who()["pid"]
    os.kill(service.pid, signal.SIGSTOP)
    os.kill(old, signal.SIGKILL)
    clients = [service.connect() for _ in range(50)]
    for client in clients:
        client.sendall(b"who\n")
    os.kill(service.pid, signal.SIGCONT)
    for client in clients:
        with client, client.makefile() as file:
            assert f'"pid": {old},' not in file.readline()


def test_two_hundred_kills_keep_sockets_and_store_and_leak_nothing(service: Service) -> None:
    service.start("--healthy", "0")
    for number in range(5):
        assert service.ask(f"store brain.{number}.hot") == 0
    names = [f"brain.{number}.hot" for number in range(5)]
    inode = (service.data / "run" / "osupervisor.sock").stat().st_ino
    assert service.ask("barrier") is True
    who = service.who()
    heart_before, supervisor_before = descriptors(service.pid), len(who["fds"])
    pauses: list[float] = []
    for _ in range(200):
        began = time.monotonic()
        os.kill(who["pid"], signal.SIGKILL)
        who = service.next_supervisor(who["pid"])
        pauses.append(time.monotonic() - began)
        assert who["stored"] == names
        assert len(who["fds"]) == supervisor_before
    assert (service.data / "run" / "osupervisor.sock").stat().st_ino == inode
    assert service.ask("read brain.4.hot") == "brain.4.hot"
    assert kinds(descriptors(service.pid)) == kinds(heart_before)
    pauses.sort()
    print(f"pause p50 {pauses[100] * 1000:.0f} ms, worst {pauses[-1] * 1000:.0f} ms")


def kinds(found: list[str]) -> list[str]:
    return sorted(name.split(":")[0] for name in found)


def test_deaths_in_a_row_are_waited_between_but_never_given_up_on(service: Service) -> None:
    service.start("--healthy", "3600", "--backoff-initial", "0.05", "--backoff-max", "0.2")
    old = service.who()["pid"]
    waits: list[float] = []
    for _ in range(8):
        os.kill(old, signal.SIGKILL)
        began = time.monotonic()
        old = service.next_supervisor(old)["pid"]
        waits.append(time.monotonic() - began)
    said = [line["message"] for line in service.journal() if "was killed by" in line["message"]]
    assert said[0].endswith("starting it again")
    assert all(" s" in message.rpartition("again in ")[2] for message in said[1:])
    assert len(said) == 8


def test_a_supervisor_that_cannot_even_start_is_tried_again(service: Service) -> None:
    service.start("--backoff-max", "0.01", command=["/nonexistent/program"])
    wait_for(lambda: len([m for m in service.journal() if "status 127" in m["message"]]) > 5)
    status, stderr = service.stop()
    assert status == 0
    assert "cannot run /nonexistent/program" in stderr


def test_an_exit_nobody_asked_for_is_a_death(service: Service) -> None:
    old = service.start().who()["pid"]
    service.tell("exit 0")
    assert service.next_supervisor(old)["pid"] != old


def test_messages_from_anyone_but_the_supervisor_are_not_heard(service: Service) -> None:
    service.start().who()
    before = len(descriptors(service.pid))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.connect(str(service.data / "run" / "notify.sock"))
        reader, writer = os.pipe()
        for _ in range(30):
            socket.send_fds(stranger, [b"FDSTORE=1\nFDNAME=mine"], [writer])
            stranger.send(b"STOPPING=1\nEXIT_STATUS=78")
        os.close(writer)
        assert os.read(reader, 1) == b""  # heart has closed every copy
        os.close(reader)
    assert service.ask("barrier") is True
    assert len(descriptors(service.pid)) == before
    assert service.next_supervisor(service.kill_supervisor())["stored"] == []


def test_garbage_on_the_notify_socket_is_harmless(service: Service) -> None:
    service.start().who()
    for note in ("FDSTORE=1", "FDSTOREREMOVE=1", "MAINPID=x", "MAINPID=99999999999", "MAINPID=0"):
        service.ask(f"tell {note}")
    service.ask("tell WATCHDOG=never")
    service.ask("tell STATUS=" + "x" * 2000)
    assert service.ask("barrier") is True
    assert service.next_supervisor(service.kill_supervisor())["stored"] == []


def test_the_store_is_bounded_and_says_so(service: Service) -> None:
    service.start()
    for number in range(205):
        service.ask(f"store n{number}")
    wait_for(lambda: service.ask("barrier"))
    assert len(descriptors(service.pid)) < 230
    assert any("more than 200 descriptors" in line["message"] for line in service.journal())
    assert len(service.next_supervisor(service.kill_supervisor())["stored"]) == 200


def test_a_supervisor_may_go_on_in_another_process(service: Service) -> None:
    old = service.start().who()["pid"]
    child = service.ask("molt")
    wait_for(lambda: not lives(old))
    wait_for(lambda: service.ask("barrier"))
    assert service.who()["pid"] == child
    assert service.ask("store brain.1.hot") == 0
    os.kill(child, signal.SIGKILL)
    assert service.next_supervisor(child)["stored"] == ["brain.1.hot"]
    assert any("was killed by SIGKILL" in line["message"] for line in service.journal())


def test_the_next_supervisor_is_told_how_the_last_one_ended(service: Service) -> None:
    first = service.start("--healthy", "0").who()
    assert first["predecessor"] is None
    second = service.next_supervisor(service.kill_supervisor())
    assert second["predecessor"] == [first["pid"], -signal.SIGKILL]
    service.tell("exit 70")
    third = service.next_supervisor(second["pid"])
    assert third["predecessor"] == [second["pid"], 70]
    assert not any(name.startswith("OSUPERVISOR_") for name in third["environ"])
