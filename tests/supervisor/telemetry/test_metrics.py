"""Metrics, and the text that Prometheus gets of them."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.supervisor.telemetry.errors import MetricError
from osupervisor.supervisor.telemetry.exposition import render
from osupervisor.supervisor.telemetry.metrics import (
    DURATION_BOUNDS_S,
    OTHER,
    SERIES_MAX,
    Metrics,
)
from tests.supervisor.telemetry.prometheus_text import parse


def test_nothing_is_an_empty_text() -> None:
    metrics = Metrics()
    assert render(metrics) == ""
    metrics.counter("unused_total", "Has no cell yet.")
    assert render(metrics) == ""


def test_the_text_to_the_letter() -> None:
    metrics = Metrics()
    requests = metrics.counter("requests_total", "Requests, by outcome.", ("code", "op"))
    requests.labels("ok", "add").add()
    requests.labels("ok", "add").add(2)
    requests.labels("Timeout", 'say "hi"\\\n').add()
    metrics.gauge("lag_records", "How far behind.\nIn records; \\ is a backslash.").labels().set(
        -2.5
    )
    seconds = metrics.histogram("fsync_seconds", "Time in fsync.", bounds=(0.001, 0.01))
    for value in (0.0005, 0.001, 0.002, 5.0):
        seconds.labels().observe(value)
    assert render(metrics) == (
        "# HELP requests_total Requests, by outcome.\n"
        "# TYPE requests_total counter\n"
        'requests_total{code="ok",op="add"} 3\n'
        'requests_total{code="Timeout",op="say \\"hi\\"\\\\\\n"} 1\n'
        "# HELP lag_records How far behind.\\nIn records; \\\\ is a backslash.\n"
        "# TYPE lag_records gauge\n"
        "lag_records -2.5\n"
        "# HELP fsync_seconds Time in fsync.\n"
        "# TYPE fsync_seconds histogram\n"
        'fsync_seconds_bucket{le="0.001"} 2\n'
        'fsync_seconds_bucket{le="0.01"} 3\n'
        'fsync_seconds_bucket{le="+Inf"} 4\n'
        "fsync_seconds_sum 5.0035\n"
        "fsync_seconds_count 4\n"
    )
    parse(render(metrics))


texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    help_=texts, values=st.lists(st.tuples(texts, texts), max_size=8), numbers=st.lists(st.floats())
)
def test_whatever_stands_in_labels_and_help_a_strict_reader_gets_it_back(
    help_: str, values: list[tuple[str, str]], numbers: list[float]
) -> None:
    # Lines end at a newline alone: a carriage return inside is content.
    metrics = Metrics()
    gauge = metrics.gauge("a_gauge", help_, ("one", "two"))
    wanted: dict[tuple[str, str], float] = {}
    for pair, number in zip(values, [*numbers, *[0.0] * 8], strict=False):
        gauge.labels(*pair).set(number)
        wanted[pair] = number
    families = parse(render(metrics))
    if not wanted:
        assert families == {}
        return
    family = families["a_gauge"]
    assert family.help == help_
    assert len(family.samples) == len(wanted)
    for (one, two), number in wanted.items():
        found = family.samples["a_gauge", (("one", one), ("two", two))]
        assert found == number or (math.isnan(found) and math.isnan(number))


@given(values=st.lists(st.floats(0, 100), max_size=50))
def test_a_histogram_counts_each_value_in_each_bucket_that_it_fits(values: list[float]) -> None:
    metrics = Metrics()
    histogram = metrics.histogram("op_seconds", "Duration.", ("op",)).labels("add")
    for value in values:
        histogram.observe(value)
    samples = parse(render(metrics))["op_seconds"].samples
    for bound in DURATION_BOUNDS_S:
        label = ("le", str(int(bound)) if bound == int(bound) else repr(bound))
        counted = samples["op_seconds_bucket", (("op", "add"), label)]
        assert counted == sum(value <= bound for value in values)
    assert samples["op_seconds_count", (("op", "add"),)] == len(values)
    assert samples["op_seconds_sum", (("op", "add"),)] == pytest.approx(sum(values))


def test_gauges_are_refreshed_before_they_are_read() -> None:
    metrics = Metrics()
    gauge = metrics.gauge("queue_length", "Requests that wait.").labels()
    queue = [1, 2, 3]
    metrics.refresh_with(lambda: gauge.set(len(queue)))
    assert parse(render(metrics))["queue_length"].samples == {("queue_length", ()): 3.0}
    queue.clear()
    assert parse(render(metrics))["queue_length"].samples == {("queue_length", ()): 0.0}


def test_labels_from_outside_do_not_fill_the_memory() -> None:
    metrics = Metrics()
    ops = metrics.counter("ops_total", "By op.", ("op",))
    for number in range(SERIES_MAX + 500):
        ops.labels(f"op{number}").add()
    ops.labels("op0").add()
    assert len(ops.series) == SERIES_MAX + 1
    assert ops.labels(OTHER).value == 500
    assert ops.labels("op0").value == 2


def test_a_cell_that_stands_for_nothing_any_more_is_removed() -> None:
    metrics = Metrics()
    rss = metrics.gauge("rss_bytes", "Memory, by brain.", ("brain",))
    rss.labels("b1").set(1)
    rss.labels("b2").set(2)
    rss.remove("b1")
    rss.remove("b1")
    assert "b1" not in render(metrics)


@pytest.mark.parametrize(
    ("kind", "name", "labels", "fields"),
    [
        ("counter", "0bad", (), {}),
        ("counter", "with-dash", (), {}),
        ("counter", "", (), {}),
        ("gauge", "fine", ("__reserved",), {}),
        ("gauge", "fine", ("a b",), {}),
        ("gauge", "fine", ("a", "a"), {}),
        ("gauge", "taken", (), {}),
        ("histogram", "fine", ("le",), {}),
        ("histogram", "fine", (), {"bounds": ()}),
        ("histogram", "fine", (), {"bounds": (2.0, 1.0)}),
        ("histogram", "fine", (), {"bounds": (1.0, 1.0)}),
        ("histogram", "fine", (), {"bounds": (1.0, math.inf)}),
    ],
)
def test_what_prometheus_would_not_take_is_refused(
    kind: str, name: str, labels: tuple[str, ...], fields: dict[str, Any]
) -> None:
    metrics = Metrics()
    metrics.counter("taken", "First.")
    with pytest.raises(MetricError):
        getattr(metrics, kind)(name, "help", labels, **fields)


def test_the_number_of_labels_must_fit() -> None:
    ops = Metrics().counter("ops_total", "By op.", ("op",))
    for values in ((), ("a", "b")):
        with pytest.raises(MetricError):
            ops.labels(*values)


def test_numbers_are_written_as_prometheus_reads_them() -> None:
    metrics = Metrics()
    gauge = metrics.gauge("number", "Any.", ("n",))
    numbers = [0, 1, -1, 2**53 - 1, 2.0**60, 1e300, 1e-300, 0.1, math.inf, -math.inf]
    for number in numbers:
        gauge.labels(repr(number)).set(number)
    gauge.labels("nan").set(math.nan)
    samples = parse(render(metrics))["number"].samples
    for number in numbers:
        assert samples["number", (("n", repr(number)),)] == number
    assert "NaN" in render(metrics)


@pytest.mark.parametrize(
    "text",
    [
        "a 1\n",
        "# HELP a x\n# TYPE a counter\na 1",
        "# HELP a x\na 1\n",
        "# HELP a x\n# TYPE a counter\n",
        "# HELP a x\n# TYPE a counter\nb 1\n",
        "# HELP a x\n# TYPE a counter\na 1\na 2\n",
        "# HELP a x\n# TYPE a counter\na one\n",
        '# HELP a x\n# TYPE a counter\na{b="c} 1\n',
        '# HELP a x\n# TYPE a counter\na{b="\\x"} 1\n',
        '# HELP a x\n# TYPE a histogram\na_bucket{le="+Inf"} 1\na_sum 1\na_count 2\n',
        '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n',
    ],
)
def test_the_reader_of_these_tests_is_strict(text: str) -> None:
    with pytest.raises((AssertionError, KeyError, StopIteration)):
        parse(text)
