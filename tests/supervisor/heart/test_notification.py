import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.supervisor.heart.notification import (
    DATAGRAM_BYTES_MAX,
    STATUS_BYTES_MAX,
    number,
    parse,
    render,
    single_line,
)


def test_assignments_are_read_and_the_rest_is_passed_over() -> None:
    assert parse(b"READY=1\nnonsense\n=x\nSTATUS=a=b\nSTATUS=c\n") == {"READY": "1", "STATUS": "c"}


def test_what_is_rendered_is_read_back() -> None:
    fields = {"FDSTORE": "1", "FDNAME": "brain.1.line", "STATUS": "größer"}
    assert parse(render(fields)) == fields


def test_a_status_of_several_lines_becomes_one() -> None:
    assert parse(render({"STATUS": "wal/0.wal:\n  damaged\r\nREADY=1"})) == {
        "STATUS": "wal/0.wal: damaged READY=1"
    }


@given(st.binary(max_size=200))
def test_any_bytes_can_be_parsed(datagram: bytes) -> None:
    for name, value in parse(datagram).items():
        assert name and "\n" not in value


@given(st.text(max_size=5000))
def test_any_status_fits_into_a_datagram(text: str) -> None:
    assert len(single_line(text).encode()) <= STATUS_BYTES_MAX
    assert len(render({"READY": "1", "STATUS": text, "EXIT_STATUS": "78"})) <= DATAGRAM_BYTES_MAX
    assert set(parse(render({"STATUS": text}))) == {"STATUS"}


@pytest.mark.parametrize("text", [None, "", "-1", "1.5", "x", "٣", "1" * 19, " 1"])
def test_what_is_no_plain_number_is_none(text: str | None) -> None:
    assert number(text) is None


def test_numbers_are_read() -> None:
    assert number("78") == 78
