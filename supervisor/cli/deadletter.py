"""`osupervisor deadletter`: requests that were quarantined. Only `retry` needs the service."""

import base64
from pathlib import Path
from typing import Any, cast

import click

from osupervisor.bridge import packing
from osupervisor.bridge.methods import SYSTEM_DEADLETTER
from osupervisor.supervisor.cli.failure import CliError
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.printing import moment, print_json, print_table, print_value, write
from osupervisor.supervisor.cli.records import call_text, request_map
from osupervisor.supervisor.runtime.dead_letters import (
    DeadLetters,
    Letter,
    NoSuchLetterError,
    tries_of,
)

FOLDER = "deadletter"
KEPT = 1_000_000
"""Nothing is pruned from here."""

_letter = click.argument("letter", metavar="ID")


@click.group()
def deadletter() -> None:
    """Show the quarantined requests, call one again, or forget it."""


@command()
def ls(invocation: Invocation) -> None:
    """List the letters, the oldest first."""
    letters = [_decoded(letter) for letter in _store(invocation).ls()]
    if invocation.json:
        print_json(letters)
    else:
        rows = [
            (
                *(letter["id"], moment(letter["unix_s"]), tries_of(letter)),
                *(call_text(letter["request"]), letter["key"]),
            )
            for letter in letters
        ]
        empty = f"no dead letters in {invocation.data}/{FOLDER}"
        print_table(("id", "time", "tries", "request", "key"), rows, empty)


@command()
@_letter
def show(invocation: Invocation, letter: str) -> None:
    """Show one letter: its request, and why it was given up."""
    found = _decoded(_find(invocation, letter))
    if invocation.json:
        print_json(found)
        return
    error: dict[str, Any] = found["error"]
    write(f"{found['id']}: {call_text(found['request'])}, given up at {moment(found['unix_s'])}")
    write(f"key      {found['key']}")
    write(f"error    {error.get('code')}: {error.get('message')}")
    if found.get("tries"):
        write(f"tried    {found['tries']} times since, the last at {moment(found['tried_unix_s'])}")
    write(f"again    osupervisor deadletter retry {found['id']}")


@command()
@_letter
def retry(invocation: Invocation, letter: str) -> None:
    """Call a letter's request again, under a new key; the letter goes when that succeeds,
    else it counts the try."""
    _find(invocation, letter)
    with invocation.client() as client:
        answer: dict[str, Any] = client.request(SYSTEM_DEADLETTER, ["retry", letter])
    if invocation.json:
        print_json(answer)
    else:
        print_value(answer["result"])


@command()
@_letter
def drop(invocation: Invocation, letter: str) -> None:
    """Forget a letter."""
    _find(invocation, letter)
    _store(invocation).drop(letter)
    if invocation.json:
        print_json({"dropped": letter})
    else:
        write(f"dropped: {letter}")


def _store(invocation: Invocation) -> DeadLetters:
    return DeadLetters(Path(invocation.data, FOLDER), KEPT)


def _find(invocation: Invocation, letter: str) -> Letter:
    try:
        return _store(invocation).show(letter)
    except NoSuchLetterError as error:
        raise CliError(
            f"there is no dead letter {letter!r:.60} in {invocation.data}/{FOLDER}",
            "`osupervisor deadletter ls` lists those that there are",
        ) from error


def _decoded(letter: Letter) -> dict[str, Any]:
    """The letter with its request readable; as it stands where it is none."""
    found = cast("dict[str, Any]", dict(letter))
    try:
        request = packing.unpack(base64.b64decode(str(letter.get("request")), validate=True))
    except packing.DECODE_ERRORS:  # base64's error is a ValueError too
        return found
    shaped = request_map(request)
    return found | {"request": shaped if shaped is not None else request}


for each in (ls, show, retry, drop):
    deadletter.add_command(each)
