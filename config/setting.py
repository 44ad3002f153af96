"""One setting: what its text means, what it accepts, how it is shown. Pure.

`catalogue` makes one of these for each field of the dataclasses in `settings`. No pydantic, as
the supervisor's process restores its settings through this.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from osupervisor.config.address import ADDRESS_WANTED, parse_address
from osupervisor.config.duration import format_duration, format_size, parse_duration, parse_size
from osupervisor.config.errors import BadValueError, shown
from osupervisor.config.settings import Form, Unit
from osupervisor.config.target import TARGET_WANTED, parse_target

Value = bool | int | float | str

TEXT_CHARS_MAX = 4096
"""PATH_MAX of Linux; no text setting is longer than a path."""
FLAGS = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
"""How a flag may be written in a variable or on the command line; TOML has its own."""

_COUNT = re.compile(r"[0-9]{1,18}")
_SHARE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,20})?)[ ]*(%?)")


_FORM_NAMES = {
    None: "Text",
    Form.PATH: "Path",
    Form.ADDRESS: "Address",
    Form.TARGET: "Target",
}
_UNIT_NAMES = {
    Unit.SECONDS: "Duration",
    Unit.BYTES: "Size",
    Unit.COUNT: "Whole number",
    Unit.SHARE: "Share of 1",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    `key` is its name in files, `path` its attributes from Settings downwards. `low` and `high`
    are inclusive; None: no bound of its own. `choices` is empty where the value is free.
    `required`: a text that must not be empty.
    """

    key: str
    path: tuple[str, ...]
    kind: type
    default: Value
    unit: Unit | None
    form: Form | None
    choices: tuple[str, ...]
    low: float | None
    high: float | None
    required: bool

    def parse(self, raw: object, *, text: bool) -> Value:
        """The value meant by `raw`, in this setting's own type; bounds are not looked at.

        `text`: `raw` comes from a variable or the command line, where all is text. Raises
        BadValueError with the key and without a file.
        """
        try:
            return self._parsed(raw, text)
        except BadValueError as bad:
            raise BadValueError("", self.key, shown(raw), self.wanted(), bad.hint) from None

    def accepts(self, value: Value) -> bool:
        """Whether a parsed value has the type and lies within the bounds."""
        if type(value) is not self.kind:
            return False
        if isinstance(value, str):
            return value in self.choices if self.choices else bool(value) or not self.required
        above = self.low is None or value >= self.low
        return above and (self.high is None or value <= self.high)

    def text(self, value: Value) -> str:
        """The value as a person would write it into a file: `5m`, `64MiB`, `true`, `"data"`."""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
        if self.unit is Unit.SECONDS:
            return format_duration(value)
        if self.unit is Unit.BYTES:
            return format_size(int(value))
        return repr(value).removesuffix(".0")

    def range(self) -> str:
        """Type and bounds, as the first words of the setting's comment in default.toml."""
        if self.choices:
            return "One of " + ", ".join(f'"{choice}"' for choice in self.choices)
        if self.kind is bool:
            return "true or false"
        if self.unit is None:
            return _FORM_NAMES[self.form] + ("" if self.required else ', or "" for none')
        return _UNIT_NAMES[self.unit] + self._bounds()

    def wanted(self) -> str:
        """Type and bounds with an example, for a message."""
        words = self.range()
        if self.unit is Unit.SECONDS:
            return f'a d{words[1:]}, such as 10, "500ms", "2s" or "5m"'
        if self.unit is Unit.BYTES:
            return f'a s{words[1:]}, such as 65536, "64KiB" or "64MiB"'
        if self.unit is Unit.SHARE:
            return f'a s{words[1:]}, such as 0.8 or "80%"'
        if self.form is Form.ADDRESS:
            return f'{ADDRESS_WANTED}, or "" for none'
        if self.form is Form.TARGET:
            return f'{TARGET_WANTED}, or "" for none'
        article = "" if self.choices or self.kind is bool else "a "
        return f"{article}{words[0].lower()}{words[1:]}"

    def _parsed(self, raw: object, text: bool) -> Value:
        if self.kind is bool:
            return _flag(raw, text)
        if self.unit is Unit.SECONDS:
            return parse_duration(raw)
        if self.unit is Unit.BYTES:
            return parse_size(raw)
        if self.unit is Unit.COUNT:
            return _count(raw, text)
        if self.unit is Unit.SHARE:
            return _share(raw)
        return self._text(raw)

    def _text(self, raw: object) -> str:
        if not isinstance(raw, str) or len(raw) > TEXT_CHARS_MAX:
            raise BadValueError("", "", shown(raw), "a text")
        if not _is_clean(raw):
            raise BadValueError("", "", shown(raw), "a text", "take out what isn't printable UTF-8")
        if self.choices and raw not in self.choices:
            near = get_close_matches(raw, self.choices, n=1)
            raise BadValueError("", "", "", "", f'did you mean "{near[0]}"?' if near else "")
        if raw and self.form is Form.ADDRESS:
            parse_address(raw)
        if raw and self.form is Form.TARGET:
            parse_target(raw)
        return raw

    def _bounds(self) -> str:
        assert self.low is not None, self.key  # a number without a bound is our mistake
        words = f" from {self._bound(self.low)}"
        return words if self.high is None else f"{words} to {self._bound(self.high)}"

    def _bound(self, bound: float) -> str:
        return "0" if bound == 0 else self.text(self.kind(bound))


def _flag(raw: object, text: bool) -> bool:
    if isinstance(raw, bool):
        return raw
    if text and isinstance(raw, str) and raw.strip(" ").lower() in FLAGS:
        return FLAGS[raw.strip(" ").lower()]
    hint = "write it without quotes" if isinstance(raw, str) and raw in ("true", "false") else ""
    raise BadValueError("", "", shown(raw), "true or false", hint)


def _count(raw: object, text: bool) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if text and isinstance(raw, str) and _COUNT.fullmatch(raw.strip(" ")):
        return int(raw)
    quoted = isinstance(raw, str) and _COUNT.fullmatch(raw)
    raise BadValueError("", "", shown(raw), "a number", "write it without quotes" if quoted else "")


def _share(raw: object) -> float:
    if isinstance(raw, (int, float)) and not isinstance(raw, bool) and 0 <= raw <= 1e9:
        return float(raw)
    match = _SHARE.fullmatch(raw.strip(" ")) if isinstance(raw, str) else None
    if match is None:
        raise BadValueError("", "", shown(raw), "a share")
    return float(match[1]) / 100 if match[2] else float(match[1])


def _is_clean(text: str) -> bool:
    """Printable, and free of the stand-ins for bytes that weren't UTF-8."""
    return text.isprintable() and not any("\ud800" <= char <= "\udfff" for char in text)
