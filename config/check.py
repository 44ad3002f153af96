"""`osupervisor config check`: everything that is wrong with the settings, and nothing started."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from osupervisor.config.errors import SettingsError, shown
from osupervisor.config.load import Loaded, ProfileName, load_with_provenance
from osupervisor.config.settings import Settings
from osupervisor.config.token_file import read_token


@dataclass(frozen=True, slots=True)
class Report:
    """`errors`: nothing starts with one of them. `loaded`: None where the settings are no whole."""

    errors: tuple[SettingsError, ...]
    warnings: tuple[str, ...]
    loaded: Loaded | None

    def as_dict(self) -> dict[str, object]:
        """The same for `--json`: ok, errors, warnings, files."""
        files = self.loaded.files if self.loaded is not None else ()
        return {
            "ok": not self.errors,
            "errors": [error.as_dict() for error in self.errors],
            "warnings": list(self.warnings),
            "files": [str(file) for file in files],
        }


def check(
    config_file: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, object],
    profile: ProfileName | None,
    *,
    cwd: Path | None = None,
) -> Report:
    """Loads, then looks at the files that settings name. Raises nothing, changes nothing."""
    try:
        loaded = load_with_provenance(config_file, environ, flags, profile, cwd=cwd)
    except SettingsError as error:
        return Report((error, *error.more), (), None)
    errors = _bad_files(loaded.settings)
    return Report(tuple(errors), loaded.warnings, loaded)


def _bad_files(settings: Settings) -> list[SettingsError]:
    errors: list[SettingsError] = []
    if settings.listen.token_file:
        try:
            read_token(Path(settings.listen.token_file))
        except SettingsError as error:
            errors.append(error)
    errors += _not_utf8({"root": settings.root, "target": settings.target, "data": settings.data})
    place, _, name = settings.target.rpartition(":")
    if os.path.isabs(place) and not Path(place).is_file():  # a file's path is whole by now
        hint = f'create it with a class {name}(Brain), or correct "target"'
        errors.append(SettingsError(place, "target", "no such file", "a Python file", hint))
    if not Path(settings.root).is_dir():
        hint = "create it, or correct the path"
        errors.append(SettingsError(settings.root, "root", "no such folder", "a folder", hint))
    if Path(settings.data).exists() and not Path(settings.data).is_dir():
        hint = "name another place, or move that file away"
        errors.append(SettingsError(settings.data, "data", "a file", "a folder, or nothing", hint))
    return errors


def _not_utf8(paths: Mapping[str, str]) -> Iterator[SettingsError]:
    """What is written is looked at when it is read; this is of the folder that it stands in."""
    for key, path in paths.items():
        if any("\ud800" <= char <= "\udfff" for char in path):
            hint = "give the folder another name, or name another one"
            yield SettingsError(shown(path), key, "a name that is no UTF-8", "one in UTF-8", hint)
