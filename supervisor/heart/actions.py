"""What the decisions ask of the shell. Pure.

Classes of their own and not NamedTuples: two named tuples without fields are equal.
"""


class Action:
    """One thing for the shell to do; compared by kind and content."""

    __slots__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        content = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({content})"


class Start(Action):
    """Start a supervisor; `spare`: by waking the spare."""

    __slots__ = ("spare",)

    def __init__(self, spare: bool) -> None:
        self.spare = spare


class Send(Action):
    """Send the supervisor a signal."""

    __slots__ = ("signum",)

    def __init__(self, signum: int) -> None:
        self.signum = signum


class StartSpare(Action):
    """Start a process that does its imports and waits."""

    __slots__ = ()


class Tell(Action):
    """Pass these assignments on to the service manager above heart, where there is one."""

    __slots__ = ("fields",)

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields


class Say(Action):
    """A message for the log; level is info, warning or error."""

    __slots__ = ("level", "message")

    def __init__(self, level: str, message: str) -> None:
        self.level = level
        self.message = message


class Exit(Action):
    """End heart, and with it the service. `refusal`: the reason a supervisor gave, if it gave one.

    Status 0: stopped as asked. Status 1: the supervisor refused to start.
    """

    __slots__ = ("refusal", "status")

    def __init__(self, status: int, refusal: str = "") -> None:
        self.status = status
        self.refusal = refusal
