"""What methods answer is what `kernel.api` says of them."""

from typing import Any, cast

import pytest

from osupervisor.bridge.methods import METHODS, find_fault
from tests.end_to_end.running import Running

ASKED: list[tuple[str, list[object]]] = [
    *((name, []) for name, method in METHODS.items() if not method.required),
    ("brain.state", [[]]),
    ("brain.call", ["add", ["hits"], {}, {}]),
]


@pytest.mark.parametrize(
    ("method", "params"), [one for one in ASKED if one[0] != "system.stop"], ids=lambda one: one
)
def test_a_result_fits_its_schema(shared: Running, method: str, params: list[object]) -> None:
    shared.client.call("add", "hits")
    shared.client.request("system.checkpoint")
    schema = shared.client.api()["methods"][method]["result"]
    assert schema == METHODS[method].result
    fits(schema, shared.client.request(method, params), method)


def fits(schema: Any, result: Any, where: str) -> None:
    assert find_fault(schema, result, where) == ""
    if isinstance(result, list):
        assert result, f"{where}: nothing is there to be looked at"
        for item in cast("list[object]", result):
            fits(schema.get("items", {}), item, f"an item of {where}")


def test_lists_are_in_the_order_that_is_promised(shared: Running) -> None:
    shared.client.call("add", "hits")
    shared.client.request("system.checkpoint")
    shared.client.call("add", "hits")
    newest = shared.client.request("system.checkpoint")["lsn"]
    lsns = [each["lsn"] for each in shared.client.request("system.checkpoints")]
    assert lsns == sorted(lsns, reverse=True) and lsns[0] == newest
    segments = shared.client.request("system.wal")
    assert segments == sorted(segments)
