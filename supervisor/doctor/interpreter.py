"""Python and the compiled parts of what the service uses."""

import importlib
import platform
import sys
from collections.abc import Iterator

from osupervisor.supervisor.doctor.finding import Finding, judged

OLDEST = (3, 11)


def examine() -> Iterator[Finding]:
    """The interpreter, uvloop, msgpack's C code."""
    found = f"{platform.python_implementation()} {platform.python_version()}"
    wanted = f"CPython {OLDEST[0]}.{OLDEST[1]} or newer"
    if sys.version_info < OLDEST:
        yield Finding("python", "bad", found, wanted, "Nothing starts. Install a newer Python.")
    else:
        yield judged(
            "python",
            platform.python_implementation() == "CPython",
            found,
            wanted,
            "Only CPython is tested; shared memory and fork may behave otherwise here.",
        )
    uvloop = _version("uvloop")
    yield judged(
        "uvloop",
        uvloop is not None,
        uvloop or "not installed",
        "installed",
        "asyncio's own loop is used: about half as many requests per second.",
    )
    compiled = _version("msgpack._cmsgpack") is not None
    yield judged(
        "msgpack",
        compiled,
        "compiled" if compiled else "pure Python",
        "compiled",
        "Every message costs ten times as much. Reinstall msgpack where a wheel is to be had.",
    )


def _version(module: str) -> str | None:
    try:
        found = importlib.import_module(module)
    except ImportError:
        return None
    return str(getattr(found, "__version__", "installed"))
