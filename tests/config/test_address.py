"""`host:port`, and what names a brain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.config.address import parse_address
from osupervisor.config.errors import BadValueError
from tests.config.strategies import patient


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7070", "127.0.0.1", 7070),
        ("localhost:0", "localhost", 0),
        ("[::1]:65535", "::1", 65_535),
        ("a-b.example:80", "a-b.example", 80),
        ("a-b.example.:80", "a-b.example.", 80),
        ("a" * 63 + ".b:80", "a" * 63 + ".b", 80),
    ],
)
def test_address_is_split(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":", "localhost", "localhost:", "::1:7070", "h:65536", "h:-1", "h:7 0", "h h:70", "h:٧"]
    + ["http://h:70", "h:70/", "[]:70", "a" * 300 + ":70", "h:70\n"]
    + ["a..b:70", ".h:70", ".:70", "..:70", "a" * 64 + ":70", "h." + "a" * 64 + ".:70"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadValueError, match="host:port"):
        parse_address(text)


@pytest.mark.parametrize("text", ["7070", ":7070"])
def test_a_port_alone_is_refused_with_the_choice_of_hosts(text: str) -> None:
    with pytest.raises(BadValueError) as caught:
        parse_address(text)
    assert '"127.0.0.1:7070"' in caught.value.hint and '"0.0.0.0:7070"' in caught.value.hint


@patient
@given(st.text(), st.integers(-(10**6), 10**6))
def test_garbage_raises_nothing_but_a_bad_value(host: str, port: int) -> None:
    for text in (host, f"{host}:{port}", f"[{host}]:{port}"):
        try:
            parsed = parse_address(text)
        except BadValueError:
            continue
        assert parsed[0] and 0 <= parsed[1] <= 65_535
