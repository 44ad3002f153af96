"""Heart's own death: the supervisor starts another; the service goes on with the same process."""

import os
import signal
from pathlib import Path

from osupervisor.supervisor.heart import pid_file
from tests.supervisor.heart.service import Service, descriptors, lives, wait_for


def kill_heart(service: Service) -> int:
    """SIGKILL to heart; returns the id of the next one, when it holds the folder."""
    data = str(service.data)
    old = pid_file.holder(data)
    assert old is not None
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: pid_file.holder(data) not in (old, None))
    new = pid_file.holder(data)
    assert new is not None
    wait_for(lambda: service.ask("barrier"))
    return new


def test_a_killed_heart_is_replaced_and_the_supervisor_lives_on(service: Service) -> None:
    service.start()
    service.ask("store brain.1.hot")
    pid = service.who()["pid"]
    new = kill_heart(service)
    assert new != service.pid
    assert service.who()["pid"] == pid
    os.kill(pid, signal.SIGKILL)
    who = service.next_supervisor(pid)
    assert who["stored"] == ["brain.1.hot"]
    assert service.ask("read brain.1.hot") == "brain.1.hot"


def test_what_is_stored_before_the_new_heart_has_looked_is_not_lost(service: Service) -> None:
    service.start()
    pid = service.who()["pid"]
    for number in range(5):
        wait_for(lambda: pid_file.holder(str(service.data)) is not None)
        heart = pid_file.holder(str(service.data))
        assert heart is not None
        os.kill(heart, signal.SIGKILL)
        for letter in "abc":
            service.ask(f"store {letter}{number}")
        service.ask(f"remove b{number}")
    wait_for(lambda: service.ask("barrier"))
    assert service.who()["unsent"] == 0
    wait_for(lambda: pid_file.holder(str(service.data)) is not None)
    os.kill(pid, signal.SIGKILL)
    stored = service.next_supervisor(pid)["stored"]
    assert stored == sorted(f"{letter}{number}" for letter in "ac" for number in range(5))


def test_thirty_kills_in_turn_of_heart_and_supervisor_leak_nothing(service: Service) -> None:
    service.start("--healthy", "0")
    for name in ("brain.1.hot", "brain.2.hot"):
        service.ask(f"store {name}")
    kill_heart(service)
    pid = service.who()["pid"]
    os.kill(pid, signal.SIGKILL)
    who = service.next_supervisor(pid)
    heart = pid_file.holder(str(service.data))
    assert heart is not None
    before, supervisor_before = len(descriptors(heart)), len(who["fds"])
    for _ in range(15):
        heart = kill_heart(service)
        pid = service.who()["pid"]
        assert pid == who["pid"]
        os.kill(pid, signal.SIGKILL)
        who = service.next_supervisor(pid)
        assert who["stored"] == ["brain.1.hot", "brain.2.hot"]
        assert len(who["fds"]) == supervisor_before
        assert len(descriptors(heart)) == before


def test_a_revived_heart_watches_reads_refusals_and_stops(service: Service) -> None:
    pid = service.start("--watchdog", "0.4").who()["pid"]
    heart = kill_heart(service)
    service.ask("silence")
    assert service.next_supervisor(pid)["pid"] != pid
    heart = kill_heart(service)
    service.tell("refuse no more")
    wait_for(lambda: not lives(heart))
    assert service.journal()[-1]["message"].endswith("refused to start: no more")
    assert not (service.data / "run" / "osupervisor.sock").exists()


def test_a_revived_heart_can_be_stopped(service: Service) -> None:
    service.start()
    brain = service.ask("brain 1")
    pid = service.who()["pid"]
    heart = kill_heart(service)
    os.kill(heart, signal.SIGTERM)
    wait_for(lambda: not lives(heart))
    assert not lives(pid)
    assert not lives(brain)
    assert os.listdir(service.data / "run") == ["heart.pid"]


def test_when_both_are_killed_the_next_start_is_a_cold_one(service: Service) -> None:
    service.start()
    service.ask("store brain.1.hot")
    pid = service.who()["pid"]
    os.kill(pid, signal.SIGSTOP)
    service.kill_heart()
    os.kill(pid, signal.SIGKILL)
    service.end()
    assert (service.data / "run" / "osupervisor.sock").exists()  # nobody was left to remove it
    who = service.start().who()
    assert who["stored"] == []
    assert service.stop()[0] == 0


def test_a_start_beside_an_orphaned_supervisor_is_refused(service: Service) -> None:
    pid = service.start("--watchdog", "0").who()["pid"]
    os.kill(pid, signal.SIGSTOP)  # it doesn't notice that its heart is dead
    service.kill_heart()
    status, stderr = Service(service.data).start().end()
    os.kill(pid, signal.SIGCONT)
    assert (status, "somebody answers on its socket" in stderr) == (1, True)
    wait_for(lambda: pid_file.holder(str(service.data)) is not None)
    assert service.who()["pid"] == pid


def test_with_a_path_too_long_for_a_socket_too(tmp_path: Path) -> None:
    service = Service(tmp_path / ("long" * 30) / ("longer" * 20))
    try:
        service.start()
        service.ask("store brain.1.hot")
        pid = service.who()["pid"]
        kill_heart(service)
        service.ask("store brain.2.hot")
        assert service.ask("barrier") is True
        os.kill(pid, signal.SIGKILL)
        assert service.next_supervisor(pid)["stored"] == ["brain.1.hot", "brain.2.hot"]
    finally:
        service.clean_up()


def test_adopting_is_for_supervisors_alone(service: Service) -> None:
    status, stderr = service.start("--adopt", str(os.getpid())).end()
    assert (status, "--adopt is for a supervisor alone" in stderr) == (1, True)


def test_a_listening_socket_survives_with_its_waiting_connections(service: Service) -> None:
    service.start()
    pid = service.who()["pid"]
    os.kill(pid, signal.SIGSTOP)
    waiting = service.connect()
    waiting.sendall(b"who\n")
    os.kill(service.pid, signal.SIGKILL)
    os.kill(pid, signal.SIGCONT)
    with waiting, waiting.makefile() as file:
        assert f'"pid": {pid}' in file.readline()
    wait_for(lambda: pid_file.holder(str(service.data)) is not None)
