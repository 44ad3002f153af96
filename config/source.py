"""One value as it was written, and who wrote it: what the layers are gathered into."""

from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal

from osupervisor.config.catalogue import CATALOGUE, nearest
from osupervisor.config.errors import SettingsError, UnknownKeyError

Kind = Literal["default", "profile", "file", "environment", "flag"]


@dataclass(frozen=True, slots=True)
class Source:
    """Who set a value. `where`: the file, the variable, or "command line"."""

    kind: Kind
    where: str
    line: int | None = None

    def __str__(self) -> str:
        match self.kind:
            case "default":
                return "default"
            case "profile":
                return f"profile {PurePath(self.where).stem}"
            case "environment" | "flag":
                return self.where
            case "file":
                return f"{self.where}:{self.line}" if self.line else self.where


COMMAND_LINE = Source("flag", "command line")


@dataclass(frozen=True, slots=True)
class Entry:
    """One value as it was written. `text`: all is text there. `base`: for relative paths."""

    raw: object
    source: Source
    base: Path
    text: bool = False


@dataclass(slots=True)
class Gathered:
    """What the layers hold, the strongest for each key, and what was wrong with them.

    `base` is the folder of the user's file, or the current one. `ignored`: variables that
    begin like ours and name no setting.
    """

    base: Path
    config_file: Path | None
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    problems: list[SettingsError] = field(default_factory=list[SettingsError])
    files: list[Path] = field(default_factory=list[Path])
    ignored: list[str] = field(default_factory=list[str])

    def source_of(self, key: str) -> Source:
        """Who set a key; the dataclasses themselves where not even default.toml did."""
        entry = self.entries.get(key)
        return entry.source if entry is not None else Source("default", "settings.py")


def unknown_key(source: Source, key: str, hint: str = "") -> UnknownKeyError:
    """The error for a key that names no setting; without a hint, one with the nearest key."""
    if key in CATALOGUE:  # so it was written as one quoted name
        hint = f"write it below a line [{key.partition('.')[0]}], without the quotes"
    elif not hint:
        near = " or ".join(nearest(key))
        hint = f"did you mean {near}?" if near else "take it out"
    return UnknownKeyError(
        source.where,
        key,
        "an unknown setting",
        'one that "osupervisor config show" lists',
        hint,
        line=source.line,
    )
