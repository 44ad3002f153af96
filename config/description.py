"""What is in force, who set it, and why it is there: the rows of `osupervisor config show`."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache

from osupervisor.config.catalogue import CATALOGUE, value_of
from osupervisor.config.environment import variable_of
from osupervisor.config.layers import FOLDER
from osupervisor.config.setting import Setting, Value
from osupervisor.config.settings import Settings
from osupervisor.config.source import Source


@dataclass(frozen=True, slots=True)
class Description:
    """One setting in force.

    `value` is a number of seconds or bytes where `unit` says so; `text` is how a file would have
    it; `variable` what sets it from the environment. `source`: "default", "profile dev",
    "osupervisor.toml:12", a variable, "command line". `kind`: which of these.
    `range`: what it may be. `why`: its comment in default.toml, on one line.
    """

    key: str
    value: Value
    text: str
    unit: str
    variable: str
    source: str
    kind: str
    default: Value
    range: str
    why: str

    def as_dict(self) -> dict[str, Value]:
        """The same for `--json`."""
        return asdict(self)


def describe(settings: Settings, provenance: Mapping[str, Source]) -> tuple[Description, ...]:
    """A row for each setting, in the order of default.toml. Reads that file, once."""
    return tuple(
        _described(setting, value_of(settings, setting), provenance[key])
        for key, setting in CATALOGUE.items()
    )


@cache
def reasons() -> Mapping[str, str]:
    """Each key's comment in default.toml, without its first line, which is the range."""
    found: dict[str, str] = {}
    table, comment = "", list[str]()
    for line in (FOLDER / "default.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
            continue
        if header := re.fullmatch(r"\[(\w+)\]", line):
            table = header[1] + "."
        elif name := re.match(r"\w+(?= = )", line):
            found[table + name[0]] = " ".join(comment[1:])
        comment = []
    return found


def _described(setting: Setting, value: Value, source: Source) -> Description:
    return Description(
        key=setting.key,
        value=value,
        text=setting.text(value),
        unit=setting.unit.value if setting.unit else "",
        variable=variable_of(setting.key),
        source=str(source),
        kind=source.kind,
        default=setting.default,
        range=setting.range(),
        why=reasons()[setting.key],
    )
