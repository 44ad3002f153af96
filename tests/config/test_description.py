"""The rows of `osupervisor config show`."""

import json
import tomllib
from pathlib import Path

from hypothesis import given

from osupervisor.config.catalogue import CATALOGUE, value_of
from osupervisor.config.description import describe
from osupervisor.config.load import load_with_provenance
from osupervisor.config.settings import Settings, Unit
from osupervisor.config.source import Source
from tests.config.strategies import patient, whole_settings


def test_each_setting_has_a_row_with_value_source_and_reason(tmp_path: Path) -> None:
    (tmp_path / "osupervisor.toml").write_text("[op]\ntimeout_s = '5m'\n")
    loaded = load_with_provenance(None, {"OSUPERVISOR_QUEUE_MAX": "7"}, {}, "prod", cwd=tmp_path)
    rows = {row.key: row for row in describe(loaded.settings, loaded.provenance)}
    assert list(rows) == list(CATALOGUE)
    row = rows["op.timeout_s"]
    assert (row.value, row.text, row.default, row.unit) == (300.0, "5m", 30.0, "seconds")
    assert (row.source, row.kind) == (f"{tmp_path}/osupervisor.toml:2", "file")
    assert row.variable == "OSUPERVISOR_OP__TIMEOUT_S"
    assert row.range == "Duration from 1ms to 1d"
    assert row.why.startswith("How long an op may execute")
    assert (rows["queue_max"].source, rows["queue_max"].kind) == (
        "OSUPERVISOR_QUEUE_MAX",
        "environment",
    )
    assert (rows["logs.kept"].source, rows["logs.kept"].kind) == ("profile prod", "profile")
    assert (rows["window"].source, rows["window"].kind) == ("default", "default")


def test_a_row_can_be_written_as_json(tmp_path: Path) -> None:
    loaded = load_with_provenance(None, {}, {}, None, cwd=tmp_path)
    rows = [row.as_dict() for row in describe(loaded.settings, loaded.provenance)]
    assert json.loads(json.dumps(rows)) == rows


@patient
@given(whole_settings)
def test_what_is_shown_can_be_put_into_a_file(settings: Settings) -> None:
    source = Source("default", "default.toml")
    for row in describe(settings, dict.fromkeys(CATALOGUE, source)):
        setting = CATALOGUE[row.key]
        text = f'"{row.text}"' if setting.unit in (Unit.SECONDS, Unit.BYTES) else row.text
        raw = tomllib.loads(f"x = {text}")["x"]
        assert setting.parse(raw, text=False) == value_of(settings, setting)
