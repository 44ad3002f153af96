"""`osupervisor call`: one op or query, its result on stdout."""

import click

from osupervisor.supervisor.cli.failure import Misused
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.printing import print_json, print_value
from osupervisor.supervisor.cli.values import duration, parse_value


@command(context_settings={"ignore_unknown_options": True})  # `call add hits -3`
@click.argument("op")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--arg", "named", metavar="NAME=VALUE", multiple=True, help="An argument by name.")
@click.option("--key", help="Idempotency key: the same key gets the first answer.")
@click.option("--session", help="Session, which routes the call.")
@click.option("--timeout", type=duration, help="Bound of its wait, and of its execution.")
def call(
    invocation: Invocation,
    op: str,
    args: tuple[str, ...],
    named: tuple[str, ...],
    key: str | None,
    session: str | None,
    timeout: float | None,
) -> None:
    """Call an op or a query of the brain.

    Arguments are JSON, else text: `call add hits 3` gives a text and a number, `call add '"3"'`
    the text 3. Exits with 124 when the call timed out.
    """
    positional = [parse_value(text) for text in args]
    keywords = {name: parse_value(text) for name, text in map(_named, named)}
    with invocation.client() as client:
        asker = client.with_options(key=key, session=session, timeout_s=timeout)
        result = asker.call(op, *positional, **keywords)
    if invocation.json:
        print_json(result)
    else:
        print_value(result)


def _named(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name.isidentifier() or not equals:
        raise Misused(f"--arg {text!r:.80}: wanted NAME=VALUE", "such as: --arg n=3")
    return name, value
