"""Heart's start: what it makes, what it hands over, what it refuses."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from osupervisor.supervisor.heart import pid_file
from osupervisor.supervisor.heart.command import heart_command
from osupervisor.supervisor.heart.options import Options
from tests.supervisor.heart.service import HEART, PARROT, Service, descriptors, wait_for


def test_folder_and_sockets_are_the_owners_alone(service: Service) -> None:
    service.start().who()
    run = service.data / "run"
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    for name in ("osupervisor.sock", "notify.sock"):
        assert stat.S_ISSOCK((run / name).stat().st_mode)
        assert stat.S_IMODE((run / name).stat().st_mode) == 0o600
    assert (run / "heart.pid").read_text() == f"{service.pid}\n"
    assert pid_file.holder(str(service.data)) == service.pid


def test_a_folder_open_to_others_is_closed_to_them(service: Service) -> None:
    (service.data / "run").mkdir(parents=True, mode=0o777)
    service.start().who()
    assert stat.S_IMODE((service.data / "run").stat().st_mode) == 0o700


def test_the_supervisor_gets_the_socket_a_watchdog_and_nothing_that_is_not_meant_for_it(
    service: Service,
) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)  # as a shell or a CI job would leave one open
    try:
        who = service.start("--watchdog", "7").who()
    finally:
        os.close(writer)
        os.close(reader)
    assert who["listeners"] == ["osupervisor.sock"]
    assert who["stored"] == []
    assert who["watchdog_s"] == 7
    assert who["session"] == who["pid"]  # a session of its own: Ctrl-C reaches heart alone
    assert not {"LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(who["environ"])
    assert not any(name.startswith("OSUPERVISOR_") for name in who["environ"])


def test_descriptors_of_whoever_started_heart_are_not_kept(service: Service) -> None:
    reader, writer = os.pipe()
    command = [*HEART, "--data", str(service.data), "--foreground", "--", *PARROT]
    service.process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[writer],
        env={**os.environ, **service.mark.environ},
    )
    os.close(writer)
    service.who()
    assert os.read(reader, 1) == b""  # end of file: nobody holds the writing end
    os.close(reader)


def test_tcp_is_listened_on_when_asked_for(service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    who = service.start("--tcp", f"127.0.0.1:{port}").who()
    assert who["listeners"] == ["osupervisor.sock", "tcp"]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"who\n")
        assert client.makefile().readline().startswith("{")


def test_a_tcp_port_in_use_is_a_clear_error_and_leaves_no_socket(service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, stderr = service.start("--tcp", f"127.0.0.1:{port}").end()
    assert status == 1
    assert f"cannot listen on 127.0.0.1:{port}" in stderr
    assert "listen.tcp" in stderr
    assert not (service.data / "run" / "osupervisor.sock").exists()


@pytest.mark.parametrize("address", ["7070", "127.0.0.1:99999", "no.such.host.invalid:1", ":x"])
def test_an_address_that_makes_no_sense_is_refused(service: Service, address: str) -> None:
    status, stderr = service.start("--tcp", address).end()
    assert (status, "cannot listen on" in stderr) == (1, True)


def test_the_socket_file_of_a_dead_service_is_replaced(service: Service) -> None:
    (service.data / "run").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(service.data / "run" / "osupervisor.sock"))
    assert service.start().who()["pid"]


def test_a_second_heart_on_the_data_folder_is_refused_and_harms_nothing(service: Service) -> None:
    pid = service.start().who()["pid"]
    second = Service(service.data)
    status, stderr = second.start().end()
    assert status == 1
    assert f"process {service.pid}" in stderr
    assert "osupervisor stop" in stderr
    assert service.who()["pid"] == pid
    assert pid_file.holder(str(service.data)) == service.pid


def test_a_heart_is_refused_where_a_supervisor_answers_without_one(service: Service) -> None:
    (service.data / "run").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(service.data / "run" / "osupervisor.sock"))
        listener.listen()
        status, stderr = service.start().end()
        assert (status, "somebody answers on its socket" in stderr) == (1, True)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(service.data / "run" / "osupervisor.sock"))


def test_ten_hearts_at_once_leave_one(service: Service) -> None:
    (service.data / "run").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(service.data / "run" / "osupervisor.sock"))
    hearts = [Service(service.data).start() for _ in range(10)]
    wait_for(lambda: sum(heart.process.poll() is None for heart in hearts if heart.process) == 1)
    (winner,) = [heart for heart in hearts if heart.process and heart.process.poll() is None]
    assert winner.who()["listeners"] == ["osupervisor.sock"]
    assert winner.stop()[0] == 0
    for heart in hearts:
        heart.clean_up()


def test_a_path_too_long_for_a_socket_works_all_the_same(tmp_path: Path) -> None:
    service = Service(tmp_path / ("long" * 30) / ("longer" * 20))
    try:
        pid = service.start().who()["pid"]
        assert service.ask("store brain.1.hot") == 0
        os.kill(pid, 9)
        assert service.next_supervisor(pid)["stored"] == ["brain.1.hot"]
        assert service.stop()[0] == 0
        assert sorted(os.listdir(service.data / "run")) == ["heart.pid"]
    finally:
        service.clean_up()


def test_a_data_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    service = Service(tmp_path / "file" / "data")
    status, stderr = service.start().end()
    assert status == 1
    assert str(tmp_path / "file" / "data" / "run") in stderr


def test_wrong_arguments_end_with_status_2(service: Service) -> None:
    status, stderr = service.start("--nonsense").end()
    assert (status, "--nonsense is not an option" in stderr) == (2, True)


def test_heart_needs_neither_site_packages_nor_a_sane_folder_or_environment(
    tmp_path: Path,
) -> None:
    for module in ("socket", "select", "signal", "osupervisor", "collections", "site"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('imported')")
    command = heart_command(Options(("true",), str(tmp_path / "data"), backoff_max_s=0.001))
    environ = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONHOME": str(tmp_path)}
    script = "import sys; print(sorted(sys.modules))"
    assert "osupervisor" not in subprocess.check_output([*command[:3], "-c", script], text=True)
    heart = subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: (tmp_path / "data" / "run" / "osupervisor.sock").exists())
    finally:
        heart.terminate()
        assert heart.communicate(timeout=10)[1] == b""
    assert heart.returncode == 0
    assert command[0] == sys.executable


def test_a_small_process(service: Service) -> None:
    service.start("--spare").who()
    text = Path(f"/proc/{service.pid}/status").read_text()
    (rss,) = [int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS")]
    print(f"heart: {rss} kB")
    assert rss < 14_000 if sys.version_info >= (3, 12) else rss < 12_000
    assert "Threads:\t1\n" in text
    assert len(descriptors(service.pid)) <= 14
