"""Where settings come from, and which of several wins.

    default.toml  <  dev.toml | prod.toml | test.toml  <  the user's osupervisor.toml
                  <  OSUPERVISOR_* variables  <  flags of the command

* The user's file is named by the flag or by OSUPERVISOR_CONFIG; else it is `osupervisor.toml` in
  the current folder, if there is one.
* The profile is chosen, in falling order, by the flag, OSUPERVISOR_PROFILE and `profile` in the
  user's file; none of them: no profile.

Values are gathered as they were written; `meaning` parses them.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import cast

from osupervisor.config.catalogue import CATALOGUE, sections
from osupervisor.config.environment import CONFIG_VARIABLE, PROFILE_VARIABLE, add_environment
from osupervisor.config.errors import BadValueError, SettingsError, UnreadableFileError, shown
from osupervisor.config.source import COMMAND_LINE, Entry, Gathered, Kind, Source, unknown_key
from osupervisor.config.toml_file import TomlFile, read_toml

CONFIG_NAME = "osupervisor.toml"
FOLDER = Path(__file__).parent
"""Where default.toml and the profiles lie."""


def gather(
    config_file: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, object],
    profile: str | None,
    cwd: Path,
) -> Gathered:
    """Reads all layers. Raises nothing: what is wrong stands in `problems`, in order.

    `cwd` is absolute. A flag that is None was not given.
    """
    path = find_config(config_file, environ, cwd)
    gathered = Gathered(path.parent if path else cwd, path)
    default = _try_read(FOLDER / "default.toml", gathered)
    user = _try_read(path, gathered) if path else None
    chosen = _profile(profile or flags.get("profile"), environ, user, gathered)
    _add_file(gathered, default, "default")
    if chosen is not None:
        _add_file(gathered, _try_read(FOLDER / f"{chosen.raw}.toml", gathered), "profile")
    _add_file(gathered, user, "file")
    add_environment(gathered, environ, cwd)
    _add_flags(gathered, flags, cwd)
    if chosen is not None:
        gathered.entries["profile"] = chosen
    return gathered


def find_config(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The user's file, absolute; it may be missing when it was named. None: there is none."""
    if config_file is not None:
        return cwd / config_file
    if named := environ.get(CONFIG_VARIABLE):
        return cwd / named
    found = cwd / CONFIG_NAME
    try:
        found.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # it can't be seen, so it may be there: reading it gives the reason
    return found


def current_folder() -> Path:
    """Raises UnreadableFileError where it has been removed under this process."""
    try:
        return Path.cwd()
    except OSError:
        raise UnreadableFileError(
            ".", "", "a folder that was removed", "a current folder", "change into another: cd ~"
        ) from None


def _try_read(path: Path, gathered: Gathered) -> TomlFile | None:
    """None: it can't be read, which is among the problems now."""
    try:
        file = read_toml(path)
    except SettingsError as error:
        gathered.problems.append(error)
        return None
    gathered.files.append(path)
    return file


def _profile(
    flag: object, environ: Mapping[str, str], user: TomlFile | None, gathered: Gathered
) -> Entry | None:
    """The profile that was chosen. None: none, or a bad one, which is among the problems now."""
    candidates: list[tuple[object, Source]] = [
        (flag, COMMAND_LINE),
        (environ.get(PROFILE_VARIABLE), Source("environment", PROFILE_VARIABLE)),
    ]
    if user is not None:
        source = Source("file", str(user.path), user.lines.get("profile"))
        candidates.append((user.tables.get("profile"), source))
    raw, source = next((one for one in candidates if one[0] not in (None, "")), ("", COMMAND_LINE))
    if raw == "":
        return None
    if raw in CATALOGUE["profile"].choices:
        return Entry(raw, source, gathered.base)
    gathered.problems.append(_no_such_profile(raw, source))
    return None


def _no_such_profile(raw: object, source: Source) -> BadValueError:
    setting = CATALOGUE["profile"]
    near = get_close_matches(shown(raw).strip('"'), setting.choices, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"put settings of your own into {CONFIG_NAME}"
    return BadValueError(
        source.where, "profile", shown(raw), setting.wanted(), hint, line=source.line
    )


def _add_file(gathered: Gathered, file: TomlFile | None, kind: Kind) -> None:
    if file is None:
        return
    for key, raw in _flat(file, gathered):
        source = Source(kind, str(file.path), file.lines.get(key))
        if key not in CATALOGUE:
            gathered.problems.append(unknown_key(source, key))
        elif key != "profile":  # it was used when the files were chosen
            gathered.entries[key] = Entry(raw, source, gathered.base)


def _flat(file: TomlFile, gathered: Gathered) -> Iterator[tuple[str, object]]:
    """Dotted keys and their values, two levels deep, as no setting lies deeper."""
    for name, node in file.tables.items():
        if name in sections() and isinstance(node, dict):
            for key, raw in cast(dict[str, object], node).items():
                yield f"{name}.{key}", raw
        elif name in CATALOGUE and "." not in name:
            yield name, node
        else:
            gathered.problems.append(_no_such_name(file, name, node))


def _no_such_name(file: TomlFile, name: str, node: object) -> SettingsError:
    """For a name at the top of a file that is no setting there, and no table of ours."""
    source = Source("file", str(file.path), file.lines.get(name))
    if name in sections():
        wanted = f"a table: a line [{name}] with its settings below it"
        return BadValueError(source.where, name, shown(node), wanted, line=source.line)
    near = get_close_matches(name, sections(), n=1) if isinstance(node, dict) else []
    return unknown_key(source, name, f"did you mean [{near[0]}]?" if near else "")


def _add_flags(gathered: Gathered, flags: Mapping[str, object], cwd: Path) -> None:
    for key, raw in flags.items():
        if raw is None or key == "profile":
            continue
        if key in CATALOGUE:
            plain = str(raw) if isinstance(raw, PurePath) else raw
            gathered.entries[key] = Entry(plain, COMMAND_LINE, cwd, text=True)
        else:
            gathered.problems.append(unknown_key(COMMAND_LINE, key))
