"""OTP's supervisor written down naively: one blocking function after the other.

It follows supervisor.erl in what it does and in which order, with none of the means of
the real core: no steps, no mailbox, no time but an argument. Starts answer at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Start = Literal["ok", "fail", "ignore"]
State = Literal["undefined", "running", "restarting"]


@dataclass
class NaiveChild:
    id: str
    restart: str
    state: State = "undefined"


class NaiveSupervisor:
    """`outcome(id)` says what the next start of a child comes to; `log` is what was done."""

    def __init__(
        self, strategy: str, intensity: int, period_s: float, outcome: Callable[[str], Start]
    ) -> None:
        self.children: list[NaiveChild] = []
        self.log: list[str] = []
        self.is_over = False
        self._strategy = strategy
        self._intensity = intensity
        self._period_s = period_s
        self._outcome = outcome
        self._restarts: list[float] = []

    def begin(self, children: list[NaiveChild]) -> bool:
        self.children = list(children)
        for child in children:
            if self._start(child) == "fail":
                self._terminate()
                return False
        return True

    def states(self) -> list[tuple[str, State]]:
        return [(child.id, child.state) for child in self.children]

    def find(self, child_id: str) -> NaiveChild | None:
        return next((child for child in self.children if child.id == child_id), None)

    def die(self, child_id: str, is_peaceful: bool, now: float) -> None:
        child = self.find(child_id)
        assert child is not None and child.state == "running"
        child.state = "undefined"
        if child.restart == "permanent" or (child.restart == "transient" and not is_peaceful):
            self._restart(child, now)
        elif child.restart == "temporary":
            self.children.remove(child)

    def start_child(self, child: NaiveChild) -> str:
        there = self.find(child.id)
        if there is not None:
            return "already_started" if there.state == "running" else "already_present"
        self.children.append(child)
        outcome = self._start(child)
        if outcome == "fail":
            self.children.remove(child)
            return "failed_to_start_child"
        return outcome

    def terminate_child(self, child_id: str) -> str:
        child = self.find(child_id)
        if child is None:
            return "not_found"
        self._stop(child)
        return "ok"

    def restart_child(self, child_id: str) -> str:
        child = self.find(child_id)
        if child is None:
            return "not_found"
        if child.state != "undefined":
            return child.state
        outcome = self._start(child)
        return "failed_to_start_child" if outcome == "fail" else outcome

    def delete_child(self, child_id: str) -> str:
        child = self.find(child_id)
        if child is None:
            return "not_found"
        if child.state != "undefined":
            return child.state
        self.children.remove(child)
        return "ok"

    def _restart(self, child: NaiveChild, now: float) -> None:
        """Until it works, or there were too many."""
        failed: NaiveChild | None = child
        while failed is not None and not self.is_over:
            failed.state = "restarting"
            self._restarts = [t for t in self._restarts if now - t <= self._period_s] + [now]
            if len(self._restarts) > self._intensity:
                failed.state = "undefined"
                self._terminate()
                return
            failed = self._restart_once(failed)

    def _restart_once(self, child: NaiveChild) -> NaiveChild | None:
        """The child that could not be started, if any."""
        if self._strategy == "one_for_one":
            return child if self._start(child) == "fail" else None
        position = self.children.index(child)
        for other in reversed(self.children[position + 1 :]):
            self._stop(other)
        for one in self.children[position:]:
            if self._start(one) == "fail":
                return one
        return None

    def _start(self, child: NaiveChild) -> Start:
        outcome = self._outcome(child.id)
        self.log.append(f"{outcome} {child.id}")
        child.state = "running" if outcome == "ok" else "undefined"
        if outcome == "ignore" and child.restart == "temporary":
            self.children.remove(child)
        return outcome

    def _stop(self, child: NaiveChild) -> None:
        if child.state == "running":
            self.log.append(f"stop {child.id}")
        child.state = "undefined"
        if child.restart == "temporary":
            self.children.remove(child)

    def _terminate(self) -> None:
        for child in list(reversed(self.children)):
            self._stop(child)
        self.is_over = True
