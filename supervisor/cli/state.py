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
    with invocation.client() as client:
        found = _read(client, keys, dotted=not path.lstrip().startswith("["))
    if invocation.json:
        print_json(found)
    else:
        print_value(found)


def _read(client: Client, keys: list[str | int], *, dotted: bool) -> object:
    """In a dotted path `0` may be an array's index, or a map's key "0"."""
    try:
        return client.state(keys)
    except InvalidArguments:
        texts = [str(key) for key in keys]
        if not dotted or texts == keys:
            raise
        return client.state(texts)
