"""How the house is built, as far as it can be counted: sizes, names, words, packages.

The ceilings are a ratchet: they may be lowered, and whoever meets one splits what has grown.
"""

import ast
import os
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("supervisor", "brain", "bridge", "vault_store", "wal", "config")
BUILT = {"__pycache__", "build", "dist", "data"}
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
NAMES = {"utils", "util", "common", "helpers", "helper", "base", "misc"}
"""Of modules: words that fit anything and say nothing."""
WORDS = re.compile(
    r"\b(TODO|FIXME|XXX|HACK|WIP|TBD|NotImplementedError|NotImplemented)\b"
    r"|(?i:\b(stubs?|placeholders?|dummy|not implemented|work in progress)\b)"
)
"""What stands for something that isn't there. `todo` in small letters is a name, and may be one."""
PLACES = re.compile(r"/root/|/Users/|/work/|[A-Z]:\\\\|/home/(?!you\b|u\b|somebody\b)")
"""Folders of somebody's machine."""
TEXTS = {".py", ".md", ".toml", ".yml", ".yaml", ".json", ".sh", ".cfg", ""}


@cache
def _files() -> tuple[Path, ...]:
    """Everything but what is hidden, built, or written by a running service. In a second work tree
    .git is a file."""
    found: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in BUILT]
        folders[:] = [name for name in folders if not name.endswith(".egg-info")]
        found += [Path(folder, name) for name in names if name != ".git"]
    return tuple(sorted(found))


def _python() -> tuple[Path, ...]:
    return tuple(path for path in _files() if path.suffix == ".py")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _project() -> dict[str, Any]:
    return tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))


def test_there_is_something_to_look_at() -> None:
    assert len(_python()) > 100


def test_no_file_is_longer_than_500_lines() -> None:
    found = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in _python()}
    assert not {name: lines for name, lines in found.items() if lines > FILE_LINES_MAX}


def test_no_function_is_longer_than_70_lines() -> None:
    long: list[str] = []
    for path in _python():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long.append(f"{_name(path)}:{node.lineno} {node.name}, {lines} lines")
    assert not long


def test_every_module_has_a_name_of_its_own_and_says_what_it_is() -> None:
    for path in _python():
        assert path.stem not in NAMES, _name(path)
        if path.relative_to(ROOT).parts[0] in FOLDERS:
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
            assert docstring, f"{_name(path)} has no docstring"


def test_every_package_is_listed_once_and_is_there() -> None:
    setuptools = _project()["tool"]["setuptools"]
    listed: list[str] = setuptools["packages"]
    there = {
        ".".join(("osupervisor", *path.parent.relative_to(ROOT).parts))
        for path in _files()
        if path.name == "__init__.py" and path.relative_to(ROOT).parts[0] in FOLDERS
    }
    assert sorted(listed) == sorted(there)
    assert setuptools["package-dir"] == {f"osupervisor.{name}": name for name in FOLDERS}


def test_every_folder_with_modules_is_a_package() -> None:
    for path in _python():
        if path.relative_to(ROOT).parts[0] in FOLDERS:
            assert path.parent.joinpath("__init__.py").exists(), _name(path)


def test_every_type_marker_is_there() -> None:
    for name in FOLDERS:
        assert ROOT.joinpath(name, "py.typed").exists(), name


@pytest.mark.parametrize("pattern", [WORDS, PLACES], ids=["unfinished", "machine"])
def test_no_file_holds_what_stands_for_something_else(pattern: re.Pattern[str]) -> None:
    found: list[str] = []
    for path in _files():
        if path == Path(__file__) or path.suffix not in TEXTS:
            continue
        for number, line in enumerate(_lines(path), 1):
            if pattern.search(line):
                found.append(f"{_name(path)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []


def _compiled() -> list[Path]:
    text = ROOT.joinpath("setup.py").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^COMPILED = (\(.*?^\))", text, re.M | re.S)
    entries: tuple[str, ...] = ast.literal_eval(listed)
    places = [ROOT / entry for entry in entries]
    return [
        path for place in places for path in ([place] if place.is_file() else place.glob("*.py"))
    ]


def test_no_compiled_slice_calls_what_changes_anything() -> None:
    """mypyc makes such a call twice (docs/adr/0006)."""
    pure = {"abs", "len", "max", "min", "tell"}
    paths = _compiled()
    assert len(paths) > 40
    for path in paths:
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(each, ast.Slice):
                calls = [node for node in ast.walk(each) if isinstance(node, ast.Call)]
                called = {ast.unparse(call.func).rpartition(".")[2] for call in calls}
                assert called <= pure, f"{_name(path)}:{each.lineno}: {ast.unparse(each)}"
