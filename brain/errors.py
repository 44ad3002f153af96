"""What goes wrong in a brain, and whose fault it is.

`BrainError` is the base. `StateError`, `EffectError` and `ArgumentsError` are the author's or the
caller's and become an answer (`OpFailed`, `InvalidArguments`); `LoadError` means that a brain can't
be started; `PortError` and `FollowerError` mean that this process must end, because what it was
sent contradicts what it holds.
"""

Path = tuple[str | int | bytes, ...]


def path_text(path: Path) -> str:
    """`("state", "bins", 3)` as an author writes it: `state["bins"][3]`."""
    if not path:
        return "state"
    head, *rest = path
    return str(head) + "".join(f"[{part!r}]" for part in rest)


class BrainError(Exception):
    """Base of all errors of this folder."""


class StateError(BrainError):
    """Something that can't be stored, or a change where none may be made; names the path."""

    def __init__(self, path: Path, reason: str, hint: str = "") -> None:
        self.path = path
        self.reason = reason
        self.hint = hint
        super().__init__(f"{path_text(path)}: {reason}" + (f"; {hint}" if hint else ""))


class WriteInQueryError(StateError):
    """A query tried to change the state."""


class EffectError(BrainError):
    """An effect that can't be written in a commit; `effect` is emit, after or cast."""

    def __init__(self, effect: str, reason: str) -> None:
        self.effect = effect
        super().__init__(f"{effect}: {reason}")


class ArgumentsError(BrainError):
    """Arguments that an op's annotations refuse; `problems` has one map for each."""

    def __init__(self, op: str, problems: list[dict[str, str]]) -> None:
        self.op = op
        self.problems = problems
        super().__init__(f"{op}: " + "; ".join(problem["text"] for problem in problems))


class UnpackableError(BrainError):
    """A value that MessagePack can't carry; names where in the value it stands."""

    def __init__(self, path: Path, found: str, hint: str) -> None:
        self.path = path
        super().__init__(f"{path_text(path)}: {found}; {hint}")


class LoadError(BrainError):
    """A target that can't be started as a brain; `hint` says what to do."""

    def __init__(self, target: str, reason: str, hint: str) -> None:
        self.target = target
        self.hint = hint
        super().__init__(f"{target}: {reason}; {hint}")


class PortError(BrainError):
    """The supervisor sent what the protocol doesn't allow here; the brain ends."""


class FollowerError(BrainError):
    """A record that doesn't follow the own LSN, or can't be applied; the brain ends.

    `lsn` is that of the commit that can't be applied, 0 where it isn't known.
    """

    def __init__(self, reason: str, lsn: int = 0) -> None:
        self.lsn = lsn
        super().__init__(reason)
