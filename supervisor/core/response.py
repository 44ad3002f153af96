"""What the primary answers to a delivery. A value, made once per call: a hot path. Pure."""

from dataclasses import dataclass


@dataclass(slots=True, init=False)
class Response:
    """`[1, n, nil, [epoch, outcome, ops, effects]]` of a call, `[1, n, nil, [epoch, outcome]]` of a
    query; `n` is also the message id of a read."""

    n: int
    epoch: int
    outcome: bytes
    effects: bytes | None
    """None: a query's."""
    commit: bytes
    """outcome, ops and effects as they came: three bins. Of a query the outcome alone."""

    def __init__(
        self, n: int, epoch: int, outcome: bytes, effects: bytes | None, commit: bytes
    ) -> None:
        self.n = n
        self.epoch = epoch
        self.outcome = outcome
        self.effects = effects
        self.commit = commit
