"""Which data directory a command means, in the few milliseconds that it has for that.

`config.locate` is the rule; importing it takes longer than a whole call. So the plain cases are
read here, and whatever is unusual (no TOML, a path of another type, "~") is left to it, which
also knows how to complain.
"""

import os
from collections.abc import Mapping

from osupervisor.supervisor.cli.failure import Misused

DATA = "data"
CONFIG = "osupervisor.toml"


def data_directory(config: str | None, environ: Mapping[str, str], data: str | None) -> str:
    """The data directory, absolute; it need not exist. Raises Misused."""
    try:
        return _plain(config, environ, data) or _by_rule(config, environ, data)
    except OSError:
        return _by_rule(config, environ, data)


def _plain(config: str | None, environ: Mapping[str, str], data: str | None) -> str | None:
    """None: not a plain case."""
    named = data if data is not None else environ.get("OSUPERVISOR_DATA")
    if named:
        return _whole(os.getcwd(), named)
    file = config or environ.get("OSUPERVISOR_CONFIG")
    if not file and not os.path.lexists(CONFIG):
        return os.path.join(os.getcwd(), DATA)
    import tomllib

    path = os.path.join(os.getcwd(), file or CONFIG)
    try:
        with open(path, "rb") as opened:
            found: object = tomllib.load(opened).get("data", DATA)
    except ValueError:
        return None
    return _whole(os.path.dirname(path), found) if isinstance(found, str) else None


def _whole(base: str, path: str) -> str | None:
    usual = path and path.isascii() and path.isprintable() and not path.startswith("~")
    return os.path.normpath(os.path.join(base, path)) if usual else None


def _by_rule(config: str | None, environ: Mapping[str, str], data: str | None) -> str:
    from pathlib import Path

    from osupervisor.config.errors import SettingsError
    from osupervisor.config.locate import locate_data

    try:
        return str(locate_data(Path(config) if config else None, environ, data))
    except SettingsError as error:
        raise bad_setting(str(error), [one.as_dict() for one in (error, *error.more)]) from error


def bad_setting(message: str, errors: list[dict[str, str | int | None]]) -> Misused:
    """The failure for settings that nothing may start with."""
    hint = "correct it; `osupervisor config check` looks at all settings without starting anything"
    return Misused(message, hint, {"errors": errors}, code="BadSetting")
