"""The safe brain: what runs when the author's brains will not start. It executes nothing.

It follows the log and serves reads of the state like any brain, as neither needs the author's code.
"""

from osupervisor.brain.api import Brain, query


class Safe(Brain):
    """A brain without ops. It is never given the lease."""

    @query
    def is_safe(self) -> bool:
        """True. A class without any op or query is no brain."""
        return True
