"""Dead letters: requests that were given up, kept where an operator finds them.

    <data>/deadletter/<id>.json   {"id", "unix_s", "op", "key", "request", "error"}

`id` is told by the key, so that writing one again after a crash changes nothing; `request` is the
request's MessagePack in base64, undecoded: what killed three brains is not looked into here. A
letter is written before the verdict that it belongs to, so none is missing; the oldest go first.
"""

import base64
import binascii
import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import cast

from osupervisor.bridge import packing
from osupervisor.supervisor.core import key as keys
from osupervisor.supervisor.core.key import Key
from osupervisor.supervisor.core.outbox import KeepDeadLetter

Letter = dict[str, object]


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
        """Write a letter; durable when it returns. Its id."""
        letter_id = _id_of(action.key)
        error = packing.unpack(b"\x92" + action.outcome)
        letter: Letter = {
            "id": letter_id,
            "unix_s": round(time.time(), 3),
            "op": action.op,
            "key": keys.describe(action.key),
            "request": base64.b64encode(action.request).decode(),
            "error": cast("list[object]", error)[0],
        }
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._path(letter_id)
        temporary = path.with_suffix(".tmp")
        with temporary.open("w") as file:
            json.dump(letter, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        self._sync()
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

    def drop(self, letter_id: str) -> None:
        """Remove a letter. Raises NoSuchLetterError."""
        self.show(letter_id)
        self._path(letter_id).unlink(missing_ok=True)
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
        letters = self.ls()
        for letter in letters[: max(0, len(letters) - self._kept)]:
            with contextlib.suppress(FileNotFoundError):
                self._path(str(letter["id"])).unlink()


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
