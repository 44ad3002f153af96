"""`osupervisor config`: the settings in force, and what is wrong with them. Starts nothing."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import cast

import click

from osupervisor.config.catalogue import nearest, sections
from osupervisor.config.check import Report
from osupervisor.config.check import check as check_settings
from osupervisor.config.description import Description, describe
from osupervisor.config.load import Loaded, ProfileName
from osupervisor.supervisor.cli.failure import Misused
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.place import bad_setting
from osupervisor.supervisor.cli.printing import print_json, print_table, write
from osupervisor.supervisor.cli.settings_flags import parse_changes, profile_option, set_option


@click.group()
def config() -> None:
    """Show the settings in force and who set them, or what is wrong with them."""


@command()
@click.argument("key", required=False)
@profile_option
@set_option
def show(
    invocation: Invocation, key: str | None, profile: str | None, changes: tuple[str, ...]
) -> None:
    """Show every setting with its source, those of a section (op), or all about one (op.timeout_s).

    KEY names the section or the setting.
    """
    report = _report(invocation, profile, changes)
    if report.loaded is None:
        raise _bad(report)
    rows = describe(report.loaded.settings, report.loaded.provenance)
    section = "" if key is None else key.removesuffix(".")
    if key is None or section in sections():
        chosen = [row for row in rows if key is None or row.key.startswith(f"{section}.")]
        _show_many(invocation, chosen, report.loaded)
    else:
        _show_one(invocation, rows, key)


@command()
@profile_option
@set_option
def check(invocation: Invocation, profile: str | None, changes: tuple[str, ...]) -> None:
    """Look for mistakes in the settings. Exits with 2 when there is one."""
    report = _report(invocation, profile, changes)
    if invocation.json:
        print_json(report.as_dict())
    else:
        for warning in report.warnings:
            write(f"warning: {warning}")
    if report.errors:
        raise _bad(report)
    if not invocation.json:
        files = ", ".join(_files(cast(Loaded, report.loaded))["files"])
        write(f"ok: read {files}")


def _report(invocation: Invocation, profile: str | None, changes: tuple[str, ...]) -> Report:
    file = Path(invocation.config_flag) if invocation.config_flag else None
    flags = parse_changes(changes, data=invocation.data_flag)
    return check_settings(file, os.environ, flags, cast("ProfileName | None", profile))


def _bad(report: Report) -> Misused:
    messages = "\n".join(error.message() for error in report.errors)
    return bad_setting(messages, [error.as_dict() for error in report.errors])


def _files(loaded: Loaded) -> dict[str, list[str]]:
    return {"files": [str(file) for file in loaded.files], "warnings": list(loaded.warnings)}


def _show_many(invocation: Invocation, rows: list[Description], loaded: Loaded) -> None:
    if invocation.json:
        print_json({"settings": [row.as_dict() for row in rows], **_files(loaded)})
    else:
        cells = [(row.key, row.text, row.source) for row in rows]
        print_table(("setting", "value", "source"), cells, "none")


def _show_one(invocation: Invocation, rows: tuple[Description, ...], key: str) -> None:
    row = next((row for row in rows if row.key == key), None)
    if row is None:
        meant = [] if "." in key else get_close_matches(key, sections(), n=1)
        near = " or ".join(meant or nearest(key))
        hint = f"did you mean {near}?" if near else "`osupervisor config show` lists all settings"
        raise Misused(f"there is no setting {key!r:.80}", hint, code="BadSetting")
    if invocation.json:
        print_json(row.as_dict())
        return
    write(f"{row.key} = {row.text}, from {row.source}")
    write(f"{row.range}. {row.why}")
    write(f"variable: {row.variable}")


config.add_command(show)
config.add_command(check)
