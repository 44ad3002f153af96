"""The table of methods, and the checking of params by it."""

import json
from typing import cast

import pytest

from osupervisor.bridge.errors import RemoteProtocolError
from osupervisor.bridge.methods import METHODS, check_params, describe_methods


def test_every_method_is_described_as_json() -> None:
    described = cast("dict[str, dict[str, object]]", json.loads(json.dumps(describe_methods())))
    assert described.keys() == METHODS.keys()
    for method in described.values():
        assert method["summary"]
        assert cast("dict[str, object]", method["params"])["type"] == "array"


def test_methods_of_the_issue_are_there() -> None:
    assert METHODS.keys() >= {
        "kernel.hello",
        "kernel.ping",
        "kernel.api",
        "brain.call",
        "brain.state",
        "system.status",
        "system.tree",
        "system.get_metrics",
        "system.checkpoint",
    }


FITTING: list[tuple[str, list[object]]] = [
    ("kernel.hello", []),
    ("kernel.hello", [{}]),
    ("kernel.hello", [{"token": "t", "client": "c", "protocol": 1}]),
    ("kernel.ping", []),
    ("brain.state", [[]]),
    ("brain.state", [["a", 1, b"c"]]),
    ("system.status", []),
    ("system.crashes", ["ls"]),
    ("system.crashes", ["show", "7"]),
    ("system.deadletter", ["retry", "7"]),
    ("system.chaos", ["kill", "primary"]),
]


@pytest.mark.parametrize(("method", "params"), FITTING)
def test_params_that_fit(method: str, params: list[object]) -> None:
    check_params(method, params, 7)


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("no.such", [], "there is no method 'no.such'"),
        ("kernel.ping", [1], "takes 0 to 0 params, found 1"),
        ("kernel.hello", ["t"], "client must be of type object"),
        ("kernel.hello", [{"token": 7}], "client.token must be of type string"),
        ("kernel.hello", [{"protocol": -1}], "client.protocol must be at least 0"),
        ("kernel.hello", [{"protocol": True}], "client.protocol must be of type integer"),
        ("kernel.hello", [{"user": "u"}], "client has no 'user'"),
        ("brain.state", [], "takes 1 to 1 params"),
        ("brain.state", ["a"], "path must be of type array"),
        ("brain.state", [["a"] * 257], "path has at most 256 items"),
        ("system.crashes", ["drop"], "action must be one of"),
        ("system.chaos", ["kill"], "takes 2 to 2 params"),
        ("system.chaos", ["kill", "me"], "target must be one of"),
    ],
)
def test_params_that_do_not_fit_are_named(method: str, params: list[object], message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=message) as caught:
        check_params(method, params, 7)
    assert caught.value.request_id == 7
    assert caught.value.hint


def test_only_what_may_be_done_twice_is_sent_twice() -> None:
    once = {name for name, method in METHODS.items() if not method.repeatable}
    assert once == {"system.checkpoint", "system.deadletter", "system.chaos", "system.stop"}
