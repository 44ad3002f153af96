"""A settings file: from its path to its tables, or to the one error that names what is wrong.

UTF-8, with or without a byte order mark; an empty file is a file without settings. Only a
regular file is read (and /dev/null, for "none"): a pipe could be read once and not at the next
start, a device never ends.
"""

import os
import re
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path

from osupervisor.config.errors import SettingsError, TomlSyntaxError, UnreadableFileError, shown

FILE_BYTES_MAX = 1024 * 1024
"""default.toml, all comments included, is a fiftieth of that: more is some other file."""

_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")
_TABLE = re.compile(r"[ \t]*\[+([^\[\]#]+)\]")
_ASSIGNMENT = re.compile(r"[ \t]*([A-Za-z0-9_.\"'-][A-Za-z0-9_. \t\"'-]*)=")
_BLANKS_AND_QUOTES = re.compile(r"[ \t\"']")
_BOM_UTF8 = b"\xef\xbb\xbf"
_BOM_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A file that parsed.

    `tables` is its tree. `lines`: the line, from 1, of a table or of a dotted key; found by a
    search of its own, as the parser doesn't tell, and so without what is written in a way that
    the search doesn't see (inside an inline table, say).
    """

    path: Path
    tables: dict[str, object]
    lines: dict[str, int]


def read_toml(path: Path) -> TomlFile:
    """Reads and parses a settings file.

    Raises UnreadableFileError or TomlSyntaxError, both with the file, and nothing else.
    """
    text = _decoded(path, _read(path))
    try:
        return TomlFile(path, tomllib.loads(text), _lines(text))
    except RecursionError:
        raise TomlSyntaxError(
            str(path), "", "arrays or tables too deep to read", "TOML", "take the nesting out"
        ) from None
    except ValueError as error:  # TOMLDecodeError, or a number of over 4,300 digits
        raise _syntax_error(path, text, str(error)) from None


def _read(path: Path) -> bytes:
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and str(path) != os.devnull:
            raise _unreadable(path, _kind_of(mode), "name a regular file")
        with open(path, "rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        hint = "create it (osupervisor init makes one), or correct the path"
        raise _unreadable(path, "no such file", hint) from None
    except PermissionError:
        hint = f"let this user read it: chmod u+r, or run as its owner (this is uid {os.getuid()})"
        raise _unreadable(path, "a file that may not be read", hint) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _unreadable(path, shown(reason), "correct the path") from None
    if len(content) > FILE_BYTES_MAX:
        raise _unreadable(path, f"more than {FILE_BYTES_MAX} bytes", "is this the right file?")
    return content


def _decoded(path: Path, content: bytes) -> str:
    if content.startswith(_BOM_UTF16):
        raise _unreadable(path, "a file in UTF-16", "save it as UTF-8")
    content = content.removeprefix(_BOM_UTF8)
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        found = f"byte 0x{content[error.start]:02x}, which is not UTF-8"
        line = content.count(b"\n", 0, error.start) + 1
        raise _unreadable(path, found, "save it as UTF-8", line) from None


def _lines(text: str) -> dict[str, int]:
    table, lines = "", dict[str, int]()
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _TABLE.match(line):
            table = _plain(header[1]) + "."
            lines.setdefault(table[:-1], number)
        elif found := _ASSIGNMENT.match(line):
            lines.setdefault(table + _plain(found[1]), number)
    return lines


def _plain(name: str) -> str:
    return _BLANKS_AND_QUOTES.sub("", name)


def _syntax_error(path: Path, text: str, message: str) -> SettingsError:
    """From the parser's words, which end in "(at line 3, column 5)" or "(at end of document)"."""
    reason = shown(_PLACE.sub("", message)).strip('"')
    line, hint = None, "correct the file"
    if at := _PLACE.search(message):
        line = int(at[1]) if at[1] else text.rstrip().count("\n") + 1
        hint = f"correct column {at[2]} of that line" if at[2] else "the file ends too early"
    if reason.startswith("Cannot "):  # overwrite a value, declare a table twice
        hint = "a name may stand once; take one of them out"
    elif reason.startswith(("Invalid value", "Expected '='", "Expected newline")):
        hint += '; a line reads name = value, and a text stands in quotes: keep = "7d"'
    return TomlSyntaxError(str(path), "", reason[:1].lower() + reason[1:], "TOML", hint, line=line)


def _unreadable(path: Path, found: str, hint: str, line: int | None = None) -> SettingsError:
    return UnreadableFileError(
        str(path), "", found, "a readable settings file in UTF-8", hint, line=line
    )


def _kind_of(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a pipe or socket" if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else "a device"
