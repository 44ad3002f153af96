"""The names and defaults that are published: programs and people's files rest on them."""

import re

from osupervisor.config.catalogue import CATALOGUE
from osupervisor.config.settings import Settings, Unit

MIB = 1024**2


def test_published_settings_keep_their_names_and_defaults() -> None:
    published = {
        "op.timeout_s": 30,
        "health.silence_s": 5,
        "tape.keep": 7 * 86_400,
        "tape.bytes_max": 10 * 1024 * MIB,
        "checkpoint.wal_bytes": 256 * MIB,
        "checkpoint.interval_s": 300,
        "checkpoint.kept": 3,
        "checkpoint.level": 3,
        "queue_max": 10_000,
        "queue_bytes_max": 64 * MIB,
        "wal.segment_bytes_max": 64 * MIB,
        "brain.start_failures_max": 5,
        "brain.start_failures_period_s": 30,
        "idempotency.window_s": 600,
        "idempotency.keys_max": 50_000,
        "crashes.kept": 100,
        "durability": "everysec",
        "window": 256,
    }
    assert {key: CATALOGUE[key].default for key in published} == published


def test_a_name_ends_in_its_unit() -> None:
    for setting in CATALOGUE.values():
        name = setting.path[-1]
        rate = name.endswith("_per_s")
        assert (name.endswith("_s") and not rate) == (setting.unit is Unit.SECONDS), name
        assert ("bytes" in name) == (setting.unit is Unit.BYTES), name
        assert ("share" in name) == (setting.unit is Unit.SHARE), name


def test_names_can_be_written_as_variables() -> None:
    for key in CATALOGUE:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)?", key), key


def test_every_default_lies_within_its_bounds() -> None:
    for key, setting in CATALOGUE.items():
        assert setting.accepts(setting.default), key


def test_every_number_has_a_lower_bound_and_every_text_a_form_or_choices() -> None:
    for key, setting in CATALOGUE.items():
        if setting.kind is str:
            assert setting.form or setting.choices, key
        elif setting.kind is not bool:
            assert setting.low is not None and setting.unit is not None, key


def test_settings_are_values() -> None:
    assert Settings() == Settings()
    assert hash(Settings()) == hash(Settings())
