"""Death of brains, supervisor, heart, all at once: clients see a delay, nothing else."""

import os
import resource
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osupervisor.bridge.client import Client
from tests.end_to_end.running import Running, is_gone, wait_for

Start = Callable[..., Running]


class Traffic:
    """Clients that send tokens in a closed loop, and remember what was acknowledged."""

    def __init__(self, service: Running, clients: int = 3) -> None:
        self.acknowledged: list[str] = []
        self.errors: list[str] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._send, args=(service, number)) for number in range(clients)
        ]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def count(self) -> int:
        return len(self.acknowledged)

    def wait_for_more(self, more: int = 30) -> None:
        before = self.count()
        wait_for(lambda: self.errors or self.count() >= before + more, "traffic")

    def _send(self, service: Running, number: int) -> None:
        with Client(service.data, timeout_s=60) as client:
            sent = 0
            while not self._stop.is_set():
                token = f"{number}.{sent}"
                sent += 1
                try:
                    client.put(token)
                except Exception as error:  # whatever it is, the test fails on it
                    self.errors.append(f"{token}: {error!r}")
                    return
                with self._lock:
                    self.acknowledged.append(token)


def verify(service: Running, traffic: Traffic) -> None:
    """No client saw an error; each acknowledged token is there, and no token twice."""
    assert traffic.errors == []
    tokens = service.tokens()
    assert len(tokens) == len(set(tokens))
    assert set(traffic.acknowledged) <= set(tokens)


def wait_for_another(service: Running, role: str, old: int) -> None:
    wait_for(lambda: service.pid(role) != old, f"another {role}")


def wait_for_ends(pids: list[int]) -> None:
    wait_for(lambda: all(map(is_gone, pids)), "their ends")


def test_the_primary_is_killed_again_and_again_under_load(start: Start) -> None:
    service = start()
    with Traffic(service) as traffic:
        for _ in range(12):
            traffic.wait_for_more()
            service.kill("primary")
            service.pid("standby")
        traffic.wait_for_more()
    verify(service, traffic)
    assert service.status()["restarts"] >= 12


def test_primary_and_standby_are_killed_together(start: Start) -> None:
    service = start()
    with Traffic(service) as traffic:
        for _ in range(3):
            traffic.wait_for_more()
            service.kill("standby")
            service.kill("primary")
            service.pid("standby")
        traffic.wait_for_more()
    verify(service, traffic)


def test_the_supervisor_is_killed_under_load_and_brains_live_on(start: Start) -> None:
    service = start()
    with Traffic(service) as traffic:
        for _ in range(5):
            traffic.wait_for_more()
            brains = {service.pid("primary"), service.pid("standby")}
            old = service.kill("supervisor")
            wait_for_another(service, "supervisor", old)
            traffic.wait_for_more()
            assert {service.pid("primary"), service.pid("standby")} == brains
    verify(service, traffic)


def test_heart_is_killed_under_load_and_guarded_again(start: Start) -> None:
    service = start()
    with Traffic(service) as traffic:
        for _ in range(3):
            traffic.wait_for_more()
            old = service.kill("heart")
            wait_for_another(service, "heart", old)
        supervisor = service.kill("supervisor")
        wait_for_another(service, "supervisor", supervisor)
        traffic.wait_for_more()
    verify(service, traffic)


def test_everything_dies_at_once_and_nothing_acknowledged_is_missing(start: Start) -> None:
    service = start()
    for _ in range(3):
        acknowledged = [service.client.put(f"{service.status()['lsn']}.{n}") for n in range(20)]
        tokens = service.tokens()
        processes = [service.pid(role) for role in ("heart", "supervisor", "primary", "standby")]
        service.kill_everything()
        wait_for_ends(processes)
        verified = service.run("wal", "verify")
        assert verified.returncode == 0, verified.stderr
        service.start()
        assert service.tokens() == tokens
        assert acknowledged[-1] == len(tokens)


