"""Dead letters: requests that were given up, kept where an operator finds them.

    <data>/deadletter/<id>.json   {"id", "unix_s", "op", "key", "request", "error",
                                   "tries", "tried_unix_s"}

`id` is told by the key, so that writing one again after a crash changes nothing; `request` is the
request's MessagePack in base64, undecoded: what killed three brains is not looked into here. A
letter is written before the verdict that it belongs to, so none is missing; the oldest go first.

A request has one letter, however often it is tried again: `tries` counts that, `tried_unix_s` is
the last time, null before the first. A try has a key that names its letter; when it is quarantined
in its turn, that letter stays, and no other is written.
"""

import base64
import binascii
import contextlib
import hashlib
import json
import os
import re
import secrets
import time
from pathlib import Path
from typing import cast

from osupervisor.bridge import packing
from osupervisor.bridge.methods import BRAIN_STATE
from osupervisor.supervisor.core import key as keys
from osupervisor.supervisor.core.fold import REQUEST_TAIL
from osupervisor.supervisor.core.key import Key
from osupervisor.supervisor.core.outbox import KeepDeadLetter

Letter = dict[str, object]

_TRY = re.compile("deadletter-([0-9a-f]{12})-[0-9a-f]{12}")
"""The key of a try, around the letter's id."""


class NoSuchLetterError(Exception):
    """There is no letter of that id."""

    def __init__(self, letter: str) -> None:
        super().__init__(f"there is no dead letter {letter!r}; see `osupervisor deadletter ls`")


class DeadLetters:
    """The folder of letters. A file that can't be read is passed over, never removed."""

    def __init__(self, folder: Path, kept: int) -> None:
        self._folder = folder
        self._kept = kept

    def keep(self, action: KeepDeadLetter) -> str:
        """Write a letter, unless the request has one already; durable when it returns. Its id."""
        tried = self._tried(action)
        if tried is not None:
            return tried
        letter_id = _id_of(action.key)
        error = packing.unpack(b"\x92" + action.outcome)
        letter: Letter = {
            "id": letter_id,
            "unix_s": round(time.time(), 3),
            "op": action.op,
            "key": keys.describe(action.key),
            "request": base64.b64encode(action.request).decode(),
            "error": cast("list[object]", error)[0],
            "tries": 0,
            "tried_unix_s": None,
        }
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._write(letter)
        self._prune()
        return letter_id

    def ls(self) -> list[Letter]:
        """All letters, oldest first."""
        letters = [letter for path in self._folder.glob("*.json") if (letter := _read(path))]
        return sorted(letters, key=lambda letter: float(cast("float", letter["unix_s"])))

    def show(self, letter_id: str) -> Letter:
        """One letter. Raises NoSuchLetterError."""
        letter = _read(self._path(letter_id)) if letter_id.isalnum() else None
        if letter is None:
            raise NoSuchLetterError(letter_id)
        return letter

    def request(self, letter_id: str) -> bytes:
        """The request of a letter: [op, args, kwargs, t, seed]. Raises NoSuchLetterError."""
        try:
            return base64.b64decode(str(self.show(letter_id)["request"]), validate=True)
        except binascii.Error as error:
            raise NoSuchLetterError(letter_id) from error

    def begin_try(self, letter_id: str) -> str:
        """Count a try of a letter's request; durable when it returns. The key to call it under.
        Raises NoSuchLetterError, OSError."""
        letter = self.show(letter_id)
        letter["tries"] = tries_of(letter) + 1
        letter["tried_unix_s"] = round(time.time(), 3)
        self._write(letter)
        return f"deadletter-{letter_id}-{secrets.token_hex(6)}"

    def drop(self, letter_id: str) -> None:
        """Remove a letter. Raises NoSuchLetterError."""
        self.show(letter_id)
        self._path(letter_id).unlink(missing_ok=True)
        self._sync()

    def _tried(self, action: KeepDeadLetter) -> str | None:
        """The letter of which this request is a try. None: of none that is still there. The key
        alone does not say it, as clients choose theirs."""
        match = _TRY.fullmatch(action.key) if isinstance(action.key, str) else None
        if match is None:
            return None
        with contextlib.suppress(NoSuchLetterError):
            if params_of(action.op, self.request(match[1])) == params_of(action.op, action.request):
                return match[1]
        return None

    def _write(self, letter: Letter) -> None:
        path = self._path(str(letter["id"]))
        temporary = path.with_suffix(".tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o600), "w") as file:
            json.dump(letter, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        self._sync()

    def _path(self, letter_id: str) -> Path:
        return self._folder / f"{letter_id}.json"

    def _sync(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _prune(self) -> None:
        """The letters are read only where there are too many: each may have 20 MB."""
        if sum(1 for _ in self._folder.glob("*.json")) <= self._kept:
            return
        letters = self.ls()
        for letter in letters[: max(0, len(letters) - self._kept)]:
            with contextlib.suppress(FileNotFoundError):
                self._path(str(letter["id"])).unlink()


def params_of(op: str, request: bytes) -> bytes:
    """What a call is made with: op, args and kwargs of a request, or the path of a read of the
    state."""
    return request if op == BRAIN_STATE else request[1:-REQUEST_TAIL]


def tries_of(letter: Letter) -> int:
    """How often it was tried again; a letter of an earlier version has no such member."""
    tries = letter.get("tries")
    return tries if isinstance(tries, int) else 0


def _id_of(key: Key) -> str:
    return hashlib.sha256(keys.encode(key, 0)).hexdigest()[:12]


def _read(path: Path) -> Letter | None:
    try:
        letter = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(letter, dict):
        return None
    fields = cast("Letter", letter)
    whole = isinstance(fields.get("unix_s"), (int, float)) and fields.get("id") == path.stem
    return fields if whole else None
