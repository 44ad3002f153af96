"""`osupervisor config check`: everything that is wrong with the settings, and nothing started."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from osupervisor.config.errors import SettingsError
from osupervisor.config.load import Loaded, ProfileName, load_with_provenance
from osupervisor.config.settings import Settings
from osupervisor.config.target import parse_target
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
    target = parse_target(settings.target) if settings.target else None
    if target is not None and target.file and not Path(target.file).is_file():
        hint = f'create it with a class {target.name}(Brain), or correct "target"'
        errors.append(SettingsError(target.file, "target", "no such file", "a Python file", hint))
    if not Path(settings.root).is_dir():
        hint = "create it, or correct the path"
        errors.append(SettingsError(settings.root, "root", "no such folder", "a folder", hint))
    if Path(settings.data).exists() and not Path(settings.data).is_dir():
        hint = "name another place, or move that file away"
        errors.append(SettingsError(settings.data, "data", "a file", "a folder, or nothing", hint))
    return errors
