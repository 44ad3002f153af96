"""A primary in a real process: it executes in order, undoes what is not confirmed, and follows."""

from tests.brain.driver import Log, nursery


def test_brain_serves_from_its_first_lease_on() -> None:
    with nursery() as nest:
        brain = nest.spawn("a")
        assert (brain.ready["lsn"], brain.ready["epoch"]) == (0, 0)
        assert brain.ready["abilities"] == ["undo", "cell", "reattach", "fork"]
        log = Log()
        brain.records(log.lease(1))
        brain.lease(1, 1)
        assert brain.do(log, "add", "hits", n=3).result == 3
        assert brain.do(log, "add", "hits").result == 4
        assert brain.ping() == {"lsn": 3, "epoch": 1}
        assert brain.hot.snapshot().counters == {"adds": 2}
        brain.notify("shutdown")
        assert nest.status_of(brain.pid) == 0
