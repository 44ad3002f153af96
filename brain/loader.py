"""Finds a brain's class by TARGET: `brain.py:Counter`, `package.module:Class`.

What the author's code imports is made pure first (purity.py). The version of the code is the first
12 hex digits of the sha256 over the sources that were imported from where the target lives: the
folder of a file, the top-level package of a module. What is installed elsewhere is not in it.
"""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from osupervisor.brain import purity, schema
from osupervisor.brain.api import Brain
from osupervisor.brain.errors import LoadError
from osupervisor.brain.executor import construct
from osupervisor.brain.program import Program, compile_program

VERSION_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Loaded:
    """A brain's class, ready to run; `schema` is what `ready` tells.

    `brain` is an object of it that nothing has used. What its `__init__` computed is shared by all
    processes forked with it, as long as nobody writes to it.
    """

    program: Program
    version: str
    schema: dict[str, Any]
    brain: Brain


def load_target(target: str) -> Loaded:
    """Import the target and compile its class.

    Raises LoadError for a target that is malformed, missing or no Brain, for a class that can't be
    a brain, and when its `__init__` fails. What the author's module raises while it is imported
    comes through as it is.
    """
    where, separator, name = target.rpartition(":")
    if not separator or not where or not name.isidentifier():
        raise LoadError(
            target, "it names no class", "write brain.py:Counter or package.module:Class"
        )
    purity.install()
    module = _import_file(target, Path(where)) if where.endswith(".py") else _import(target, where)
    program = compile_program(_find_class(target, module, name), target)
    return Loaded(program, _version(module), schema.describe(program), construct(program))


def _import_file(target: str, path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise LoadError(target, f"there is no file {path}", "check the path")
    name = path.stem
    if not name.isidentifier():
        raise LoadError(target, f"{path.name} is no module's name", "rename the file")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import(target: str, name: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise LoadError(
                target, f"there is no module {error.name}", "install it, or check the name"
            ) from error
        raise


def _find_class(target: str, module: ModuleType, name: str) -> type[Brain]:
    found = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, Brain) and found is not Brain:
        return found
    brains = [
        n
        for n, member in vars(module).items()
        if isinstance(member, type) and issubclass(member, Brain) and member is not Brain
    ]
    there = f"brains in it: {', '.join(brains)}" if brains else "there is no brain in it"
    if found is None:
        raise LoadError(target, f"{module.__name__} has no {name}", there)
    raise LoadError(target, f"{name} is no class derived from osupervisor.brain.Brain", there)


def _version(module: ModuleType) -> str:
    digest = hashlib.sha256()
    root = _root(module)
    for path in sorted(_sources(root)):
        digest.update(str(path.relative_to(root)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:VERSION_DIGITS]


def _root(module: ModuleType) -> Path:
    """The folder whose sources are the brain's code."""
    file = Path(inspect.getfile(module)).resolve()
    if "." not in module.__name__:
        return file.parent
    top = sys.modules[module.__name__.partition(".")[0]]
    return Path(next(iter(top.__path__))).resolve()


def _sources(root: Path) -> Iterator[Path]:
    """The imported source files under `root` that are not installed packages."""
    outside = [Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()]
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py"):
            continue
        path = Path(file).resolve()
        installed = any(path.is_relative_to(o) and not root.is_relative_to(o) for o in outside)
        if path.is_relative_to(root) and not installed and path.is_file():
            yield path
