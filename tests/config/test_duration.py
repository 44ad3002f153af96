"""Durations and sizes as people write them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from osupervisor.config.duration import (
    BYTES_MAX,
    SECONDS_MAX,
    TEXT_CHARS_MAX,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)
from osupervisor.config.errors import BadValueError
from tests.config.strategies import garbage, patient, seconds, sizes


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (10, 10.0),
        (0.25, 0.25),
        ("10", 10.0),
        ("0.5", 0.5),
        ("2s", 2.0),
        ("5m", 300.0),
        ("7d", 604_800.0),
        ("1w", 604_800.0),
        ("500ms", 0.5),
        ("7ms", 0.007),
        ("250us", 0.00025),
        ("1h30m", 5400.0),
        ("1m 30s", 90.0),
        (" 2 s ", 2.0),
        ("1.5h", 5400.0),
        ("0", 0.0),
        (0, 0.0),
    ],
)
def test_duration_is_read_as_seconds(written: object, meant: float) -> None:
    assert parse_duration(written) == meant
    assert type(parse_duration(written)) is float


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "soon",
        "-1",
        "-1s",
        "+1s",
        "1e3",
        "1,5s",
        "5 minutes",
        "5M",
        "5S",
        "1m1m",
        "1s1m",
        "1h30",
        "30 1h",
        "s",
        ".5",
        "1.",
        "0x10",
        "١٠",
        "2²",
        "1_000",
        "inf",
        "nan",
        "10\n",
        "\t10",
        "9" * (TEXT_CHARS_MAX + 1),
        "9" * 40,
        True,
        None,
        [],
        b"10",
        -1,
        -0.5,
        float("inf"),
        float("nan"),
        10**400,
        SECONDS_MAX * 2,
        5e-324,
        "0.00000000001",
    ],
)
def test_what_is_no_duration_is_refused_with_an_example(written: object) -> None:
    with pytest.raises(BadValueError) as caught:
        parse_duration(written)
    assert '"5m"' in caught.value.wanted


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (0, 0),
        (65_536, 65_536),
        ("65536", 65_536),
        ("0", 0),
        ("512B", 512),
        ("64KiB", 65_536),
        ("64MiB", 64 * 1024**2),
        ("10GiB", 10 * 1024**3),
        ("1TiB", 1024**4),
        ("1PiB", 1024**5),
        ("64kB", 64_000),
        ("64MB", 64_000_000),
        ("10gib", 10 * 1024**3),
        ("1.5KiB", 1536),
        (" 64 MiB ", 64 * 1024**2),
        (BYTES_MAX, BYTES_MAX),
    ],
)
def test_size_is_read_as_bytes(written: object, meant: int) -> None:
    assert parse_size(written) == meant
    assert type(parse_size(written)) is int


@pytest.mark.parametrize(
    "written",
    ["", "MiB", "-1", "1.5", "1.0001KiB", "64 bytes", "1e6", "٣", "0x10", 1.0, True, None, -1]
    + [BYTES_MAX + 1, "16384PiB", 10**400, "9" * 60, "9" * 5000, ["1"]],
)
def test_what_is_no_size_is_refused_with_an_example(written: object) -> None:
    with pytest.raises(BadValueError) as caught:
        parse_size(written)
    assert '"64MiB"' in caught.value.wanted


@pytest.mark.parametrize("written", ["64M", "64m", "64 M"])
def test_a_lone_m_is_refused_with_both_meanings(written: str) -> None:
    with pytest.raises(BadValueError, match='"64MiB".*"64MB"'):
        parse_size(written)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0s"), (30.0, "30s"), (90.0, "90s"), (300.0, "5m"), (604_800.0, "7d")]
    + [(0.05, "50ms"), (0.0015, "1500us"), (129_600.0, "36h")],
)
def test_duration_is_shown_in_the_largest_whole_unit(value: float, text: str) -> None:
    assert format_duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0B"), (1, "1B"), (1536, "1536B"), (65_536, "64KiB"), (10 * 1024**3, "10GiB")],
)
def test_size_is_shown_in_the_largest_whole_unit(value: int, text: str) -> None:
    assert format_size(value) == text


@patient
@given(seconds)
@example(SECONDS_MAX)
@example(0.1 + 0.2)
def test_every_duration_survives_its_text(value: float) -> None:
    assert parse_duration(format_duration(value)) == value


@patient
@given(sizes)
@example(BYTES_MAX)
def test_every_size_survives_its_text(value: int) -> None:
    assert parse_size(format_size(value)) == value


@patient
@given(st.integers(0, 10**6), st.sampled_from(["us", "ms", "s", "m", "h"]))
def test_a_whole_number_of_a_unit_is_the_nearest_float(number: int, unit: str) -> None:
    exact = {"us": (1, 10**6), "ms": (1, 1000), "s": (1, 1), "m": (60, 1), "h": (3600, 1)}[unit]
    assert parse_duration(f"{number}{unit}") == number * exact[0] / exact[1]


@patient
@given(st.one_of(garbage, st.text(alphabet="0123456789.smhdwuKMGiB -eE+", max_size=80)))
def test_garbage_raises_nothing_but_a_bad_value(written: object) -> None:
    for parse in (parse_duration, parse_size):
        try:
            value = parse(written)
        except BadValueError as bad:
            assert "\n" not in bad.message()
        else:
            assert value >= 0
