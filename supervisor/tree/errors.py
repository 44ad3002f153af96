"""What a supervision tree refuses, and why. OTP's own words stand in `code`."""

from osupervisor.supervisor.tree.cause import Cause


class TreeError(Exception):
    """The base of all of them. `code` is the reason as OTP's supervisor names it."""

    code = "error"


class InvalidSpecError(TreeError):
    """A flag or a child spec is wrong; nothing was started.

    `code` is OTP's (`invalid_restart_type`, `duplicate_child_name`, ...).
    """

    def __init__(self, code: str, where: str, found: object, wanted: str) -> None:
        super().__init__(f"{where}: {code}: found {found!r}, wanted {wanted}")
        self.code = code
        self.where = where
        self.found = found
        self.wanted = wanted


class NotFoundError(TreeError):
    """No child has this id."""

    code = "not_found"

    def __init__(self, child_id: str) -> None:
        super().__init__(f"no child {child_id!r} here; which_children() names those there are")
        self.child_id = child_id


class AlreadyPresentError(TreeError):
    """A child spec with this id is there, and not running."""

    code = "already_present"

    def __init__(self, child_id: str) -> None:
        super().__init__(
            f"child {child_id!r} is there already and not running; restart_child or delete_child it"
        )
        self.child_id = child_id


class AlreadyStartedError(TreeError):
    """A child with this id is running; `child` says which."""

    code = "already_started"

    def __init__(self, child_id: str, child: object) -> None:
        super().__init__(f"child {child_id!r} is running already: {child}")
        self.child_id = child_id
        self.child = child


class RunningError(TreeError):
    """The child runs; what was asked needs a stopped one."""

    code = "running"

    def __init__(self, child_id: str) -> None:
        super().__init__(f"child {child_id!r} is running; terminate_child it first")
        self.child_id = child_id


class RestartingError(TreeError):
    """The child is between two tries to restart it."""

    code = "restarting"

    def __init__(self, child_id: str) -> None:
        super().__init__(f"child {child_id!r} is being restarted; terminate_child ends the tries")
        self.child_id = child_id


class ChildStartError(TreeError):
    """A child that was to be started did not become ready."""

    code = "failed_to_start_child"

    def __init__(self, child_id: str, cause: Cause) -> None:
        super().__init__(f"child {child_id!r} did not start: {cause}")
        self.child_id = child_id
        self.cause = cause


class SupervisorStartError(TreeError):
    """The supervisor did not start, and what it had started is stopped again.

    `child_id` is None where its own init was at fault.
    """

    code = "failed_to_start"

    def __init__(self, supervisor: str, child_id: str | None, cause: Cause) -> None:
        whose = f"its child {child_id!r}" if child_id is not None else "its init"
        super().__init__(f"supervisor {supervisor!r} did not start, for {whose}: {cause}")
        self.supervisor = supervisor
        self.child_id = child_id
        self.cause = cause


class NoSupervisorError(TreeError):
    """The supervisor is not running (yet, or any more); nothing was done."""

    code = "noproc"

    def __init__(self, supervisor: str) -> None:
        super().__init__(f"supervisor {supervisor!r} is not running")
        self.supervisor = supervisor


class NameTakenError(TreeError):
    """Another living child holds this name in the registry."""

    code = "already_registered"

    def __init__(self, name: str) -> None:
        super().__init__(f"the name {name!r} is held by a living child")
        self.name = name
