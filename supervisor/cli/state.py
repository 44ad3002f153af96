"""`osupervisor state`: the brain's state, read consistently."""

import click

from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import InvalidArguments
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.printing import print_json, print_value
from osupervisor.supervisor.cli.values import parse_path


@command()
@click.argument("path", default="")
def state(invocation: Invocation, path: str) -> None:
    """Show the brain's state, or the part of it at PATH.

    PATH is dotted, as in bins.0.free, or a JSON array of keys, as in '["bins", 0, "free"]'.
    """
    keys = parse_path(path)
    parts = [] if path.lstrip().startswith("[") else path.split(".")
    with invocation.client() as client:
        found = _read(client, keys, parts)
    if invocation.json:
        print_json(found)
    else:
        print_value(found)


def _read(client: Client, keys: list[str | int], parts: list[str]) -> object:
    """In a dotted path `0` may be an array's index, or a map's key "0": where the one leads nowhere
    the other is tried. `parts`: the keys as they were written, none in a JSON array.

    Raises InvalidArguments for the first key that leads nowhere either way.
    """
    try:
        return client.state(keys)
    except InvalidArguments as error:
        depth = error.data.get("depth")
        if not parts or not isinstance(depth, int) or isinstance(keys[depth], str):
            raise
        try:
            return _read(client, [*keys[:depth], parts[depth], *keys[depth + 1 :]], parts)
        except InvalidArguments as other:
            raise (error if other.data.get("depth") == depth else other) from None
