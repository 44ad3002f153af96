"""The log's records for people: what `wal dump` shows of keys, requests and commits.

    key      {"client", "number", "seen"} | text | {"epoch", "lsn", "i"} | {"boot", "arrival"}
    request  {"op", "args", "kwargs", "t_us", "seed"}; of a lease: {"brain", "code_version"}
    commit   {"error", "result", "ops", "effects"}; of a verdict: {"error", "result"}
             null for what a kind has none of
    ops      [["SET", path, value], ...]

What has another shape stays as the log's own dump shows it.
"""

import binascii
import json
from typing import Any, cast

from osupervisor.bridge import packing
from osupervisor.bridge.operations import Opcode
from osupervisor.supervisor.cli.values import to_json

Json = dict[str, Any]
LINE_CHARS = 120


def readable(record: Json) -> Json:
    """A dict of `wal.dump` with key, request and commit decoded."""
    if "kind" not in record:
        return record
    kind, found = record["kind"], dict(record)
    found["key"] = _key(record["key"])
    found["request"] = record["request"] or None
    found["commit"] = record["commit"] or None
    match kind, record["request"], record["commit"]:
        case "commit", [request], [[error, result], [ops], [effects]]:
            found["request"] = request_map(request) or request
            parts = {"error": error, "result": result}
            found["commit"] = parts | {
                "ops": [_operation(each) for each in ops],
                "effects": effects,
            }
        case "verdict", [request], [{"bytes": str(outcome)}, *_]:
            found["request"] = request_map(request) or request
            found["commit"] = _outcome(outcome)
        case "lease", [*_, [brain, version]], _:
            found["request"] = {"brain": brain, "code_version": version}
        case _:
            pass
    return found


def request_map(request: object) -> Json | None:
    """A request's five members by name. None: it isn't one."""
    if not isinstance(request, list):
        return None
    members = cast("list[object]", request)
    kinds = (str, list, dict, int, int)
    if [type(member) for member in members] != list(kinds):
        return None
    return dict(zip(("op", "args", "kwargs", "t_us", "seed"), to_json(members), strict=True))


def call_text(request: object) -> str:
    """`add("hits", 3, n=1)`, cut to a line."""
    call = cast("Json", request)
    if not isinstance(request, dict) or "op" not in call:
        return _cut(_text(call))
    named = [f"{name}={_text(value)}" for name, value in call["kwargs"].items()]
    return _cut(f"{call['op']}({', '.join([*map(_text, call['args']), *named])})")


def line(record: Json) -> str:
    """One record on a line."""
    if "kind" not in record:
        return f"! {_trouble(record)}"
    head = f"{record['lsn']:>8}  epoch {record['epoch']}  {record['kind']:<7}"
    match record["kind"], record["commit"]:
        case "commit", {"error": error, "result": result, "ops": ops, "effects": effects}:
            outcome = f"{error['code']}: {error['message']}" if error else _text(result)
            extra = f", {len(effects)} effects" if effects else ""
            text = f"{call_text(record['request'])} -> {_cut(outcome)}  [{len(ops)} ops{extra}]"
        case "verdict", {"error": error}:
            text = f"{call_text(record['request'])} -> {error['code'] if error else None}"
        case "control", _:
            text = f"{record['bytes']} bytes"
        case "death", _:
            text = f"while executing {_text(record['key'])}"
        case _:
            text = _text(record["request"])
    return f"{head}  {_cut(_on_one_line(text))}"


def _trouble(found: Json) -> str:
    """Where the log can't be read; never cut, as it says where to look."""
    match found:
        case {"damage": reason, "file": file, "offset": offset, "lsn": lsn}:
            return f"damaged: {file} at offset {offset}, lsn {lsn}: {reason}"
        case {"torn": file, "offset": offset}:
            return f"torn tail: {file} from offset {offset} on; it does not count"
        case _:
            return _text(found)


def _key(values: list[Any]) -> Any:
    match values:
        case []:
            return None
        case [[{"bytes": _} | str() as client, int(number), int(seen)]]:
            name = client if isinstance(client, str) else client["bytes"]
            return {"client": name, "number": number, "seen": seen}
        case [[int(epoch), int(lsn), int(i)]]:
            return {"epoch": epoch, "lsn": lsn, "i": i}
        case [[int(boot), int(arrival)]]:
            return {"boot": boot, "arrival": arrival}
        case [one]:
            return one
        case _:
            return values


def _operation(operation: Any) -> Any:
    match operation:
        case [int(code), *rest] if code in set(Opcode):
            return [Opcode(code).name, *rest]
        case _:
            return operation


def _outcome(hexadecimal: str) -> Any:
    """A verdict's commit: error and result, one behind the other."""
    data = binascii.unhexlify(hexadecimal)
    unpacker = packing.new_unpacker(max(len(data), 1))
    unpacker.feed(data)
    try:
        error, result = unpacker.unpack(), unpacker.unpack()
    except packing.DECODE_ERRORS:
        return [{"bytes": hexadecimal}]
    return {"error": to_json(error), "result": to_json(result)}


def _text(value: object) -> str:
    return json.dumps(to_json(value), ensure_ascii=False)


def _on_one_line(text: str) -> str:
    """Names and messages are whatever was sent and raised."""
    return "".join(char if char.isprintable() else " " for char in text)


def _cut(text: str) -> str:
    return text if len(text) <= LINE_CHARS else f"{text[: LINE_CHARS - 3]}..."