def test_heart_and_supervisor_die_together_and_brains_end(start: Start) -> None:
    service = start()
    service.client.put("a")
    brains = [service.pid("primary"), service.pid("standby")]
    service.run("chaos", "stop", "--target", "heart")
    service.kill("supervisor")
    service.kill_everything()
    wait_for_ends(brains)
    service.start()
    assert service.tokens() == ["a"]


def test_a_report_of_a_death_is_kept_when_the_service_stops_right_after(start: Start) -> None:
    service = start()
    old = service.kill("primary")
    service.client.put("a")
    wait_for(lambda: not Path(f"/proc/{old}").exists(), "the nursery to reap it")
    assert service.run("stop").returncode == 0
    reports = [path.read_text() for path in (service.data / "crashes").glob("*.json")]
    assert [f'"pid": {old}' in report for report in reports] == [True]


def test_without_descriptors_for_a_new_brain_the_old_ones_serve_on(start: Start) -> None:
    service = start("[health]\nsample_interval_s = 0.1\n")
    supervisor, primary = service.pid("supervisor"), service.pid("primary")
    standby = service.pid("standby")
    service.client.put("a")
    limits = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (3, limits[1]))
    os.kill(standby, signal.SIGKILL)
    wait_for(lambda: service.status()["standby"] is None, "the standby's death")
    for number in range(200):
        assert service.client.put(f"b{number}") == number + 2
    looked_s = service.status()["uptime_s"] + 2.5
    wait_for(lambda: service.status()["uptime_s"] > looked_s, "some looks at brains and heart")
    assert (service.pid("supervisor"), service.pid("primary")) == (supervisor, primary)
    assert service.status()["standby"] is None
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, limits)
    service.pid("standby")
    assert (service.pid("supervisor"), service.pid("primary")) == (supervisor, primary)


def test_a_stopped_standby_outlives_its_supervisor(start: Start) -> None:
    """The kernel sends SIGHUP to a process group that loses its session's parent with somebody
    stopped in it, and lets that one go on."""
    service = start()
    primary, standby = service.pid("primary"), service.pid("standby")
    os.kill(standby, signal.SIGSTOP)
    wait_for_another(service, "supervisor", service.kill("supervisor"))
    assert service.client.put("a") == 1
    # Whichever is ready first leads.
    assert {service.pid("primary"), service.pid("standby")} == {primary, standby}


@pytest.mark.parametrize("set_by_hand", ["", "glibc.malloc.trim_threshold=1000000"])
def test_brains_ask_for_huge_pages_unless_somebody_tuned_them(
    start: Start, monkeypatch: pytest.MonkeyPatch, set_by_hand: str
) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if set_by_hand:
        monkeypatch.setenv("GLIBC_TUNABLES", set_by_hand)
    service = start()
    environment = Path(f"/proc/{service.pid('primary')}/environ").read_bytes().split(b"\0")
    tuned = [each for each in environment if each.startswith(b"GLIBC_TUNABLES=")]
    wanted = set_by_hand or "glibc.malloc.hugetlb=1"
    assert tuned == [f"GLIBC_TUNABLES={wanted}".encode()]


def test_cold_start_forks_its_brains_from_the_one_nursery_that_it_began_with(start: Start) -> None:
    service = start()
    service.client.put("a")
    service.kill_everything()
    service.start()
    assert service.tokens() == ["a"]
    assert len(nurseries(service.pid("supervisor"))) == 1
    service.kill("standby")
    service.kill("primary")
    assert service.tokens() == ["a"]


def nurseries(supervisor: int) -> list[int]:
    """Children of the supervisor's that are no brains: those are the nursery's."""
    rows = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [int(pid) for pid in rows if not is_gone(int(pid))]


