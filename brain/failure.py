"""Outcomes that are errors: `error map ++ nil`, with what a caller needs to act on it.

A traceback shows the author's frames only: those below the executor, without this package's own.
"""

import traceback
from pathlib import Path
from typing import Any, Final

from osupervisor.brain.errors import ArgumentsError, BrainError, StateError
from osupervisor.brain.packing import encode
from osupervisor.brain.program import Program

MESSAGE_CHARACTERS_MAX: Final = 4_096
TRACEBACK_CHARACTERS_MAX: Final = 16_384
NIL: Final = b"\xc0"
_PACKAGE: Final = str(Path(__file__).resolve().parent) + "/"
_COMPILED: Final = "/" + __name__.rpartition(".")[0].replace(".", "/") + "/"
"""Stands in the file names of compiled modules, which are those of the build and not absolute."""


def outcome(code: str, message: str, hint: str, data: dict[str, Any]) -> bytes:
    """The packed outcome of an error."""
    return encode({"code": code, "message": message, "hint": hint, "data": data}) + NIL


def not_found(request: Any, program: Program) -> bytes:
    """OpNotFound, or InvalidArguments where the request is no array of five."""
    if request.__class__ is not list or len(request) != 5 or not isinstance(request[0], str):
        return outcome(
            "InvalidArguments",
            "the request is no array of op, args, kwargs, time and seed, with the op a name",
            "see docs/PROTOCOL.md",
            {},
        )
    names = sorted(program.ops)
    name = _clip(request[0], 200)
    return outcome(
        "OpNotFound",
        f"no op {name!r} in {program.cls.__name__}",
        "there are: " + _clip(", ".join(names), MESSAGE_CHARACTERS_MAX),
        {"op": name, "ops": names},
    )


def of_check(error: BaseException) -> bytes:
    """Of a check of arguments: they are refused, or a validator, the author's code too, failed."""
    return invalid(error) if isinstance(error, ArgumentsError) else failed(error)


def invalid(error: ArgumentsError) -> bytes:
    problems = [
        {key: _clip(text, MESSAGE_CHARACTERS_MAX) for key, text in problem.items()}
        for problem in error.problems[:100]
    ]
    return outcome(
        "InvalidArguments",
        _clip(str(error), MESSAGE_CHARACTERS_MAX),
        f"give {error.op} what its annotations ask for; kernel.api has its schema",
        {"op": error.op, "problems": problems},
    )


def undecodable(reason: str) -> bytes:
    return outcome(
        "InvalidArguments",
        f"the request can't be decoded: {_clip(reason, MESSAGE_CHARACTERS_MAX)}",
        "send valid MessagePack: UTF-8 strings, map keys that are scalars, under 500 levels",
        {},
    )


def invalid_path(error: BrainError) -> bytes:
    """`depth`, where nothing stands at the path: so many of its keys led somewhere."""
    data = {"depth": len(error.path) - 1} if isinstance(error, StateError) else {}
    message = _clip(str(error), MESSAGE_CHARACTERS_MAX)
    return outcome("InvalidArguments", message, "give a path that exists", data)


def not_a_query(name: str) -> bytes:
    return outcome(
        "ReadOnly", f"{name} is an op, and ops are not executed now", "try again later", {}
    )


def too_large(outcome_bytes: int, ops_bytes: int, effects_bytes: int) -> bytes:
    found = {"result": outcome_bytes, "ops": ops_bytes, "effects": effects_bytes}
    return outcome(
        "OpFailed",
        "the commit is over 16 MiB and was undone: "
        + ", ".join(f"{size} bytes of {name}" for name, size in found.items()),
        "do it in several requests",
        {
            "type": "CommitTooLarge",
            "message": "the commit is over 16 MiB",
            "traceback": "",
            **found,
        },
    )


def failed(error: BaseException) -> bytes:
    """OpFailed for whatever an op raised, SystemExit and MemoryError too."""
    kind, message = type(error).__name__, _clip(_text(error), MESSAGE_CHARACTERS_MAX)
    return outcome(
        "OpFailed",
        f"{kind}: {message}" if message else kind,
        "the state is as it was before the call",
        {"type": kind, "message": message, "traceback": user_traceback(error)},
    )


def user_traceback(error: BaseException) -> str:
    """The traceback as text, without this package's frames, its last 16 KiB at most."""
    try:
        found = traceback.TracebackException.from_exception(error, limit=-64)
        _keep_user_frames(found, set())
        return _clip_head("".join(found.format()), TRACEBACK_CHARACTERS_MAX)
    except Exception as broken:
        return f"{type(error).__name__} (its traceback can't be shown: {type(broken).__name__})"


def _keep_user_frames(found: traceback.TracebackException, seen: set[int]) -> None:
    seen.add(id(found))
    frames = [frame for frame in found.stack if not _is_own(frame.filename)]
    found.stack = traceback.StackSummary.from_list(frames)
    for linked in (found.__cause__, found.__context__):
        if linked is not None and id(linked) not in seen:
            _keep_user_frames(linked, seen)
    if found.__context__ is not None and not found.__context__.stack:
        found.__context__ = None  # how the executor looked the method up


def _is_own(file: str) -> bool:
    return file.startswith(_PACKAGE) or (not file.startswith("/") and _COMPILED in "/" + file)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"(its message can't be shown: {type(broken).__name__})"


def _clip(text: str, size: int) -> str:
    clean = text.encode("utf-8", "backslashreplace").decode()
    return clean if len(clean) <= size else clean[: size - 3] + "..."


def _clip_head(text: str, size: int) -> str:
    clean = text.encode("utf-8", "backslashreplace").decode()
    return clean if len(clean) <= size else "..." + clean[3 - size :]
