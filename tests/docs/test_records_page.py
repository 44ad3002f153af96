"""The bytes in docs/formats/RECORDS.md are what the code makes, and it reads them back."""

import re
import struct

from osupervisor.bridge import packing
from osupervisor.supervisor.core import key as keys
from osupervisor.supervisor.core.fold import Fold, params_crc, split_commit
from osupervisor.supervisor.core.key import Key
from osupervisor.wal.record import Kind
from tests.docs.pages import text_of

PAGE = text_of("docs/formats/RECORDS.md")
T_US = 1_760_000_000_000_000
CLIENT = struct.pack(">Q", T_US) + bytes(range(8))
REQUEST = packing.pack(["add", ["hits"], {"n": 3}])[1:]
NO_EFFECTS = b"\x90"


def _shown() -> bytes:
    """All hexadecimal text of the page's indented lines, in order."""
    lines = [line.replace(" ", "") for line in PAGE.splitlines() if line.startswith("    ")]
    return bytes.fromhex("".join(line for line in lines if re.fullmatch(r"[0-9a-f]+", line)))


def _fold() -> Fold:
    fold = Fold(600_000_000, 50_000, 20_000)
    nothing: dict[str, int] = {}
    timer = packing.pack([["after", 500_000, "add", ["hits"], nothing]])
    fold.lease(1, 1, T_US)
    fold.commit(2, 1, T_US + 10, (CLIENT, 1), 1, 0x44EE1111, b"\xc0\x03", timer)
    fold.commit(3, 1, T_US + 20, "order-17", 0, 0x01020304, b"\xc0\x10", NO_EFFECTS)
    fold.death(4, T_US + 30, (7, 1))
    return fold


def test_keys_are_as_shown() -> None:
    examples: list[tuple[Key, int]] = [
        ((CLIENT, 1), 1),
        ("order-17", 0),
        ((1, 2, 0), 0),
        ((7, 1), 0),
    ]
    for key, seen in examples:
        packed = keys.encode(key, seen)
        assert f"`{packed.hex()}`" in PAGE
        assert keys.decode(packed) == (key, seen)


def test_a_request_a_commit_and_a_fold_are_as_shown() -> None:
    request = b"\x95" + REQUEST + struct.pack(">BQBQ", 0xCF, T_US, 0xCF, 5)
    ops = packing.pack([[1, ["state", "hits"], 3]])
    commit = b"".join(packing.pack(part) for part in (b"\xc0\x03", ops, NO_EFFECTS))
    assert _shown() == request + commit + _fold().dump()
    assert packing.unpack(request) == ["add", ["hits"], {"n": 3}, T_US, 5]
    assert split_commit(commit) == (b"\xc0\x03", NO_EFFECTS)


def test_the_fold_that_is_shown_is_read_back() -> None:
    dumped = _fold().dump()
    restored = Fold(600_000_000, 50_000, 20_000)
    restored.restore(dumped)
    assert restored.dump() == dumped
    assert restored.epoch_at(4) == 1
    assert restored.strikes == {(7, 1): 1}


def test_a_retry_is_told_by_op_args_and_kwargs_alone() -> None:
    first = b"\x95" + REQUEST + bytes(18)
    later = b"\x95" + REQUEST + bytes(range(18))
    assert params_crc(first) == params_crc(later)


def test_every_kind_is_in_the_table() -> None:
    for kind in Kind:
        assert f"| {int(kind)} {kind.name.lower()} |" in PAGE
