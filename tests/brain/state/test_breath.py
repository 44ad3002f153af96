"""Long changes that run compiled let the handlers of signals run meanwhile."""

import pytest

from osupervisor.brain import journal, replay
from osupervisor.brain.journal import BREATH_ENTRIES
from osupervisor.brain.replay import BREATH_OPERATIONS
from osupervisor.brain.state import StateTree


class Breaths:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_a_long_commit_is_followed_and_taken_back_with_breaths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    followed, undone = Breaths(), Breaths()
    monkeypatch.setattr(replay, "breathe", followed)
    monkeypatch.setattr(journal, "breathe", undone)
    tree, follower = StateTree({"queue": []}), StateTree({"queue": []})
    tree.begin()
    for number in range(4 * max(BREATH_ENTRIES, BREATH_OPERATIONS)):
        tree.root["queue"].insert(0, number)
    operations, undo = tree.finish()
    follower.apply(operations)
    assert follower.plain() == tree.plain()
    assert followed.count >= 4
    tree.rollback(undo)
    assert tree.plain() == ({"queue": []}, {})
    assert undone.count >= 4
