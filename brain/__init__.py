"""What runs in workers: Brain, op, the state tree, the follower and the run loop."""

from osupervisor.brain.api import Brain, Gene, evolvable, gene, op, query
from osupervisor.brain.context import Request
from osupervisor.brain.errors import BrainError, EffectError, LoadError, StateError

__all__ = [
    "Brain",
    "BrainError",
    "EffectError",
    "Gene",
    "LoadError",
    "Request",
    "StateError",
    "evolvable",
    "gene",
    "op",
    "query",
]
