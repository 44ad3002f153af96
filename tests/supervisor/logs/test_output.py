"""A brain's output: whole lines, within a limit, with what is missing counted."""

import time

from hypothesis import given
from hypothesis import strategies as st

from osupervisor.supervisor.logs.output import LINE_COST_BYTES, Dropped, Line, Output
from osupervisor.supervisor.logs.token_bucket import TokenBucket

steps = st.lists(
    st.tuples(st.floats(0.0, 3.0), st.binary(max_size=60) | st.just(b"x" * 30 + b"\n")),
    max_size=40,
)


def _texts(passed: list[Line | Dropped]) -> list[str]:
    return [one.text for one in passed if isinstance(one, Line)]


def _feed_all(output: Output, chunks: list[bytes]) -> list[Line | Dropped]:
    passed = [one for chunk in chunks for one in output.feed(chunk, 0.0)]
    return passed + output.end(0.0)


@given(
    rate=st.floats(0.1, 100.0),
    burst=st.floats(1.0, 100.0),
    events=st.lists(st.tuples(st.floats(-1.0, 5.0), st.floats(0.0, 1.0)), max_size=50),
)
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(
    rate: float, burst: float, events: list[tuple[float, float]]
) -> None:
    bucket, now, latest_s, taken = TokenBucket(rate, burst), 0.0, 0.0, 0.0
    bucket.available(now)
    for elapsed_s, share in events:
        now += elapsed_s
        latest_s = max(latest_s, now)
        amount = bucket.available(now) * share
        bucket.take(amount, now)
        taken += amount
        assert 0.0 <= bucket.available(now) <= burst
        assert taken <= (burst + rate * latest_s) * 1.000001


@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_lines_do_not_depend_on_how_they_come(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[a:b] for a, b in zip(places, places[1:], strict=False)]
    output = Output(bytes_per_s=10**6, line_bytes_max=10**5, tail_bytes=10**5)
    wanted = data.split(b"\n")[: None if data and not data.endswith(b"\n") else -1]
    assert _texts(_feed_all(output, chunks)) == [line.decode(errors="replace") for line in wanted]
    assert list(output.last_lines()) == [line.decode(errors="replace") for line in wanted]


def test_a_long_line_comes_in_pieces() -> None:
    output = Output(bytes_per_s=1000, line_bytes_max=4, tail_bytes=100)
    assert _texts(output.feed(b"abcdefghij\nk", 0.0)) == ["abcd", "efgh", "ij"]
    assert _texts(output.feed(b"lmnopq", 0.0)) == ["klmn"]
    assert _texts(output.feed(b"\n\nabcd\n", 0.0)) == ["opq", "", "abcd"]


@given(events=steps, size=st.integers(1, 20))
def test_nothing_is_lost_without_being_counted(
    events: list[tuple[float, bytes]], size: int
) -> None:
    """Bytes passed and bytes dropped are all the bytes there were; the rate is kept."""
    output = Output(bytes_per_s=50, line_bytes_max=size, tail_bytes=40)
    burst, now = max(50, 2 * (size + 1 + LINE_COST_BYTES)), 0.0
    passed: list[Line | Dropped] = []
    for elapsed_s, data in events:
        now += elapsed_s
        # A character that was cut in two would come back as two that stand for it.
        passed += output.feed(bytes(byte & 0x7F for byte in data), now)
        sent = sum(len(text.encode()) + 1 + LINE_COST_BYTES for text in _texts(passed))
        assert sent <= burst + 50 * now + 1
    passed += output.end(now + 1000.0)
    assert not output.is_missing_some
    dropped = [one for one in passed if isinstance(one, Dropped)]
    assert all(one.bytes > 0 for one in dropped)


@given(
    counts=st.lists(st.integers(1, 400), min_size=1, max_size=20),
    pauses_s=st.lists(st.floats(0.0, 2.0), min_size=20, max_size=20),
)
def test_each_line_is_passed_or_counted(counts: list[int], pauses_s: list[float]) -> None:
    output = Output(bytes_per_s=1000, line_bytes_max=20, tail_bytes=100)
    now, number = 0.0, 0
    passed: list[Line | Dropped] = []
    for count, pause_s in zip(counts, pauses_s, strict=False):
        now += pause_s
        chunk = b"".join(b"%06d\n" % (number + n) for n in range(count))
        number += count
        passed += output.feed(chunk, now)
    passed += output.end(now)
    position = 0
    for one in passed:
        if isinstance(one, Dropped):
            assert one.bytes == 7 * one.lines
            position += one.lines
        else:
            assert int(one.text) == position
            position += 1
    assert position == number
    assert output.last_lines()[-1] == f"{number - 1:06d}"


def test_a_flood_is_dropped_and_said_seldom() -> None:
    output = Output(bytes_per_s=1000, line_bytes_max=100, tail_bytes=50)
    passed: list[Line | Dropped] = []
    for step in range(10_000):
        passed += output.feed(b"y\n" * 1000, step * 0.001)
    gaps = [one for one in passed if isinstance(one, Dropped)]
    assert len(gaps) <= 3 * 10
    assert output.is_missing_some
    assert output.say_what_is_missing(10.0) == []
    (gap,) = output.say_what_is_missing(12.0)
    assert isinstance(gap, Dropped) and gap.lines > 1000
    assert output.last_lines() == ("y",) * 25


def test_a_flood_without_line_ends_is_bounded() -> None:
    output = Output(bytes_per_s=1000, line_bytes_max=100, tail_bytes=50)
    for step in range(1000):
        output.feed(b"z" * 65536, step * 0.001)
    assert len(output.last_lines()[0]) == 50
    assert sum(len(text) for text in _texts(output.end(1.0))) <= 100


def test_dropping_is_cheap() -> None:
    """64 KiB of a flood, which a pipe gives at once, in less than 5 ms on a busy machine."""
    output = Output(bytes_per_s=65536, line_bytes_max=16384, tail_bytes=65536)
    chunk = b"y\n" * 32768
    output.feed(chunk, 0.0)
    best_s = float("inf")
    for _ in range(20):
        began_s = time.perf_counter()
        assert output.feed(chunk, 0.0) == []
        best_s = min(best_s, time.perf_counter() - began_s)
    assert best_s < 0.005
