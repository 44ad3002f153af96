"""What can be wrong with the settings.

Every one is a `SettingsError`: it names the file (or the variable, or the command line), the
key, what was found there, what was wanted, and what to do. Nothing is started after one.
"""

import json

FOUND_CHARS_MAX = 80
"""As much of a bad value as is repeated: enough to recognise it, and it fits a terminal's line."""


class SettingsError(Exception):
    """A setting, or the file that holds it, can't be used.

    `file` is a path, a variable's name or "command line", or empty where a text is parsed that
    comes from nowhere in particular; `key` is dotted (`op.timeout_s`), or empty where the
    whole file is meant. `line` counts from 1; None: not known. `more`: the other mistakes that
    the same reading found, in the order of the files.
    """

    def __init__(
        self,
        file: str,
        key: str,
        found: str,
        wanted: str,
        hint: str = "",
        *,
        line: int | None = None,
        more: "tuple[SettingsError, ...]" = (),
    ) -> None:
        super().__init__(file, key, found, wanted, hint)
        self.file = file
        self.key = key
        self.found = found
        self.wanted = wanted
        self.hint = hint
        self.line = line
        self.more = more

    def __str__(self) -> str:
        """This mistake on one line, the others on a line each behind it."""
        return "\n".join([self.message(), *(other.message() for other in self.more)])

    def message(self) -> str:
        """This mistake alone: place, key, found, wanted, what to do; on one line."""
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        parts = [part for part in (place, self.key) if part]
        parts.append(f"found {self.found}, wanted {self.wanted}")
        return ": ".join(parts) + (f"; {self.hint}" if self.hint else "")

    def as_dict(self) -> dict[str, str | int | None]:
        """The same for `--json`: file, line, key, found, wanted, hint, message."""
        return {
            "file": self.file,
            "line": self.line,
            "key": self.key,
            "found": self.found,
            "wanted": self.wanted,
            "hint": self.hint,
            "message": self.message(),
        }


class BadValueError(SettingsError):
    """The key is known; its value has the wrong type, doesn't parse, or lies out of bounds."""


class UnknownKeyError(SettingsError):
    """No setting of that name. The hint has the nearest one that exists, if any is near."""


class UnreadableFileError(SettingsError):
    """A settings file that is missing, can't be opened, is too big, or isn't UTF-8."""


class TomlSyntaxError(SettingsError):
    """A settings file that isn't TOML; `line` says where, when the parser knows."""


class ContradictionError(SettingsError):
    """Two settings, each good by itself, that can't both hold: `key` and `other`."""

    def __init__(self, key: str, other: str, found: str, wanted: str, hint: str) -> None:
        super().__init__("", key, found, wanted, hint)
        self.args = (key, other, found, wanted, hint)  # what a copy is made from
        self.other = other


def shown(value: object) -> str:
    """A bad value as a message repeats it: as TOML would have it, cut to FOUND_CHARS_MAX, ASCII."""
    try:
        if isinstance(value, (bool, str)):
            text = json.dumps(value)
        else:
            text = ascii(value)
    except (ValueError, RecursionError):  # an int of over 4,300 digits; a tree too deep
        text = f"<{type(value).__name__} too big to show>"
    return text if len(text) <= FOUND_CHARS_MAX else text[: FOUND_CHARS_MAX - 3] + "..."
