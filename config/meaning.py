"""From values as they were written to values that the dataclasses can hold; paths made whole.

A relative path, in a target too, starts at the folder of the file that it is written in, or at
the current folder when a variable or a flag gave it. Defaults count as written in the user's
file, so that `--config elsewhere/osupervisor.toml` finds the data beside that file. A target in
a file starts at `root`. A leading `~/` is the user's home.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from osupervisor.config.catalogue import CATALOGUE
from osupervisor.config.errors import BadValueError, SettingsError, shown
from osupervisor.config.setting import Setting, Value
from osupervisor.config.settings import Form
from osupervisor.config.source import Entry, Gathered
from osupervisor.config.target import parse_target


def parse_entries(
    gathered: Gathered, environ: Mapping[str, str]
) -> tuple[dict[str, Value], list[SettingsError]]:
    """A value for every key, and what was wrong; a default stands in for what was."""
    values: dict[str, Value] = {}
    problems: list[SettingsError] = []
    for key, setting in CATALOGUE.items():
        values[key] = setting.default
        if (entry := gathered.entries.get(key)) is None:
            continue
        try:
            values[key] = setting.parse(entry.raw, text=entry.text)
        except BadValueError as bad:
            problems.append(bad_value(entry, setting, bad.hint))
    _make_paths_whole(values, gathered, environ)
    return values, problems


def bad_value(entry: Entry, setting: Setting, hint: str = "") -> BadValueError:
    """The error for a value that this setting doesn't take, with its place."""
    if not hint:
        hint = f"correct it, or take it out to get the default, {setting.text(setting.default)}"
    where, line = entry.source.where, entry.source.line
    return BadValueError(where, setting.key, shown(entry.raw), setting.wanted(), hint, line=line)


def _make_paths_whole(
    values: dict[str, Value], gathered: Gathered, environ: Mapping[str, str]
) -> None:
    home = environ.get("HOME", "")
    for key, setting in CATALOGUE.items():
        value = values[key]
        if setting.form is Form.PATH and isinstance(value, str) and value:
            values[key] = _whole(value, _base(gathered, key), home)
    target = values["target"]
    if isinstance(target, str) and target:
        values["target"] = _whole_target(target, values, gathered, home)


def _whole_target(target: str, values: Mapping[str, Value], gathered: Gathered, home: str) -> str:
    parts = parse_target(target)
    if not parts.file:
        return target
    entry = gathered.entries.get("target")
    from_file = entry is None or entry.source.kind in ("default", "profile", "file")
    base = Path(str(values["root"])) if from_file else _base(gathered, "target")
    return f"{_whole(parts.file, base, home)}:{parts.name}"


def _base(gathered: Gathered, key: str) -> Path:
    entry = gathered.entries.get(key)
    return entry.base if entry is not None else gathered.base


def _whole(path: str, base: Path, home: str) -> str:
    """Absolute, without `.` and `..`. Symbolic links stay, as they may be moved on purpose."""
    if home and (path == "~" or path.startswith("~/")):
        path = home + path[1:]
    return os.path.normpath(base / path)
