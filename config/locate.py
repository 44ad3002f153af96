"""Where a service's data lies: all that most commands need to know of the settings.

Blind to mistakes elsewhere in the settings: a service that runs must be reachable, and stoppable,
with a file that was spoilt since.
"""

from collections.abc import Mapping
from pathlib import Path

from osupervisor.config.catalogue import CATALOGUE
from osupervisor.config.errors import TomlSyntaxError, UnreadableFileError
from osupervisor.config.layers import current_folder, gather
from osupervisor.config.meaning import bad_value, parse_entries


def locate_data(
    config_file: Path | None,
    environ: Mapping[str, str],
    data: str | Path | None,
    *,
    cwd: Path | None = None,
) -> Path:
    """The data directory, absolute; whether it exists isn't asked. `data`: the flag, if given.

    With the flag or OSUPERVISOR_DATA no file decides, so none can be wrong. Raises SettingsError
    where a file that would decide can't be read, or `data` in it is no path.
    """
    gathered = gather(config_file, environ, {"data": data}, None, cwd or current_folder())
    values, problems = parse_entries(gathered, environ)
    problems = [problem for problem in problems if problem.key == "data"]
    if not CATALOGUE["data"].accepts(values["data"]):
        problems.append(bad_value(gathered.entries["data"], CATALOGUE["data"]))
    if gathered.source_of("data").kind not in ("environment", "flag"):
        unread = (TomlSyntaxError, UnreadableFileError)
        problems += [one for one in gathered.problems if isinstance(one, unread)]
    if problems:
        raise problems[0]
    return Path(str(values["data"]))
