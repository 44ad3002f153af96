"""`osupervisor config` and `doctor`: what is so before anything starts."""

import pytest

from tests.supervisor.cli.command import Cli


def test_every_setting_is_shown_with_its_source(cli: Cli) -> None:
    found = cli.json("config", "show")
    by_key = {each["key"]: each for each in found["settings"]}
    assert by_key["target"]["kind"] == "file"
    assert by_key["target"]["source"].endswith("osupervisor.toml:1")
    assert by_key["op.timeout_s"]["unit"] == "seconds"
    assert str(cli.folder / "osupervisor.toml") in found["files"]
    rows = cli.ok("config", "show").splitlines()
    assert len(rows) == len(found["settings"]) + 1


def test_flags_are_told(cli: Cli) -> None:
    one = cli.json("config", "show", "op.timeout_s", "--set", "op.timeout_s=2m")
    assert (one["value"], one["text"], one["source"]) == (120, "2m", "command line")
    assert cli.json("config", "show", "profile", "--profile", "prod")["value"] == "prod"
    elsewhere = str(cli.folder / "elsewhere")
    for flags in (["--data", "elsewhere"], ["--set", "data=elsewhere"]):
        assert cli.json("config", "show", "data", *flags)["value"] == elsewhere
    both = ["--set", "data=other", "--data", "elsewhere"]
    assert cli.json("config", "show", "data", *both)["value"] == elsewhere


def test_one_setting_is_explained(cli: Cli) -> None:
    text = cli.ok("config", "show", "op.timeout_s")
    assert "OSUPERVISOR_OP__TIMEOUT_S" in text
    assert "How long an op may execute" in text


def test_a_section_is_listed(cli: Cli) -> None:
    everything = cli.json("config", "show")
    found = cli.json("config", "show", "op")
    assert found["settings"] == [s for s in everything["settings"] if s["key"].startswith("op.")]
    assert found["files"] == everything["files"]
    keys = [row.split()[0] for row in cli.ok("config", "show", "op").splitlines()[1:]]
    assert keys == [each["key"] for each in found["settings"]] != []
    assert cli.ok("config", "show", "op.") == cli.ok("config", "show", "op")
    assert cli("config", "show", "op", "--set", "nope=3").code == 2


def test_an_unknown_section_is_met_with_the_nearest(cli: Cli) -> None:
    ran = cli("config", "show", "checkpoints")
    assert ran.code == 2
    assert "did you mean checkpoint?" in ran.err


def test_an_unknown_one_is_met_with_the_nearest(cli: Cli) -> None:
    ran = cli("config", "show", "op.timeout")
    assert ran.code == 2
    assert "op.timeout_s" in ran.err


def test_good_settings_pass(cli: Cli) -> None:
    assert cli.json("config", "check")["ok"] is True
    assert "ok: read" in cli.ok("config", "check")


def test_all_mistakes_are_told_at_once(cli: Cli) -> None:
    (cli.folder / "osupervisor.toml").write_text('queue_max = "many"\nwindw = 3\n')
    ran = cli("config", "check", "--json")
    assert ran.code == 2
    assert ran.json()["ok"] is False
    assert [each["line"] for each in ran.json()["errors"]] == [1, 2]
    assert ran.error()["code"] == "BadSetting"
    assert cli("config", "show").code == 2


@pytest.mark.parametrize("change", ["op.timeout_s", "=3", "nope=3", "queue_max=many"])
def test_a_bad_flag(cli: Cli, change: str) -> None:
    assert cli("config", "check", "--set", change).code == 2


def test_doctor_says_what_follows(cli: Cli) -> None:
    ran = cli("doctor", "--json")
    report = ran.json()
    assert report["ok"] is (ran.code == 0)
    assert {"kernel", "open_files", "disk_free", "socket_path"} <= {
        each["name"] for each in report["findings"]
    }
    for each in report["findings"]:
        assert set(each) == {"name", "level", "found", "wanted", "what_follows"}
        assert each["level"] == "ok" or each["what_follows"], each


def test_doctor_finds_bad_settings_bad(cli: Cli) -> None:
    (cli.folder / "osupervisor.toml").write_text('queue_max = "many"\n')
    ran = cli("doctor")
    assert ran.code == 1
    assert "BAD   settings: " in ran.out
    assert "settings" in ran.err
