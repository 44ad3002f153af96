"""The nursery as a process: what it says, what it forks, how it ends."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from osupervisor.bridge import line
from tests.brain.driver import BRAINS, WAIT_S, Nursery, nursery

CONSTRUCTOR = """
from osupervisor.brain import Brain, op
class Counter(Brain):
    def __init__(self):
        self.table = {}["gone"]
    @op
    def add(self): pass
"""
LASTING = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
"""A module that starts a thread which never ends."""
COUNTER = """
from osupervisor.brain import Brain, op
class Counter(Brain):
    @op
    def add(self): pass
"""

FAILING = """
import os
real, failures = os.fork, [OSError(11, "Resource temporarily unavailable")]
def fork():
    if failures:
        raise failures.pop()
    return real()
os.fork = fork
"""
"""A module with which the first fork fails, as at a limit of processes."""


def test_nursery_that_cannot_fork_says_so_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "brain.py"
    path.write_text(FAILING + COUNTER)
    with nursery_of(f"{path}:Counter") as nest:
        nest.expect_ready()
        refused = nest.brain_end()
        line.send(nest.control, ["spawn", "a"], refused.descriptors())
        refused.given()
        assert refused.port.recv(1) == b"", "nobody holds the other end"
        assert nest.spawn("b").ready["lsn"] == 0
        nest.control.close()
        assert nest.process.wait(WAIT_S) == 0
        assert nest.process.stderr is not None
        assert b"brain a could not be forked: " in nest.process.stderr.read()


def test_nursery_tells_version_and_schema() -> None:
    nest = Nursery(f"{BRAINS}:Counter")
    version, schema = nest.expect_ready()
    assert isinstance(version, str) and len(version) == 12
    assert isinstance(schema, dict) and "add" in schema["ops"]
    nest.close()
    assert nest.process.returncode == 0, "end of file on its control socket ends it"


def test_schema_too_long_for_a_datagram_comes_with_the_brain(tmp_path: Path) -> None:
    path = tmp_path / "brain.py"
    ops = "\n".join(
        f"    @op\n    def op{n}(self, a: int, b: str): '{'x' * 200}'" for n in range(300)
    )
    path.write_text(f"from osupervisor.brain import Brain, op\nclass Big(Brain):\n{ops}\n")
    with nursery_of(f"{path}:Big") as nest:
        assert nest.expect_ready()[1] is None
        assert len(nest.spawn("a").ready["schema"]["ops"]) == 300


def test_target_that_cannot_be_loaded_is_told_and_ends_the_nursery(tmp_path: Path) -> None:
    path = tmp_path / "brain.py"
    for source, said in (
        ("x = 1\n", "brain has no Counter"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
        (CONSTRUCTOR, "Counter() raised KeyError: 'gone'"),
        ("class Counter(:\n", "SyntaxError"),
    ):
        path.write_text(source)
        with nursery_of(f"{path}:Counter") as nest:
            found = nest.said()
            assert found is not None and found.name == "failed"
            assert said in str(found.arguments[0])
            assert nest.process.wait(WAIT_S) == 78
            assert nest.process.stderr is not None
            assert said in nest.process.stderr.read().decode()


@pytest.mark.parametrize(
    ("source", "said", "code"), [(COUNTER, "ready", 0), ("1 / 0", "failed", 78)]
)
def test_a_thread_of_the_authors_keeps_no_nursery_from_its_end(
    tmp_path: Path, source: str, said: str, code: int
) -> None:
    """Else nobody would ever import what was mended."""
    path = tmp_path / "brain.py"
    path.write_text(LASTING + source)
    nest = Nursery(f"{path}:Counter")
    try:
        found = nest.said()
        assert found is not None and found.name == said
        nest.control.close()
        assert nest.process.wait(WAIT_S) == code
    finally:
        nest.process.kill()
        nest.close()


def test_wrong_usage_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "osupervisor.brain.nursery"], capture_output=True, check=False
    )
    assert (
        done.returncode == 2 and b"usage: python -m osupervisor.brain.nursery TARGET" in done.stderr
    )


def test_brains_of_one_nursery_share_nothing() -> None:
    with nursery() as nest:
        first, second = nest.spawn("first"), nest.spawn("second")
        theirs, others = (channels_of(pid) for pid in (second.pid, first.pid))
        assert len(theirs) == 3, f"port, line and output alone: {theirs}"
        assert not theirs & (others | channels_of(nest.process.pid))
        first.port.close()
        first.line.close()
        assert nest.status_of(first.pid) == 0
        assert second.ping() == {"lsn": 0, "epoch": 0}


def test_many_brains_end_and_are_reported() -> None:
    with nursery() as nest:
        brains = [nest.spawn(str(n)) for n in range(8)]
        for n, brain in enumerate(brains):
            brain.kill(9 if n % 2 else 15)
        statuses = [os.WTERMSIG(nest.status_of(brain.pid)) for brain in brains]
        assert statuses == [15, 9] * 4


def test_interrupt_of_the_terminal_is_not_for_brains() -> None:
    with nursery() as nest:
        brain = nest.spawn("a")
        os.kill(nest.process.pid, 2)
        brain.kill(2)
        assert brain.ping() == {"lsn": 0, "epoch": 0}
        assert nest.spawn("b").ping() == {"lsn": 0, "epoch": 0}


def test_brains_are_told_apart_by_their_process_names() -> None:
    with nursery() as nest:
        for brain_id in ("7", "a-very-long-name-indeed"):
            brain = nest.spawn(brain_id)
            comm = Path(f"/proc/{brain.pid}/comm").read_text()
            assert comm == f"brain {brain_id}"[:15] + "\n"


def test_brain_has_no_input_and_its_own_output() -> None:
    with nursery() as nest:
        brain = nest.spawn("a")
        assert os.readlink(f"/proc/{brain.pid}/fd/0") == "/dev/null"
        one, two = (os.readlink(f"/proc/{brain.pid}/fd/{fd}") for fd in (1, 2))
        assert one == two == os.readlink(f"/proc/self/fd/{brain.output}")


def test_missing_hash_seed_is_warned_of() -> None:
    for seed, warned in (("random", True), ("0", False)):
        nest = Nursery(f"{BRAINS}:Counter", {"PYTHONHASHSEED": seed})
        nest.expect_ready()
        nest.control.close()
        assert nest.process.stderr is not None
        assert (b"PYTHONHASHSEED" in nest.process.stderr.read()) == warned
        nest.close()


def channels_of(pid: int) -> set[str]:
    """The sockets and pipes that a process holds."""
    links = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    return {link for link in links if link.startswith(("socket:", "pipe:"))}


@contextmanager
def nursery_of(target: str) -> Generator[Nursery]:
    """A nursery that may or may not get ready, and its end."""
    nest = Nursery(target)
    try:
        yield nest
    finally:
        nest.close()
