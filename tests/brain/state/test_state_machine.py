"""A Hypothesis state machine over the tree, its follower, the reference codec and plain Python."""

from random import Random

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.brain.state.twins import Twins, packed

SEEDS = st.integers(min_value=0, max_value=2**32 - 1)


class StateTreeMachine(RuleBasedStateMachine):
    """Requests, aborted requests, rollbacks, confirmations, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.twins = Twins(Random(0))
        self.waiting: list[bytes] = []

    @rule(seed=SEEDS, changes=st.integers(1, 6))
    def request(self, seed: int, changes: int) -> None:
        self.twins.rng = Random(seed)
        ops = self.twins.request(changes)
        if ops is not None:
            self.waiting.append(ops)

    @rule(seed=SEEDS, changes=st.integers(1, 6))
    def aborted_request(self, seed: int, changes: int) -> None:
        self.twins.rng = Random(seed)
        self.twins.aborted(changes)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), together=st.booleans())
    def roll_back(self, data: st.DataObject, together: bool) -> None:
        count = data.draw(st.integers(1, len(self.waiting)))
        self.twins.rollback(count, together)
        del self.waiting[-count:]

    @rule()
    def confirm(self) -> None:
        self.twins.confirm(self.waiting)
        self.waiting.clear()

    @rule()
    def change_roles(self) -> None:
        """The follower becomes primary, as after a death; what waited is undone first."""
        if self.waiting:
            self.twins.rollback(len(self.waiting), together=True)
            self.waiting.clear()
        self.twins.change_roles()

    @invariant()
    def tree_equals_plain_python(self) -> None:
        twins = self.twins
        plain = packed(twins.plain["state"], twins.plain["hot"])
        assert packed(twins.tree.root, twins.tree.hot) == plain


StateTreeMachine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestStateTree = StateTreeMachine.TestCase
