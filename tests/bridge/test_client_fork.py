"""A client across a fork: two processes, two names, and no answer of one for the other."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bridge.service import Service

WARNINGS = ["-W", "error", "-W", "ignore::ResourceWarning", "-W", "ignore::DeprecationWarning"]
"""asyncio warns of a connection that is open when its loop has ended, newer Pythons of a fork
beside threads: both are what is tried here."""
PROGRAM = Path(__file__).parent / "programs" / "forking_client.py"


@pytest.mark.parametrize("kind", ["sync", "threads", "async", "within"])
def test_parent_and_child_get_their_own_answers(tmp_path: Path, kind: str) -> None:
    with Service(tmp_path / "s") as service:
        done = subprocess.run(
            [sys.executable, *WARNINGS, str(PROGRAM), str(service.path), kind],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stderr == "" and done.returncode == 0
        lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
        results = [int(word) for line in lines.values() for word in line.split()]
        assert "parent" in lines and len(lines) >= 2
        assert sorted(results) == list(range(1, len(results) + 1))
        assert service.ledger.adds == len(results)
        names = {key[0] for key in service.ledger.executions if isinstance(key, tuple)}
        assert len(names) >= 2  # In every event loop an AsyncClient takes a new one.
