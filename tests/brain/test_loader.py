"""Targets: found by file or module, refused with what to do; the version follows the sources."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = """
from osupervisor.brain import Brain, op
{imports}
class Counter(Brain):
    @op
    def add(self) -> int:
        return 1
class Other(Brain):
    @op
    def add(self) -> int:
        return 2
class Plain: ...
"""


def load(folder: Path, target: str) -> str:
    """What a fresh process prints of the target: target and version, or the error."""
    code = (
        "import sys; from osupervisor.brain.loader import load_target\n"
        "from osupervisor.brain.errors import LoadError\n"
        "try:\n"
        "    loaded = load_target(sys.argv[1])\n"
        "    print(loaded.schema['target'], list(loaded.program.ops), loaded.version)\n"
        "except LoadError as error: print('LoadError', error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, target],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "brain.py").write_text(SOURCE.format(imports="import helper"))
    (tmp_path / "helper.py").write_text("SIZE = 1\n")
    (tmp_path / "unused.py").write_text("SIZE = 1\n")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/__init__.py").write_text("")
    (tmp_path / "pack/inner.py").write_text(SOURCE.format(imports="import pack.deep.rules"))
    (tmp_path / "pack/deep").mkdir()
    (tmp_path / "pack/deep/__init__.py").write_text("")
    (tmp_path / "pack/deep/rules.py").write_text("RULE = 1\n")
    return tmp_path


@pytest.mark.parametrize("target", ["brain.py:Counter", "pack.inner:Counter", "./brain.py:Counter"])
def test_target_is_found_by_file_or_module(project: Path, target: str) -> None:
    name, ops, version = load(project, target).split(" ")
    assert (name, ops) == (target, "['add']")
    assert len(version) == 12 and int(version, 16) >= 0


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("brain.py", "it names no class; write brain.py:Counter or package.module:Class"),
        ("brain.py:", "it names no class"),
        (":Counter", "it names no class"),
        ("brain.py:1st", "it names no class"),
        ("gone.py:Counter", "there is no file"),
        ("gone:Counter", "there is no module gone"),
        ("pack.gone:Counter", "there is no module pack.gone"),
        ("brain.py:Count", "brain has no Count; brains in it: Counter, Other"),
        ("brain.py:Plain", "Plain is no class derived from osupervisor.brain.Brain"),
        ("brain.py:Brain", "Brain is no class derived from"),
        ("helper.py:Counter", "helper has no Counter; there is no brain in it"),
    ],
)
def test_target_that_is_no_brain_is_refused(project: Path, target: str, said: str) -> None:
    found = load(project, target)
    assert found.startswith(f"LoadError {target}: "), found
    assert said in found


def test_error_of_the_authors_module_comes_through(project: Path) -> None:
    (project / "helper.py").write_text("import missing_module\n")
    found = load(project, "brain.py:Counter")
    assert "ModuleNotFoundError: No module named 'missing_module'" in found
    assert "helper.py" in found


@pytest.mark.parametrize(
    ("target", "changed", "same"),
    [
        ("brain.py:Counter", "helper.py", "unused.py"),
        ("brain.py:Counter", "brain.py", "pack/inner.py"),
        ("pack.inner:Counter", "pack/deep/rules.py", "brain.py"),
    ],
)
def test_version_follows_the_sources_that_are_used(
    project: Path, target: str, changed: str, same: str
) -> None:
    first = load(project, target)
    append(project / same)
    assert load(project, target) == first
    append(project / changed)
    assert load(project, target) != first


def test_version_is_the_same_elsewhere(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    subprocess.run(["cp", "-r", project, copy], check=True)
    assert load(project, "brain.py:Counter") == load(copy, "brain.py:Counter")


def test_c_code_that_goes_round_the_tree_is_blocked_before_the_import(project: Path) -> None:
    (project / "helper.py").write_text(
        "from heapq import heappush\nassert heappush.__class__.__name__ == 'function'\n"
    )
    assert "brain.py:Counter" in load(project, "brain.py:Counter")


def append(path: Path) -> None:
    path.write_text(path.read_text() + "# changed\n")
