"""A crash at every step of a log's life, and every step failing once."""

import pytest

from tests.wal.campaign import CRASHES, FAILURES, cases, run
from tests.wal.disk import Fault

SEEDS = range(8)


@pytest.mark.parametrize("fault", CRASHES)
def test_a_crash_at_any_step_loses_nothing_that_is_owed(fault: Fault) -> None:
    for case in cases((fault,), SEEDS):
        run(case)


@pytest.mark.parametrize("fault", FAILURES)
def test_any_step_may_fail_once(fault: Fault) -> None:
    for case in cases((fault,), SEEDS):
        run(case)
