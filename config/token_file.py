"""The file that `listen.token_file` names: the token that a TCP client must show.

One line of printable ASCII without blanks. It is a password: a file that others may read, or a
token short enough to be guessed, is refused.
"""

import os
import stat
from pathlib import Path

from osupervisor.config.errors import SettingsError

KEY = "listen.token_file"
TOKEN_CHARS_MIN = 16
"""128 bits as hexadecimal digits would be 32; 16 is the least that can't be guessed online."""
TOKEN_CHARS_MAX = 1024
"""It travels in a `kernel.hello`; nobody's token is longer."""
WANTED = f"a file of mode 0600 with one line of {TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} characters"
MAKE = "make a new one: (umask 077; openssl rand -hex 32 > {path})"


def read_token(path: Path) -> str:
    """The token. Raises SettingsError with the path as its file; it never repeats the token."""
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise _refused(path, "something that is no regular file")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                found = f"mode {stat.S_IMODE(mode):04o}, which lets others use it"
                raise _refused(path, found, f"chmod 600 {path}")
            content = file.read(TOKEN_CHARS_MAX + 3)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _refused(path, reason.lower()) from None
    token = content.removesuffix(b"\n").removesuffix(b"\r")
    if not TOKEN_CHARS_MIN <= len(token) <= TOKEN_CHARS_MAX:
        size = "too many" if len(token) > TOKEN_CHARS_MAX else str(len(token))
        raise _refused(path, f"{size} characters")
    if not all(0x21 <= byte <= 0x7E for byte in token):
        raise _refused(path, "blanks, several lines, or characters that aren't printable ASCII")
    return token.decode("ascii")


def _refused(path: Path, found: str, hint: str = "") -> SettingsError:
    return SettingsError(str(path), KEY, found, WANTED, hint or MAKE.format(path=path))
