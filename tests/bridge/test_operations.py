"""The codec of state operations: its bytes, what it refuses, and what `apply` does."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from osupervisor.bridge import operations, packing
from osupervisor.bridge.operations import Opcode, OperationError

GOLDEN = Path(__file__).parent / "golden" / "operations.json"
PAGE = Path(__file__).parents[2] / "docs" / "formats" / "OPERATIONS.md"
STATE: dict[str, Any] = {
    "state": {"m": {"a": 1, "b": [1, 2, 3]}, "l": ["x", {"y": 1}], 7: "int", b"k": "bin"},
    "hot": {"n": 2, "g": 0.5},
}


def apply(*found: list[Any]) -> dict[str, Any]:
    roots = copy.deepcopy(STATE)
    operations.apply(roots, operations.unpack(operations.pack(found)))
    return roots


def golden() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads(GOLDEN.read_text())
    return cases


@pytest.mark.parametrize("case", golden(), ids=lambda case: str(case["name"]))
def test_golden_bytes_have_their_effect(case: dict[str, Any]) -> None:
    packed = bytes.fromhex(case["bytes"])
    unpacked = operations.unpack(packed)
    assert unpacked == case["operations"]
    assert operations.pack(unpacked) == packed
    roots = copy.deepcopy(case["before"])
    operations.apply(roots, unpacked)
    assert json.dumps(roots) == json.dumps(case["after"]), "order counts"


def test_every_opcode_has_a_golden_case() -> None:
    assert {op[0] for case in golden() for op in case["operations"]} == set(map(int, Opcode))


def test_page_shows_every_golden_case_and_every_opcode() -> None:
    page = PAGE.read_text()
    for case in golden():
        assert case["bytes"] in page, case["name"]
    for opcode in Opcode:
        assert re.search(rf"\| {int(opcode)} \| `{opcode.name}` \|", page), opcode


@pytest.mark.parametrize(
    ("operation", "path", "wanted"),
    [
        ([1, ["state", 7], None], [7], None),
        ([1, ["state", b"k"], []], [b"k"], []),
        ([1, ["state", "l", 1, "y"], 2], ["l"], ["x", {"y": 2}]),
        ([2, ["state", "m", "b", 0]], ["m", "b"], [2, 3]),
        ([7, ["state", "l", 2], 9], ["l"], ["x", {"y": 1}, 9]),
        (
            [
                8,
                [
                    "state",
                    "l",
                ],
                2,
                2,
                [1],
            ],
            ["l"],
            ["x", {"y": 1}, 1],
        ),
        ([4, ["state", "m"], {"z": 1, "a": 2}], ["m"], {"a": 2, "b": [1, 2, 3], "z": 1}),
    ],
)
def test_apply(operation: list[Any], path: list[Any], wanted: Any) -> None:
    found: Any = apply(operation)["state"]
    for key in path:
        found = found[key]
    assert found == wanted


def test_increment_starts_at_0_and_is_bounded() -> None:
    assert apply([11, ["hot", "new"], -3])["hot"]["new"] == -3
    assert apply([11, ["hot", "n"], 2**63])["hot"]["n"] == 2**63 + 2
    with pytest.raises(OperationError, match="found 2, wanted an integer"):
        apply([11, ["hot", "n"], 2**64 - 1])


UNFIT: list[tuple[Any, str]] = [
    ([1, ["state", "no", "x"], 1], "nothing under 'no'"),
    ([1, ["state", "m", "a", "x"], 1], "found int, wanted a map or an array"),
    ([1, ["state", "l", 2], 1], "index 2 of an array of 2"),
    ([1, ["state", "l", -1], 1], "index -1"),
    ([1, ["state", "l", "0"], 1], "index '0'"),
    ([2, ["state", "no"]], "nothing under 'no'"),
    ([2, ["state", "l", 2]], "index 2"),
    ([3, ["state", "m", "a"]], "found int"),
    ([4, ["state", "l"], {}], "found list, wanted a map"),
    ([5, ["state", "m"], 1], "found dict, wanted an array"),
    ([6, ["state"], [1]], "found dict, wanted an array"),
    ([7, ["state", "l", 3], 1], "index 3 of an array of 2"),
    ([7, ["state", "m", "x"], 1], "found dict, wanted an array"),
    ([8, ["state", "l"], 1, 3, []], "items 1 to 3 of an array of 2"),
    ([8, ["state", "l"], 2, 1, []], "items 2 to 1"),
    ([8, ["state", "l"], -1, 1, []], "items -1 to 1"),
    ([9, ["state"]], "wanted an array"),
    ([10, ["state", "l"], [0]], "no permutation of 2 items"),
    ([10, ["state", "l"], [0, 0]], "no permutation"),
    ([10, ["state", "l"], [1, 2]], "no permutation"),
    ([11, ["hot", "g"], 1], "found 0.5, wanted an integer"),
    ([11, ["state", "l", 0], 1], "found list, wanted a map"),
]


@pytest.mark.parametrize(("operation", "message"), UNFIT)
def test_apply_refuses_what_doesnt_fit_and_tells_which(operation: Any, message: str) -> None:
    first = [1, ["state", "first"], True]
    roots = copy.deepcopy(STATE)
    with pytest.raises(OperationError, match=re.escape(message)) as caught:
        operations.apply(roots, operations.unpack(operations.pack([first, operation])))
    assert caught.value.index == 1
    assert str(caught.value).startswith("operation 1: ")
    assert roots["state"].pop("first")
    assert roots == STATE


MALFORMED: list[tuple[Any, str]] = [
    (5, "found 5, wanted an array of opcode"),
    ([], "found []"),
    ([1], "found [1]"),
    ([0, ["state", "x"], 1], "opcode 0, wanted 1 to 11"),
    ([12, ["state", "x"], 1], "opcode 12"),
    ([True, ["state", "x"], 1], "opcode True"),
    ([1.0, ["state", "x"], 1], "opcode 1.0"),
    (["1", ["state", "x"], 1], "opcode '1'"),
    ([1, "state", 1], "found path 'state'"),
    ([1, [], 1], "found path []"),
    ([1, ["other", "x"], 1], "found path ['other', 'x']"),
    ([1, [["state"], "x"], 1], "found path"),
    ([1, ["state"], 1], "found 1 keys, wanted 2 to 100"),
    ([2, ["hot"]], "found 1 keys"),
    ([1, ["state", *"x" * 100], 1], "found 101 keys"),
    ([1, ["state", 1.5], 1], "the key 1.5"),
    ([1, ["state", True], 1], "the key True"),
    ([1, ["state", None], 1], "the key None"),
    ([1, ["state", "x"]], "SET has 0 operands, wanted 1"),
    ([2, ["state", "x"], 1], "DELETE has 1 operands, wanted 0"),
    ([8, ["state", "x"], 1, 2], "SPLICE has 2 operands, wanted 3"),
    ([1, ["state", "x"], {1.5: 1}], "SET: found the key 1.5"),
    ([1, ["state", "x"], [{None: 1}]], "SET: found the key None"),
    ([4, ["state", "x"], []], "MERGE: found list, wanted a map"),
    ([4, ["state", "x"], {True: 1}], "MERGE: found the key True"),
    ([6, ["state", "x"], 1], "EXTEND: found int, wanted an array"),
    ([8, ["state", "x"], "a", 1, []], "SPLICE: found str, wanted an integer"),
    ([8, ["state", "x"], 0, True, []], "SPLICE: found bool, wanted an integer"),
    ([8, ["state", "x"], 0, 1, {}], "SPLICE: found dict, wanted an array"),
    ([10, ["state", "x"], [0, "1"]], "REORDER: found str, wanted an integer"),
    ([10, ["state", "x"], 3], "REORDER: found int, wanted an array"),
    ([11, ["hot", "x"], 1.5], "INCREMENT: found float, wanted an integer"),
]


@pytest.mark.parametrize(("operation", "message"), MALFORMED)
def test_unpack_refuses_what_is_malformed_and_tells_which(operation: Any, message: str) -> None:
    packed = packing.pack([[9, ["state", "l"]], operation])
    with pytest.raises(OperationError, match=re.escape(message)) as caught:
        operations.unpack(packed)
    assert caught.value.index == 1


@pytest.mark.parametrize(
    "packed",
    [b"", b"\x91", b"\xc1", b"\x90\x90", b"\xdd\xff\xff\xff\xff", b"\x80", b"\x05", b"\xc4\x01x"],
)
def test_unpack_refuses_bytes_that_are_no_array_of_operations(packed: bytes) -> None:
    with pytest.raises(OperationError):
        operations.unpack(packed)


def test_extension_types_are_refused() -> None:
    timestamp = b"\xd6\xff\x00\x00\x00\x00"
    with pytest.raises(OperationError, match="wanted a plain value"):
        operations.unpack(b"\x91\x93\x01\x92\xa5state\xa1x" + timestamp)


@given(st.binary(max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_unpacked_or_refused(packed: bytes) -> None:
    try:
        found = operations.unpack(packed)
    except OperationError:
        return
    try:
        operations.apply(copy.deepcopy(STATE), found)
    except OperationError:
        return


KEYS = st.one_of(
    st.sampled_from(["state", "hot", "m", "l", "a", "b", "n", "y"]), st.integers(-1, 3)
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)
OPERATIONS = st.tuples(
    st.integers(0, 12),
    st.lists(KEYS, max_size=4).map(lambda keys: ["state", *keys]),
    st.lists(VALUES, max_size=3),
).map(lambda parts: [parts[0], parts[1], *parts[2]])


@given(st.lists(OPERATIONS, max_size=4))
@settings(max_examples=500, deadline=None)
def test_any_operations_are_applied_or_refused(found: list[Any]) -> None:
    """Nothing but OperationError, whatever the operations; what is valid comes back from bytes."""
    packed = operations.pack(found)
    try:
        unpacked = operations.unpack(packed)
        operations.apply(copy.deepcopy(STATE), unpacked)
    except OperationError:
        return
    assert operations.pack(unpacked) == packed
