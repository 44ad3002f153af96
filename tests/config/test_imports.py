"""What importing the settings costs the supervisor's process, which must stay small."""

import subprocess
import sys

import pytest

HEAVY = ("pydantic", "pydantic_core", "click", "rich", "asyncio", "multiprocessing")


@pytest.mark.parametrize("module", ["osupervisor.config", "osupervisor.config.check"])
def test_import_brings_in_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print(*(set(sys.modules) & set({HEAVY!r})))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == []
