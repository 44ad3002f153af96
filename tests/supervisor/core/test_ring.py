"""The ring of newest records against a plain list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.supervisor.core.ring import Ring

steps = st.lists(
    st.one_of(st.binary(max_size=30), st.floats(0, 1)),  # a record, or a sync up to that share
    max_size=60,
)


@given(steps, st.integers(0, 100), st.integers(1, 1000))
def test_it_holds_the_newest_and_all_that_is_not_durable(
    taken: list[bytes | float], bytes_max: int, first: int
) -> None:
    ring, log, durable = Ring(bytes_max, first), list[bytes](), first - 1
    for step in taken:
        if isinstance(step, bytes):
            log.append(step)
            ring.append(step)
        else:
            durable = max(durable, first - 1 + int(step * len(log)))
        ring.trim(durable)
        last = first - 1 + len(log)
        assert ring.first <= durable + 1
        assert ring.holds(last + 1) and not ring.holds(ring.first - 1)
        for lsn in range(ring.first, last + 2):
            assert ring.since(lsn) == log[lsn - first :]
        assert ring.size_bytes == sum(map(len, ring.since(ring.first)))
        assert ring.size_bytes <= bytes_max or ring.first == durable + 1


def test_what_it_let_go_of_can_not_be_asked_for() -> None:
    ring = Ring(0, 1)
    ring.append(b"a")
    ring.trim(1)
    with pytest.raises(AssertionError):
        ring.since(1)
