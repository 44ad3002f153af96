"""The manifest: its one form, and every way in which it can be another."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.vault_store.manifest import (
    FileSummary,
    Manifest,
    ManifestError,
    decode,
    encode,
    summarize,
)
from osupervisor.vault_store.state_format import StateSummary

MANIFEST = Manifest(
    lsn=4711,
    epoch=3,
    code_version="9f86d081884c",
    hash_seed=7,
    created_unix_s=1_760_000_000,
    state=StateSummary(100, 200, "ab" * 32, 5),
    control=summarize(b"control"),
)
GOLDEN = """{
  "format": 1,
  "lsn": 4711,
  "epoch": 3,
  "code_version": "9f86d081884c",
  "hash_seed": 7,
  "created_unix_s": 1760000000,
  "previous_full": null,
  "state": {
    "bytes": 100,
    "raw_bytes": 200,
    "sha256": "abababababababababababababababababababababababababababababababab",
    "keys": 5
  },
  "control": {
    "bytes": 7,
    "sha256": "0fcd568a5cb9bdb4677b69354b11ee415af8f784519cff3da49a26f84eaee7f2"
  },
  "crc": "fddedbae"
}
"""

NUMBERS = st.integers(0, 2**64 - 1)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(
    numbers=st.tuples(*[NUMBERS] * 8),
    version=st.text(max_size=40),
    digests=st.tuples(DIGESTS, DIGESTS),
    previous=st.none() | NUMBERS,
)
def test_manifest_comes_back(
    numbers: tuple[int, ...], version: str, digests: tuple[str, str], previous: int | None
) -> None:
    lsn, epoch, seed, created, size, raw, keys, control = numbers
    state = StateSummary(size, raw, digests[0], keys)
    summary = FileSummary(control, digests[1])
    manifest = Manifest(lsn, epoch, version, seed, created, state, summary, previous)
    assert decode(encode(manifest)) == manifest


def test_golden_manifest() -> None:
    assert encode(MANIFEST).decode() == GOLDEN
    assert decode(GOLDEN.encode()) == MANIFEST


def test_manifest_cut_at_every_byte_is_refused() -> None:
    content = encode(MANIFEST)
    for end in range(len(content)):
        with pytest.raises(ManifestError):
            decode(content[:end])


def test_every_flipped_bit_is_found() -> None:
    content = encode(MANIFEST)
    for bit in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ManifestError):
            decode(bytes(flipped))


def test_the_same_in_another_form_is_refused() -> None:
    members = json.loads(encode(MANIFEST))
    for other in (json.dumps(members), json.dumps(members, indent=2), json.dumps(members) + "\n"):
        with pytest.raises(ManifestError, match="checksum"):
            decode(other.encode())


@pytest.mark.parametrize(
    "name", ["format", "lsn", "epoch", "code_version", "hash_seed", "state", "control"]
)
@pytest.mark.parametrize("bad", [None, -1, "1", [], {}, 2**64, True])
def test_member_of_another_kind_is_refused(name: str, bad: object) -> None:
    members = json.loads(encode(MANIFEST))
    if not (name == "code_version" and bad == "1"):
        with pytest.raises(ManifestError):
            decode(json.dumps({**members, name: bad}).encode())
    del members[name]
    with pytest.raises(ManifestError):
        decode(json.dumps(members).encode())


def test_another_format_is_named() -> None:
    members = json.loads(encode(MANIFEST)) | {"format": 2}
    with pytest.raises(ManifestError, match="format 2, this program reads 1"):
        decode(json.dumps(members).encode())


@pytest.mark.parametrize("junk", [b"", b"{", b"[" * 15_000, b"\xff", b"7", b"null", b"{}"])
def test_what_is_no_manifest_is_refused(junk: bytes) -> None:
    with pytest.raises(ManifestError):
        decode(junk)


@given(content=st.binary(max_size=300))
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ManifestError):
        decode(content)


def test_crc_is_of_this_manifest() -> None:
    assert encode(MANIFEST)[-13:] != encode(replace(MANIFEST, lsn=4712))[-13:]
