"""The files under docker/ name files, users, settings and commands that there are."""

import re

import click

from osupervisor.config.catalogue import CATALOGUE
from osupervisor.config.environment import variable_of
from osupervisor.supervisor.cli.main import osupervisor
from tests.docs.pages import ROOT, text_of

DOCKERFILE = text_of("docker/Dockerfile")
COMPOSE = text_of("docker/compose.yaml")


def test_variables_set_settings() -> None:
    known = {variable_of(key) for key in CATALOGUE} | {"OSUPERVISOR_PROFILE", "OSUPERVISOR_DATA"}
    pages = DOCKERFILE + COMPOSE + text_of("docker/README.md")
    named = set(re.findall(r"\bOSUPERVISOR_[A-Z_]+", pages))
    assert named and named <= known


def test_the_image_holds_what_the_wheel_is_made_of() -> None:
    ignore = text_of("docker/Dockerfile.dockerignore").splitlines()
    taken = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    assert all(ROOT.joinpath(name).exists() for name in taken)
    packages = re.findall(r'^"osupervisor\.\w+" = "(\w+)"', text_of("pyproject.toml"), re.MULTILINE)
    assert {*packages, "pyproject.toml", "setup.py", "README.md", "LICENSE"} <= taken


def test_the_image_is_compiled_where_nothing_else_of_ours_is_installed() -> None:
    """mypy would read the installed modules beside those that it is to compile."""
    (build,) = re.findall(r"^RUN python -m pip install(.*?)^FROM", DOCKERFILE, re.M | re.S)
    assert "COMPILE_OSUPERVISOR=1" in build
    before, _, _ = build.partition("COMPILE_OSUPERVISOR=1")
    assert "pip uninstall -y osupervisor" in before


def test_the_image_has_byte_code_of_pythons_own_library() -> None:
    """The base has none, and no process of ours may write any there."""
    *_, image = DOCKERFILE.split("\nFROM ")
    assert "python -m compileall" in image and "PYTHONDONTWRITEBYTECODE=1" in image


def test_files_that_are_mounted_or_built_from_exist() -> None:
    for name in re.findall(r"- (\.{1,2}/[\w./-]+):", COMPOSE):
        assert ROOT.joinpath("docker", name).exists(), name
    assert ROOT.joinpath("docker", "../docker/Dockerfile").exists()
    assert "dockerfile: docker/Dockerfile" in COMPOSE
    assert "alerts.yml" in text_of("docker/prometheus.yml")


def test_prometheus_scrapes_the_address_that_the_service_is_told() -> None:
    address = re.search(r'OSUPERVISOR_METRICS__HTTP: "0\.0\.0\.0:(\d+)"', COMPOSE)
    assert address is not None
    assert f'"service:{address[1]}"' in text_of("docker/prometheus.yml")


def test_the_image_runs_commands_that_there_are_and_not_as_root() -> None:
    context = click.Context(osupervisor)
    assert osupervisor.name == "osupervisor" and 'ENTRYPOINT ["osupervisor"]' in DOCKERFILE
    for command in ("start", "status"):
        assert f'"{command}"' in DOCKERFILE
        assert isinstance(osupervisor, click.Group)
        assert osupervisor.get_command(context, command) is not None
    assert re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE)[-1] == "osupervisor"
    assert "HEALTHCHECK" in DOCKERFILE and "VOLUME /data" in DOCKERFILE
