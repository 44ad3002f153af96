"""`osupervisor doctor`: what this machine gives a service, judged before anything depends on it."""

import os
from dataclasses import asdict
from pathlib import Path

import click

from osupervisor.config.check import Report, check
from osupervisor.supervisor.cli.failure import CliError
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.printing import print_json, write
from osupervisor.supervisor.doctor.examine import examine
from osupervisor.supervisor.doctor.finding import Finding
from osupervisor.supervisor.doctor.service import METRICS, TCP

MARKS = {"ok": "ok  ", "warn": "warn", "bad": "BAD "}
WANTED = "settings that can be used"
COLOURS = {"ok": "green", "warn": "yellow", "bad": "red"}


@command()
def doctor(invocation: Invocation) -> None:
    """Say what this machine can and can't give, and what follows.

    Exits with 1 when a service could not start here, or could not keep its promises.
    """
    file = Path(invocation.config_flag) if invocation.config_flag else None
    report = check(file, os.environ, {"data": invocation.data_flag}, None)
    findings = [*_of_settings(report), *examine(invocation.data, _addresses(report))]
    bad = [finding for finding in findings if finding.level == "bad"]
    if invocation.json:
        print_json({"ok": not bad, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            _show(finding)
    if bad:
        raise CliError(
            f"{len(bad)} of {len(findings)} findings are bad: "
            + ", ".join(finding.name for finding in bad),
            "do what stands beside them, then look again",
            {"bad": [finding.name for finding in bad]},
        )


def _show(finding: Finding) -> None:
    mark = click.style(MARKS[finding.level], fg=COLOURS[finding.level])
    click.echo(f"{mark}  {finding.name}: {finding.found}", color=None)
    if finding.level != "ok":
        write(f"      wanted: {finding.wanted}")
    if finding.what_follows:
        write(f"      {finding.what_follows}")


def _of_settings(report: Report) -> list[Finding]:
    """Bad settings are told here too: nothing starts with them."""
    if not report.errors:
        return [Finding("settings", "ok", "every one can be used", WANTED)]
    follows = "Correct them: nothing starts before. `osupervisor config check` looks again."
    return [Finding("settings", "bad", each.message(), WANTED, follows) for each in report.errors]


def _addresses(report: Report) -> dict[str, str]:
    """What the settings want to listen on, by setting; nothing where they are bad."""
    if report.loaded is None:
        return {}
    settings = report.loaded.settings
    wanted = {TCP: settings.listen.tcp, METRICS: settings.metrics.http}
    return {setting: address for setting, address in wanted.items() if address}
