"""The supervisor's own outcomes: two MessagePack values, an error map with a way out."""

from typing import Any

import pytest

from osupervisor.bridge import packing
from osupervisor.bridge.errors import RETRYABLE
from osupervisor.supervisor.core import outcome
from osupervisor.supervisor.core.fold import split_commit

ERRORS = {
    "timeout_waiting": (outcome.timeout_waiting("op", delivered=True), "Timeout"),
    "timeout_hung": (outcome.timeout_hung("op", 1_500_000), "Timeout"),
    "quarantined": (outcome.quarantined("op", 3), "Quarantined"),
    "read_only": (outcome.read_only("no space"), "ReadOnly"),
    "overloaded": (outcome.overloaded(3, 900), "Overloaded"),
    "too_large": (outcome.too_large("op", 3, 2), "InvalidArguments"),
    "not_durable": (outcome.not_durable("op"), "Unavailable"),
    "too_many_copies": (outcome.too_many_copies("op"), "Unavailable"),
    "too_much_pending": (outcome.too_much_pending("op", 3, 99), "OpFailed"),
    "forgotten": (outcome.forgotten(7), "ProtocolError"),
    "key_reused": (outcome.key_reused("op"), "ProtocolError"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_says_what_to_do(name: str) -> None:
    found, code = ERRORS[name]
    error, result = packing.unpack(b"\x92" + found)
    assert result is None
    assert set(error) == {"code", "message", "hint", "data"}
    assert error["code"] == code and error["message"] and error["hint"]


def test_what_a_client_may_send_again_by_itself_is_not_final() -> None:
    codes = {code for _, code in ERRORS.values()}
    assert set(RETRYABLE) <= codes and "Timeout" not in RETRYABLE


@pytest.mark.parametrize(
    ("found", "final", "delivered"),
    [
        (outcome.timeout_waiting("op", delivered=False), False, False),
        (outcome.timeout_waiting("op", delivered=True), False, True),
        (outcome.timeout_hung("op", 1), True, True),
    ],
)
def test_a_timeout_says_whether_it_is_the_last_word(
    found: bytes, final: bool, delivered: bool
) -> None:
    error, _ = packing.unpack(b"\x92" + found)
    assert error["data"] == {"delivered": delivered, "final": final}


@pytest.mark.parametrize("value", [None, 1, "text", [1, {"a": b"b"}]])
def test_a_result_comes_back(value: Any) -> None:
    assert packing.unpack(b"\x92" + outcome.result(value)) == [None, value]


def test_as_a_commit_it_has_neither_operations_nor_effects() -> None:
    found = outcome.quarantined("op", 3)
    assert split_commit(outcome.as_commit(found)) == (found, b"\x90")
