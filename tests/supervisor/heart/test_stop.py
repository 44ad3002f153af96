"""The end of a service: polite, then by force, and nothing of it stays."""

import os
import signal
import subprocess

import pytest

from osupervisor.supervisor.heart import pid_file
from tests.supervisor.heart.service import HEART, PARROT, Service, lives, wait_for


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_everything_and_cleans_the_folder(service: Service, signum: int) -> None:
    supervisor = service.start().who()["pid"]
    status, stderr = service.stop(signum)
    assert status == 0
    assert "heart: stopped\n" in stderr
    assert not lives(supervisor)
    assert os.listdir(service.data / "run") == ["heart.pid"]
    assert (service.data / "run" / "heart.pid").read_text() == ""
    assert pid_file.holder(str(service.data)) is None
    assert service.start().who()["pid"] != supervisor


def test_a_stop_that_came_before_heart_took_its_handlers_is_heeded(service: Service) -> None:
    """As process 1 the command line holds it back until then (`cli/main.py`)."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        service.start()
        os.kill(service.pid, signal.SIGTERM)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert service.end()[0] == 0


def test_a_supervisor_that_ignores_the_stop_is_killed(service: Service) -> None:
    supervisor = service.start("--shutdown", "0.3", words=("deaf",)).who()["pid"]
    assert service.stop()[0] == 0
    assert not lives(supervisor)


def test_a_stopped_supervisor_is_killed_too(service: Service) -> None:
    supervisor = service.start("--shutdown", "0.3", "--watchdog", "0").who()["pid"]
    os.kill(supervisor, signal.SIGSTOP)
    assert service.stop()[0] == 0
    assert not lives(supervisor)


def test_a_second_interrupt_speeds_it_up(service: Service) -> None:
    supervisor = service.start("--shutdown", "3600", words=("deaf",)).who()["pid"]
    os.kill(service.pid, signal.SIGINT)
    wait_for(lambda: any(line["message"] == "stopping" for line in service.journal()))
    assert lives(supervisor)
    assert service.stop(signal.SIGINT)[0] == 0
    assert not lives(supervisor)


def test_a_supervisor_that_says_stopping_ends_the_service(service: Service) -> None:
    service.start().who()
    service.tell("stop")
    assert service.end()[0] == 0


def test_a_stop_during_the_wait_between_two_starts_is_immediate(service: Service) -> None:
    service.start("--backoff-initial", "3600", "--backoff-max", "3600", command=["false"])
    wait_for(lambda: any("again in" in line["message"] for line in service.journal()))
    assert service.stop()[0] == 0


def test_hangup_is_passed_on(service: Service) -> None:
    service.start().who()
    os.kill(service.pid, signal.SIGHUP)
    wait_for(lambda: service.who()["hups"] == 1)


def test_brains_in_the_store_and_orphans_are_killed_at_the_end(service: Service) -> None:
    service.start()
    brains = [service.ask(f"brain {number}") for number in range(3)]
    orphans = [service.ask("orphan") for _ in range(3)]
    assert all(map(lives, brains + orphans))
    assert service.stop()[0] == 0
    assert not any(map(lives, brains + orphans))


def test_brains_outlive_their_supervisor(service: Service) -> None:
    service.start()
    brain = service.ask("brain 1")
    service.next_supervisor(service.kill_supervisor())
    assert lives(brain)
    assert service.stop()[0] == 0
    assert not lives(brain)


def test_orphans_that_end_are_reaped(service: Service) -> None:
    service.start()
    orphans = [service.ask("orphan") for _ in range(5)]
    for orphan in orphans:
        os.kill(orphan, signal.SIGKILL)
    wait_for(lambda: not any(os.path.exists(f"/proc/{orphan}") for orphan in orphans))
    assert service.stop()[0] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace needs root here")
def test_heart_is_a_good_process_1(service: Service) -> None:
    """In a pid namespace of its own, as in a container: it reaps, it heeds SIGTERM."""
    command = [*HEART, "--data", str(service.data), "--foreground", "--", *PARROT]
    outer = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--mount-proc", *command],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        who = service.ask("who")
        assert who["pid"] != 1
        orphan = service.ask("orphan")
        assert orphan
        children = subprocess.check_output(["pgrep", "-P", str(outer.pid)], text=True).split()
        (heart,) = map(int, children)
        old = who["pid"]
        service.tell("die")
        assert service.next_supervisor(old)["pid"] != old
        os.kill(heart, signal.SIGTERM)
        _, stderr = outer.communicate(timeout=20)
        assert outer.returncode == 0, stderr
        assert not lives(heart)
    finally:
        if outer.poll() is None:
            outer.kill()
            outer.communicate()
