"""Errors between their two forms, the map on the wire and the exception."""

import pickle

import pytest
from hypothesis import given

from osupervisor.bridge import errors
from osupervisor.bridge.errors import SERVICE_ERRORS, ServiceError, from_map
from tests.bridge.calls import VALUES


def test_codes_are_those_of_the_protocol() -> None:
    assert set(SERVICE_ERRORS) == {
        "OpNotFound",
        "InvalidArguments",
        "OpFailed",
        "Timeout",
        "Overloaded",
        "Quarantined",
        "ReadOnly",
        "Unavailable",
        "ProtocolError",
    }
    assert errors.CODES == set(SERVICE_ERRORS)
    assert all(kind.__name__ == code == kind.code for code, kind in SERVICE_ERRORS.items())


@pytest.mark.parametrize("code", sorted(errors.CODES))
def test_an_error_round_trips_through_its_map(code: str) -> None:
    fields = {"code": code, "message": "m", "hint": "h", "data": {"type": "ValueError"}}
    error = from_map(fields)
    assert type(error) is SERVICE_ERRORS[code]
    assert error.to_map() == fields
    assert str(error) == "m: h"
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error) and copy.to_map() == fields


def test_a_code_of_a_newer_service_is_kept() -> None:
    error = from_map({"code": "Novel", "message": "m", "hint": "", "data": {}})
    assert type(error) is ServiceError and error.code == "Novel"
    assert pickle.loads(pickle.dumps(error)).code == "Novel"


@given(VALUES)
def test_any_map_makes_an_error(value: object) -> None:
    assert str(from_map(value))
    assert str(from_map({"code": value, "message": value, "hint": value, "data": value}))


def test_an_error_without_a_hint_gets_that_of_its_kind() -> None:
    assert errors.Overloaded("the queue is full").hint
    assert from_map({"code": "Overloaded", "message": "full"}).hint


def test_errors_fit_those_of_the_language() -> None:
    assert issubclass(errors.Timeout, TimeoutError)
    assert issubclass(errors.NotRunningError, ConnectionError)


@pytest.mark.parametrize(
    "error",
    [
        errors.RemoteProtocolError("m", "h", 7),
        errors.FrameTooLargeError(99, 16, (b"a",)),
        errors.LocalProtocolError("m", "h"),
        errors.NotRunningError("m", "h"),
        errors.AddressError("m"),
    ],
)
def test_every_error_survives_another_process(error: errors.BridgeError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error) and vars(copy) == vars(error)
