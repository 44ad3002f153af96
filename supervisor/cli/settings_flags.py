"""Flags that set settings: --profile and --set."""

import click

from osupervisor.supervisor.cli.failure import Misused

profile_option = click.option(
    "--profile",
    type=click.Choice(["dev", "prod", "test"]),
    help="The settings between the defaults and your file.",
)
set_option = click.option(
    "--set", "changes", metavar="KEY=VALUE", multiple=True, help="A setting; may be repeated."
)


def parse_changes(changes: tuple[str, ...], **flags: str | None) -> dict[str, str]:
    """What --set was given, by key, and what flags of their own were: these win. None: not given.
    Raises Misused."""
    parts = [change.partition("=") for change in changes]
    for key, equals, _ in parts:
        if not key or not equals:
            raise Misused(f"--set {key!r:.80}: wanted KEY=VALUE", "such as: --set op.timeout_s=5s")
    given = {key: value for key, value in flags.items() if value is not None}
    return {key: value for key, _, value in parts} | given
