"""What the folder offers by name, and that its codecs load nothing heavy."""

import subprocess
import sys

import pytest

from osupervisor import bridge

HEAVY = ("asyncio", "socket", "uvloop", "pydantic", "click", "rich")


@pytest.mark.parametrize("name", bridge.__all__)
def test_every_offered_name_is_there(name: str) -> None:
    assert getattr(bridge, name).__name__ == name


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no_such"):
        bridge.no_such  # noqa: B018  # pyright: ignore


def loaded_by(statement: str) -> set[str]:
    """Modules of HEAVY that an interpreter has loaded after the statement."""
    program = f"import sys\n{statement}\nprint(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module", ["frames", "messages", "call", "session", "methods", "errors", "exchange"]
)
def test_the_pure_modules_load_nothing_heavy(module: str) -> None:
    assert loaded_by(f"import osupervisor.bridge.{module}") == set()


def test_the_client_for_threads_does_without_asyncio() -> None:
    assert loaded_by("from osupervisor.bridge import Client") == {"socket"}
