"""Settings on their way to another process: one JSON object, standard library only.

    {"format": 1, "settings": {"target": "...", "op": {"timeout_s": 30.0, ...}, ...}}

Names are the attributes' (`tape.keep_s`), durations seconds, sizes bytes, so that heart, which
imports nothing of ours, can pick its few values out of the parsed object.

Heart outlives an upgrade of the package, and starts the new supervisor with the old one's
settings. So what is missing takes its default, and what is unknown is dropped; a value that is
there must still be good.
"""

import json
from typing import Any, cast

from osupervisor.config.catalogue import CATALOGUE, build, nested, value_of
from osupervisor.config.errors import BadValueError, SettingsError, shown
from osupervisor.config.setting import Setting, Value
from osupervisor.config.settings import Settings

FORMAT = 1
PLACE = "resolved settings"
_AGAIN = "start the service again: osupervisor restart"


def dump(settings: Settings) -> bytes:
    """ASCII, on one line. Equal settings give equal bytes."""
    values = {key: value_of(settings, setting) for key, setting in CATALOGUE.items()}
    return json.dumps({"format": FORMAT, "settings": nested(values)}).encode("ascii")


def restore(dumped: bytes) -> Settings:
    """The settings that `dump` was given.

    Raises SettingsError for anything else: not JSON, another format, a value out of bounds.
    """
    tree = _tree(dumped)
    values: dict[str, Value] = {}
    for key, setting in CATALOGUE.items():
        found = _find(tree, setting)
        values[key] = setting.default if found is _MISSING else _accepted(setting, found)
    return build(values)


_MISSING = object()


def _tree(dumped: bytes) -> object:
    try:
        whole: object = json.loads(dumped)
    except (ValueError, RecursionError):
        raise SettingsError(PLACE, "", shown(dumped), "a JSON object", _AGAIN) from None
    if not isinstance(whole, dict):
        raise SettingsError(PLACE, "", shown(whole), "a JSON object", _AGAIN)
    envelope = cast(dict[str, object], whole)
    if envelope.get("format") != FORMAT:
        raise SettingsError(PLACE, "format", shown(envelope.get("format")), str(FORMAT), _AGAIN)
    return envelope.get("settings")


def _find(tree: object, setting: Setting) -> object:
    node = tree
    for name in setting.path:
        if not isinstance(node, dict):
            raise BadValueError(PLACE, setting.key, shown(node), "a JSON object", _AGAIN)
        node = cast(dict[str, Any], node).get(name, _MISSING)
        if node is _MISSING:
            return _MISSING
    return node


def _accepted(setting: Setting, found: object) -> Value:
    if setting.kind is float and type(found) is int:
        found = float(found) if abs(found) < 2**63 else found
    if not isinstance(found, (bool, int, float, str)) or not setting.accepts(found):
        raise BadValueError(PLACE, setting.key, shown(found), setting.wanted(), _AGAIN)
    return found
