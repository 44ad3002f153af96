"""The spare: imports done, waiting; it takes over with all descriptors."""

import os
import signal
import time
from pathlib import Path

from osupervisor.supervisor.heart import pid_file
from tests.supervisor.heart.service import Service, descriptors, lives, wait_for


def spares(service: Service, supervisor: int) -> list[int]:
    """The children of heart that aren't the supervisor."""
    return [pid for pid in children_of(service.pid) if pid != supervisor]


def children_of(heart: int) -> list[int]:
    found: list[int] = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == heart:
            found.append(int(name))
    return found


def is_waiting(pid: int) -> bool:
    """Blocked in recvmsg: its imports are done."""
    try:
        return "recvmsg" in Path(f"/proc/{pid}/wchan").read_text() or _sleeps(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False


def _sleeps(pid: int) -> bool:
    text = Path(f"/proc/{pid}/syscall").read_text() if os.geteuid() == 0 else "47 "
    return text.startswith(("47 ", "212 "))  # recvmsg on x86-64 and on aarch64


def wait_for_spare(service: Service, supervisor: int) -> int:
    wait_for(lambda: any(map(is_waiting, spares(service, supervisor))))
    (spare,) = spares(service, supervisor)
    return spare


def test_the_spare_becomes_the_supervisor_with_everything(service: Service) -> None:
    service.start("--spare")
    service.ask("store brain.1.hot")
    old = service.who()["pid"]
    spare = wait_for_spare(service, old)
    os.kill(old, signal.SIGKILL)
    who = service.next_supervisor(old)
    assert who["pid"] == spare
    assert who["spare"] is True
    assert who["predecessor"] == [old, -signal.SIGKILL]
    assert who["listeners"] == ["osupervisor.sock"]
    assert who["stored"] == ["brain.1.hot"]
    assert who["watchdog_s"] == 10
    assert not any(name.startswith(("LISTEN_", "WATCHDOG_")) for name in who["environ"])
    assert service.ask("read brain.1.hot") == "brain.1.hot"
    assert service.ask("store brain.2.hot") == 0
    assert wait_for_spare(service, spare) != spare


def test_twenty_kills_of_supervisors_with_spares_leak_nothing(service: Service) -> None:
    service.start("--spare", "--healthy", "0")
    service.ask("store brain.1.hot")
    pid = service.who()["pid"]
    wait_for_spare(service, pid)
    before = len(descriptors(service.pid))
    pauses: list[float] = []
    for _ in range(20):
        spare = wait_for_spare(service, pid)
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        who = service.next_supervisor(pid)
        pauses.append(time.monotonic() - began)
        assert (who["pid"], who["stored"]) == (spare, ["brain.1.hot"])
        pid = spare
    wait_for_spare(service, pid)
    assert len(descriptors(service.pid)) == before
    pauses.sort()
    print(f"pause p50 {pauses[10] * 1000:.1f} ms, worst {pauses[-1] * 1000:.1f} ms")


def test_a_spare_that_dies_is_replaced_and_the_supervisor_does_not_notice(
    service: Service,
) -> None:
    pid = service.start("--spare").who()["pid"]
    spare = wait_for_spare(service, pid)
    os.kill(spare, signal.SIGKILL)
    wait_for(lambda: not lives(spare))
    assert wait_for_spare(service, pid) != spare
    assert service.who()["pid"] == pid


def test_a_spare_that_died_beside_the_supervisor_is_not_waited_for(service: Service) -> None:
    service.start("--spare")
    service.ask("store brain.1.hot")
    pid = service.who()["pid"]
    spare = wait_for_spare(service, pid)
    os.kill(service.pid, signal.SIGSTOP)
    os.kill(spare, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    os.kill(service.pid, signal.SIGCONT)
    who = service.next_supervisor(pid)
    assert who["pid"] != spare
    assert who["stored"] == ["brain.1.hot"]


def test_a_spare_that_hangs_is_killed_by_the_ready_timeout(service: Service) -> None:
    service.start("--spare", "--ready-timeout", "1.5")
    pid = service.who()["pid"]
    spare = wait_for_spare(service, pid)
    os.kill(spare, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    who = service.next_supervisor(pid)
    assert who["pid"] != spare
    assert not lives(spare)


def test_a_stop_ends_the_spare_too(service: Service) -> None:
    pid = service.start("--spare").who()["pid"]
    spare = wait_for_spare(service, pid)
    assert service.stop()[0] == 0
    assert not lives(spare)


def test_a_spare_ends_with_its_heart_and_the_revived_one_has_its_own(service: Service) -> None:
    pid = service.start("--spare").who()["pid"]
    spare = wait_for_spare(service, pid)
    service.kill_heart()
    wait_for(lambda: not lives(spare))
    wait_for(lambda: pid_file.holder(str(service.data)) is not None)
    heart = pid_file.holder(str(service.data))
    assert heart is not None
    wait_for(lambda: any(map(is_waiting, children_of(heart))))
    (new,) = children_of(heart)
    os.kill(pid, signal.SIGKILL)
    assert service.next_supervisor(pid)["pid"] == new
