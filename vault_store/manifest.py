"""What a checkpoint says of itself: `manifest.json`, written last. Pure.

    {
      "format": 1,
      "lsn": 4711, "epoch": 3,
      "code_version": "9f86d081884c", "hash_seed": 0, "created_unix_s": 1760000000,
      "previous_full": null,
      "state": {"bytes": .., "raw_bytes": .., "sha256": "..", "keys": ..},
      "control": {"bytes": .., "sha256": ".."},
      "crc": "0a1b2c3d"
    }

`crc` covers the text without it. A manifest has one form only, byte for byte: whatever would be
written otherwise than it was found is damaged. `previous_full` is kept for incremental
checkpoints and is null in a full one, which every one is today.
"""

import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import Any, Final

from osupervisor.vault_store.state_format import StateSummary, count, sha256_hex

FORMAT_VERSION: Final = 1
# Far above what a manifest takes; nothing larger is read.
MANIFEST_BYTES_MAX: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class FileSummary:
    """Size and sha256 (hex) of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A full checkpoint of the state at `lsn`, whose record was of `epoch`.

    `code_version`: of the code that held the lease then; `hash_seed`: PYTHONHASHSEED of the data
    directory; `created_unix_s`: wall time.
    """

    lsn: int
    epoch: int
    code_version: str
    hash_seed: int
    created_unix_s: int
    state: StateSummary
    control: FileSummary
    previous_full: int | None = None


def summarize(content: bytes) -> FileSummary:
    """The summary of a file with this content."""
    return FileSummary(len(content), hashlib.sha256(content).hexdigest())


def encode(manifest: Manifest) -> bytes:
    """The file's content."""
    members = {
        "format": FORMAT_VERSION,
        "lsn": manifest.lsn,
        "epoch": manifest.epoch,
        "code_version": manifest.code_version,
        "hash_seed": manifest.hash_seed,
        "created_unix_s": manifest.created_unix_s,
        "previous_full": manifest.previous_full,
        "state": manifest.state.as_map(),
        "control": {"bytes": manifest.control.bytes, "sha256": manifest.control.sha256},
    }
    crc = zlib.crc32(_text(members))
    return _text(members | {"crc": f"{crc:08x}"})


def decode(content: bytes) -> Manifest:
    """The manifest in a file's content. Raises ManifestError.

    One checksum covers it all, so that it is right as a whole or not at all.
    """
    try:
        manifest = _from_members(json.loads(content.decode("ascii")))
    except UnicodeDecodeError as error:
        raise ManifestError(f"byte {error.start} is not ASCII") from error
    except json.JSONDecodeError as error:
        raise ManifestError(f"not JSON from byte {error.pos} on: {error.msg}") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ManifestError(f"not a manifest: {error}") from error
    if encode(manifest) != content:
        raise ManifestError("its checksum is wrong, or it is not in the form that is written")
    return manifest


class ManifestError(Exception):
    """A manifest's content is not what was written; the text says what was found."""


def _from_members(members: Any) -> Manifest:
    if members["format"] != FORMAT_VERSION:
        raise ValueError(f"format {members['format']!r}, this program reads {FORMAT_VERSION}")
    previous = members["previous_full"]
    version = members["code_version"]
    if not isinstance(version, str):
        raise ValueError(f"code_version is {version!r}")
    control = members["control"]
    return Manifest(
        lsn=count(members["lsn"]),
        epoch=count(members["epoch"]),
        code_version=version,
        hash_seed=count(members["hash_seed"]),
        created_unix_s=count(members["created_unix_s"]),
        previous_full=None if previous is None else count(previous),
        state=StateSummary.from_map(members["state"]),
        control=FileSummary(count(control["bytes"]), sha256_hex(control["sha256"])),
    )


def _text(members: dict[str, Any]) -> bytes:
    return json.dumps(members, indent=2, ensure_ascii=True).encode("ascii") + b"\n"
