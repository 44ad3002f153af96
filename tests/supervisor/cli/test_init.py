"""`osupervisor init`: what it writes works."""

import subprocess
import sys

import pytest

from osupervisor.supervisor.cli.init import class_name
from tests.supervisor.cli.command import PATIENCE_S, Cli, start


def test_its_test_passes_and_its_service_serves(cli: Cli) -> None:
    made = cli.json("init", "my-service")
    folder = cli.folder / "my-service"
    assert made["brain"] == "MyService"
    assert sorted(path.name for path in folder.iterdir()) == sorted(made["files"])
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout
    started = start(folder)
    assert started.returncode == 0, started.stderr
    cli.folder = folder
    assert cli.ok("call", "add", "hits", "3") == "3\n"


def test_it_tells_what_to_do_next(cli: Cli) -> None:
    assert "osupervisor start" in cli.ok("init", "a/b/counter")
    assert (cli.folder / "a" / "b" / "counter" / "brain.py").is_file()


def test_nothing_is_written_over(cli: Cli) -> None:
    before = (cli.folder / "brain.py").read_text()
    folder = cli.folder.with_name("named-by-a-letter")
    cli.folder.rename(folder)
    cli.folder = folder
    ran = cli("init", ".")
    assert ran.code == 1
    assert "brain.py" in ran.err
    assert (folder / "brain.py").read_text() == before
    folder.rename(folder.with_name("back"))


def test_a_file_is_no_folder(cli: Cli) -> None:
    assert cli("init", "brain.py").code in (1, 2)
    (cli.folder / "taken").write_text("")
    assert cli("init", "taken").code == 1


@pytest.mark.parametrize(
    ("place", "name"),
    [("my-service", "MyService"), ("packer", "Packer"), ("a_b c2", "ABC2"), ("HTTPd", "HTTPd")],
)
def test_a_class_is_named_after_its_folder(place: str, name: str) -> None:
    assert class_name(place) == name


@pytest.mark.parametrize(
    "name",
    ["3d", "._.", "été", "brain", "none", "True", "false", "invalidArguments", 'a"b', "a\\b"],
)
def test_a_folder_that_names_no_class(cli: Cli, name: str) -> None:
    ran = cli("init", name)
    assert ran.code == 2
    assert not (cli.folder / name).exists()


def test_the_next_command_can_be_pasted(cli: Cli) -> None:
    assert "cd 'my svc' && osupervisor start" in cli.ok("init", "my svc")
    here = cli.folder / "my-service"
    here.mkdir()
    cli.folder = here
    assert "next: osupervisor start" in cli.ok("init", ".")


def test_an_empty_name_is_refused(cli: Cli) -> None:
    ran = cli("init", "")
    assert ran.code == 2 and "init my-service" in ran.err
