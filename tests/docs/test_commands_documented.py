"""What a user can type, set, call or find in a log stands in the documents."""

import re
from collections.abc import Iterator

import click
import pytest

from osupervisor.bridge import methods
from osupervisor.bridge.errors import ServiceError
from osupervisor.config.catalogue import CATALOGUE
from osupervisor.config.description import reasons
from osupervisor.supervisor.cli.failure import Exit
from osupervisor.supervisor.cli.main import osupervisor
from osupervisor.supervisor.runtime.gauges import DURATIONS
from tests.docs.pages import ROOT, text_of

COMMANDS = text_of("docs/COMMANDS.md")
SETTINGS = text_of("docs/SETTINGS.md")
PROTOCOL = text_of("docs/PROTOCOL.md")
OPERATIONS = text_of("docs/OPERATIONS.md")
FILES = text_of("docs/formats/FILES.md")
SUFFIXES = (".py", ".log", ".toml", ".json")
EVERY_COMMAND = ("--json", "--data", "--config")


def _commands(
    command: click.Command = osupervisor, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its words, groups left out."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from _commands(found, (*path, name))


FOUND = dict(_commands())


def _section(path: tuple[str, ...]) -> str:
    """The section of COMMANDS.md that is about a command: its heading names the first word."""
    sections = re.split(r"^## ", COMMANDS, flags=re.MULTILINE)[1:]
    about = [each for each in sections if re.search(rf"`{path[0]}\b", each.splitlines()[0])]
    if path[1:]:
        about = [each for each in about if re.search(rf"\b{path[1]}\b", each)]
    assert about, f"docs/COMMANDS.md has no section about {' '.join(path)}"
    return "\n".join(about)


@pytest.mark.parametrize("path", FOUND, ids=" ".join)
def test_a_command_is_documented_with_every_option(path: tuple[str, ...]) -> None:
    section = _section(path)
    for parameter in FOUND[path].params:
        if not isinstance(parameter, click.Option):
            continue
        text = COMMANDS if parameter.opts[0] in EVERY_COMMAND else section
        for option in parameter.opts:
            assert re.search(rf"{option}\b", text), f"{' '.join(path)} {option}"
        if isinstance(parameter.type, click.Choice) and parameter.opts[0] != "--wait":
            for choice in parameter.type.choices:
                assert str(choice) in section, f"{' '.join(path)} {parameter.name} {choice}"


def test_every_option_that_is_documented_exists() -> None:
    real = {
        option
        for command in FOUND.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", COMMANDS))
    assert said - real <= {"--help"}


def test_the_readme_names_every_command() -> None:
    table = text_of("README.md").partition("## Commands")[2].partition("## ")[0]
    for first in {path[0] for path in FOUND}:
        assert re.search(rf"`{first}\b", table), first


def test_every_exit_code_is_documented() -> None:
    for code in Exit:
        assert re.search(rf"^\| {int(code)} \|", COMMANDS, re.MULTILINE), code


@pytest.mark.parametrize("key", CATALOGUE)
def test_a_setting_is_documented_as_default_toml_has_it(key: str) -> None:
    setting = CATALOGUE[key]
    default = setting.text(setting.default)
    row = f"| `{key}` | `{default}` | {setting.range()} | {reasons()[key]} |"
    assert row in SETTINGS, f"docs/SETTINGS.md wants the row: {row}"


def test_every_setting_that_is_documented_exists() -> None:
    """What looks like one is a setting, a log message, a method or a file."""
    others = {*re.findall(r"`([a-z_]+\.[a-z_]+)`", FILES), *methods.METHODS}
    sections = {key.partition(".")[0] for key in CATALOGUE if "." in key}
    for page in (SETTINGS, OPERATIONS, text_of("README.md"), text_of("ARCHITECTURE.md")):
        for said in re.findall(r"`([a-z_]+\.[a-z_]+)\b[^/`]*`", page):
            if said.partition(".")[0] in sections and not said.endswith(SUFFIXES):
                assert said in CATALOGUE or said in others, said


@pytest.mark.parametrize("method", sorted(methods.METHODS))
def test_a_method_is_documented(method: str) -> None:
    assert f"`{method}`" in PROTOCOL


@pytest.mark.parametrize("error", ServiceError.__subclasses__(), ids=lambda each: each.__name__)
def test_an_error_code_is_documented(error: type[ServiceError]) -> None:
    assert f"| `{error.__name__}` |" in PROTOCOL


def test_every_log_message_is_documented() -> None:
    said = re.compile(r'(?:say|say_later|put)\(\s*"(?:debug|info|warning|error)",\s*"([a-z_.]+)"')
    for path in ROOT.joinpath("supervisor", "runtime").glob("*.py"):
        for message in said.findall(path.read_text(encoding="utf-8")):
            assert f"`{message}`" in FILES, f"{path.name} says {message}"


def test_every_metric_is_documented_and_alerted_metrics_exist() -> None:
    gauges = ROOT.joinpath("supervisor", "runtime", "gauges.py").read_text(encoding="utf-8")
    plain = re.findall(r'^    "([a-z_]+)": "', gauges, re.MULTILINE)
    labelled = re.findall(r'"osupervisor_([a-z_]+)"', gauges)
    names = {*plain, *labelled, *(name for name, _ in DURATIONS.values())}
    table = OPERATIONS.partition("## Metrics")[2]
    for name in names:
        short = name.partition("_")[2]
        assert f"osupervisor_{name}" in table or f"`_{name}`" in table or f"`_{short}`" in table, (
            name
        )
    used = re.findall(r"osupervisor_([a-z_]+)", text_of("docker/alerts.yml"))
    assert used and set(used) <= names