def test_restarts_and_uptime_are_of_the_service_and_not_of_its_supervisor(start: Start) -> None:
    """Both began anew with each supervisor, and its own deaths were counted nowhere."""
    service = start()
    service.pid("standby")
    first = service.status()
    assert (first["restarts"], first["supervisor"]["restarts"]) == (0, 0)
    wait_for_another(service, "primary", service.kill("primary"))
    service.pid("standby")
    assert service.status()["restarts"] == 1
    for deaths in (1, 2):
        wait_for_another(service, "supervisor", service.kill("supervisor"))
        service.pid("standby")
        status = service.status()
        assert (status["restarts"], status["supervisor"]["restarts"]) == (1 + deaths, deaths)
    wait_for_another(service, "heart", service.kill("heart"))
    wait_for_another(service, "supervisor", service.kill("supervisor"))
    service.pid("standby")
    last = service.status()
    assert (last["restarts"], last["supervisor"]["restarts"]) == (4, 3)
    assert last["uptime_s"] > first["uptime_s"]
    assert "osupervisor_supervisor_deaths 3" in service.client.metrics()
    assert service.run("stop").returncode == 0
    service.start()
    assert service.status()["restarts"] == 0


def test_a_heart_that_was_stopped_is_woken_and_guards_on(start: Start) -> None:
    service = start()
    heart, supervisor = service.pid("heart"), service.pid("supervisor")
    os.kill(heart, signal.SIGSTOP)
    wait_for(lambda: "is stopped" in str(service.status()["complaints"]), "the complaint")
    wait_for(lambda: "heart.woken" in service.log_tail(), "its waking")
    wait_for(lambda: not service.status()["complaints"], "the complaint's end")
    service.kill("supervisor")
    wait_for_another(service, "supervisor", supervisor)
    assert service.pid("heart") == heart and service.client.put("a") == 1


def test_a_brain_that_dies_while_no_supervisor_lives_is_counted(start: Start) -> None:
    service = start()
    brains = [service.pid("primary"), service.pid("standby")]
    supervisor = service.pid("supervisor")
    os.kill(supervisor, signal.SIGSTOP)
    for pid in brains:
        os.kill(pid, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    wait_for_another(service, "supervisor", supervisor)
    service.pid("standby")
    status = service.status()
    assert (status["restarts"], status["supervisor"]["restarts"]) == (3, 1)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_supervisors_death_leaves_a_report(start: Start, number: signal.Signals) -> None:
    service = start()
    service.client.put("a")
    dead = service.pid("supervisor")
    os.kill(dead, number)
    wait_for_another(service, "supervisor", dead)
    assert service.client.put("b") == 2

    def found() -> list[dict[str, Any]]:
        rows = service.client.request("system.crashes", ["ls"])
        return [row for row in rows if row["role"] == "supervisor"]

    wait_for(found, "the report")
    report = service.client.request("system.crashes", ["show", found()[0]["id"]])
    assert (report["pid"], report["cause"]["name"]) == (dead, number.name)
    assert report["took_over"] == f"supervisor, process {service.pid('supervisor')}"
    assert report["lsn"] and report["epoch"]
    assert any("lease.granted" in line for line in report["output"])
    if number == signal.SIGKILL:
        assert report["traceback"] is None
    else:
        assert "Fatal Python error" in report["traceback"]
        assert "process.py" in report["traceback"]
    assert any(row["message"] == "supervisor.died" for row in service.log())


def test_hot_counters_are_exact_after_every_death(start: Start) -> None:
    service = start()
    calls = 0

    def counted() -> float:
        rows = service.client.metrics().splitlines()
        row = next(row for row in rows if row.startswith('osupervisor_brain_hot{name="adds"}'))
        return float(row.split()[1])

    for role in ("primary", "supervisor", "standby", "primary"):
        for _ in range(20):
            service.client.call("add", "x", 1)
        calls += 20
        service.pid("standby")
        service.kill(role)
        assert service.client.call("get", "x") == calls
        assert counted() == calls
    service.kill_everything()
    service.start()
    assert service.client.call("get", "x") == calls
    assert counted() == calls
