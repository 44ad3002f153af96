"""Builds the distribution; with COMPILE_OSUPERVISOR=1 its hot modules are compiled by mypyc.

The compiled modules are made from the very sources that run without them: nothing is written twice,
and without a C compiler everything works, only slower. What the rest of the build needs stands in
pyproject.toml. `make compiled` makes an environment with them, beside the one for development,
where a compiled module would hide the source that is being edited.
"""

import os
from pathlib import Path

from setuptools import Extension, setup

COMPILED = (
    "brain/adopt.py",
    "brain/executor.py",
    "brain/follower.py",
    "brain/hot.py",
    "brain/journal.py",
    "brain/lease.py",
    "brain/packing.py",
    "brain/plain.py",
    "brain/port.py",
    "brain/raw.py",
    "brain/replay.py",
    "brain/run_loop.py",
    "brain/spot.py",
    "brain/tracked_dict.py",
    "brain/tracked_list.py",
    "brain/undo.py",
    "brain/values.py",
    "bridge/call.py",
    "bridge/call_encoder.py",
    "bridge/call_options.py",
    "bridge/exchange.py",
    "bridge/frames.py",
    "bridge/identity.py",
    "bridge/messages.py",
    "bridge/methods.py",
    "bridge/packing.py",
    "bridge/pending.py",
    "bridge/pipeline.py",
    "bridge/port_messages.py",
    "bridge/session.py",
    "bridge/skip.py",
    "bridge/wire.py",
    "supervisor/core",
    "supervisor/runtime/clock.py",
    "supervisor/runtime/connection.py",
    "supervisor/runtime/engine.py",
    "supervisor/runtime/outgoing.py",
    "supervisor/runtime/port.py",
    "vault_store/hot.py",
    "wal/checksum.py",
    "wal/record.py",
)
"""What every request goes through in the supervisor, in a brain and in a client. Not what authors
call with any argument and is to say what is wrong with it, nor what others refer to weakly (a
client's `Link`, errors). The state's containers stay classes of Python's: see `python_class`."""


LINKED_TIGHTLY = ["-fno-semantic-interposition", "-fvisibility=hidden", "-fno-plt"]
"""Nobody replaces a function of ours from outside, so the compiler may call them directly, inline
them, and call those of Python without a detour: a fifteenth of the supervisor's time per call."""


def extensions() -> list[Extension]:
    """One shared library, and a module of each name that loads its part of it."""
    if os.environ.get("COMPILE_OSUPERVISOR") != "1":
        return []
    from mypyc.build import mypycify

    links = Path(".dev/osupervisor")  # mypy knows modules by the names that they install under
    links.mkdir(parents=True, exist_ok=True)
    for folder in ("supervisor", "brain", "bridge", "vault_store", "wal", "config"):
        if not (links / folder).exists():
            (links / folder).symlink_to(Path("../..") / folder)
    paths: list[str] = []
    for entry in COMPILED:
        found = sorted((links / entry).glob("*.py")) if "." not in entry else [links / entry]
        paths += [str(path) for path in found if path.name != "__init__.py"]
    modules = mypycify(paths, group_name="osupervisor")
    if os.name == "posix":
        for extension in modules:
            # Not by +=: all of them have one list.
            extension.extra_compile_args = [*extension.extra_compile_args, *LINKED_TIGHTLY]
    return modules


setup(ext_modules=extensions())
