"""Hung supervisors: in their start, later, and stopped ones; and a heart that was late itself."""

import os
import signal
import time
from pathlib import Path

from tests.supervisor.heart.service import Service, lives, wait_for


def said(service: Service, text: str) -> bool:
    return any(text in line["message"] for line in service.journal())


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_supervisor_that_falls_silent_is_killed_and_replaced(service: Service) -> None:
    service.start("--watchdog", "0.4")
    service.ask("store brain.1.hot")
    old = service.who()["pid"]
    service.ask("silence")
    assert service.next_supervisor(old)["stored"] == ["brain.1.hot"]
    assert said(service, "no sign of life for 0.4 s")
    assert said(service, "was killed by SIGABRT")


def test_a_supervisor_that_beats_is_left_alone(service: Service) -> None:
    pid = service.start("--watchdog", "0.4").who()["pid"]
    deadline = time.monotonic() + 1.5
    wait_for(lambda: time.monotonic() > deadline)
    assert service.who()["pid"] == pid


def test_a_stopped_supervisor_is_killed_and_replaced(service: Service) -> None:
    old = service.start("--watchdog", "0.4").who()["pid"]
    os.kill(old, signal.SIGSTOP)
    assert service.next_supervisor(old)["pid"] != old
    assert not lives(old)
    assert said(service, "was killed by SIGKILL")


def test_a_start_that_takes_too_long_is_ended(service: Service) -> None:
    service.start("--ready-timeout", "0.5", words=("sleep 3600",))
    wait_for(lambda: said(service, "not ready after 0.5 s"))
    wait_for(lambda: said(service, "starting it again"))
    assert service.stop()[0] == 0


def test_a_start_that_asks_for_time_is_waited_for(service: Service) -> None:
    pid = service.start("--ready-timeout", "0.5", words=("extend 60", "sleep 1")).who()["pid"]
    assert service.who()["pid"] == pid
    assert not said(service, "not ready")


def test_a_heart_that_was_stopped_itself_blames_nobody(service: Service) -> None:
    pid = service.start("--watchdog", "0.4").who()["pid"]
    os.kill(pid, signal.SIGSTOP)
    os.kill(service.pid, signal.SIGSTOP)
    deadline = time.monotonic() + 1.0
    wait_for(lambda: time.monotonic() > deadline)
    os.kill(service.pid, signal.SIGCONT)
    wait_for(lambda: state(service.pid) == "S")  # awake, it has looked, and waits again
    os.kill(pid, signal.SIGCONT)
    deadline = time.monotonic() + 1.0
    wait_for(lambda: time.monotonic() > deadline)
    assert service.who()["pid"] == pid


def test_a_supervisor_may_ask_for_its_death(service: Service) -> None:
    old = service.start().who()["pid"]
    service.tell("tell WATCHDOG=trigger")
    assert service.next_supervisor(old)["pid"] != old
