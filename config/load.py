"""From files, variables and flags to Settings, checked whole before anything starts.

`layers` gathers, `meaning` parses, the catalogue checks types and bounds, and `contradictions`
looks at settings together. Without pydantic, whose import and schema take a tenth of a second of
each start; tests hold the catalogue's judgement to pydantic's. The supervisor's process gets the
result through `resolved`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from osupervisor.config.catalogue import CATALOGUE, build
from osupervisor.config.contradictions import contradictions, warnings
from osupervisor.config.errors import ContradictionError, SettingsError
from osupervisor.config.layers import current_folder, gather
from osupervisor.config.meaning import bad_value, parse_entries
from osupervisor.config.setting import Value
from osupervisor.config.settings import Settings
from osupervisor.config.source import Gathered, Source

ProfileName = Literal["dev", "prod", "test"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with their history.

    `provenance` has each key's source. `files`: those that were read. `config_file`: the user's,
    absolute; None: there is none. `warnings`: sentences about what is allowed and probably not
    meant, variables that were left alone among them.
    """

    settings: Settings
    provenance: Mapping[str, Source]
    files: tuple[Path, ...]
    config_file: Path | None
    warnings: tuple[str, ...]


def load(
    config_file: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, object],
    profile: ProfileName | None,
    *,
    cwd: Path | None = None,
) -> Settings:
    """The settings in force. `root`, `data`, `token_file` and a file in `target` are absolute.

    `config_file` None: OSUPERVISOR_CONFIG, else ./osupervisor.toml, else none. `flags`: dotted
    keys; None as a value: not given. `cwd`: the current folder, absolute. Raises SettingsError,
    with all further mistakes in `more`.
    """
    return load_with_provenance(config_file, environ, flags, profile, cwd=cwd).settings


def load_with_provenance(
    config_file: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, object],
    profile: ProfileName | None,
    *,
    cwd: Path | None = None,
) -> Loaded:
    """As `load`, and says which source set each key."""
    gathered = gather(config_file, environ, flags, profile, cwd or current_folder())
    values, problems = parse_entries(gathered, environ)
    problems = gathered.problems + problems
    settings = _checked(values, gathered, problems)
    if settings is not None and not problems:
        problems += [_placed(one, gathered) for one in contradictions(settings)]
    if problems:
        first, *more = _in_order(problems)
        first.more = tuple(more)
        raise first
    assert settings is not None
    provenance = {key: gathered.source_of(key) for key in CATALOGUE}
    ignored = tuple(f"variable {name} names no setting: left alone" for name in gathered.ignored)
    return Loaded(
        settings,
        provenance,
        tuple(gathered.files),
        gathered.config_file,
        (*warnings(settings), *ignored),
    )


def _checked(
    values: Mapping[str, Value], gathered: Gathered, problems: list[SettingsError]
) -> Settings | None:
    """The settings. None: some are out of bounds, as `problems` says now."""
    refused = [key for key, setting in CATALOGUE.items() if not setting.accepts(values[key])]
    problems += [bad_value(gathered.entries[key], CATALOGUE[key]) for key in refused]
    return None if refused else build(values)


def _placed(problem: ContradictionError, gathered: Gathered) -> ContradictionError:
    """With the place of that of the two settings which the user wrote; of the first, if both."""
    sources = [gathered.source_of(key) for key in (problem.key, problem.other)]
    source = next((one for one in sources if one.kind != "default"), sources[0])
    problem.file, problem.line = source.where, source.line
    return problem


def _in_order(problems: list[SettingsError]) -> list[SettingsError]:
    """By file, in the order in which the files came up, and by line in each."""
    files = list(dict.fromkeys(problem.file for problem in problems))
    return sorted(problems, key=lambda problem: (files.index(problem.file), problem.line or 0))
