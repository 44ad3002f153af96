"""What names a brain: `brain.py:Counter` (a file) or `package.module:Counter` (a module). Pure.

A path is recognised by its ending `.py`; it may hold colons, the class is behind the last one.
"""

from dataclasses import dataclass

from osupervisor.config.errors import BadValueError, shown

TARGET_WANTED = '"file.py:Class" or "package.module:Class", such as "brain.py:Counter"'


@dataclass(frozen=True, slots=True)
class Target:
    """Exactly one of `file` (a path, as given) and `module` (dotted) is not empty."""

    file: str
    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.file or self.module}:{self.name}"


def parse_target(text: str) -> Target:
    """The parts of a target. Whether file, module and class exist isn't asked.

    Raises BadValueError (without file and key).
    """
    place, _, name = text.rpartition(":")
    if name.isidentifier() and place.endswith(".py") and place != ".py" and place.isprintable():
        return Target(place, "", name)
    if name.isidentifier() and all(part.isidentifier() for part in place.split(".")):
        return Target("", place, name)
    raise BadValueError("", "", shown(text), TARGET_WANTED, _hint(text))


def _hint(text: str) -> str:
    """For a place without a class, how to add it; else empty."""
    return f'name the class too: "{text}:Counter"' if text.endswith(".py") else ""
