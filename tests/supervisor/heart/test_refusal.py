"""A supervisor that refuses (exit status 78) is not started again; its reason is repeated."""

from tests.supervisor.heart.service import Service, lives


def test_a_refusal_is_repeated_and_ends_heart_with_status_1(service: Service) -> None:
    status, stderr = service.start(words=("refuse wal/0.wal: damaged; run `wal repair`",)).end()
    assert status == 1
    assert stderr.splitlines()[-1] == (
        "heart: the supervisor refused to start: wal/0.wal: damaged; run `wal repair`"
    )
    assert service.journal()[-1]["level"] == "error"


def test_a_refusal_without_a_reason_says_so(service: Service) -> None:
    status, stderr = service.start(words=("exit 78",)).end()
    assert status == 1
    assert "refused to start: it gave no reason" in stderr


def test_in_the_background_the_last_line_of_stderr_is_the_reason(service: Service) -> None:
    words = ("complain Traceback", "complain the lock is held", "exit 78")
    status, stderr = service.start(words=words, foreground=False).end()
    assert (status, stderr) == (1, "")
    assert service.journal()[-1]["message"].endswith("refused to start: the lock is held")


def test_a_refusal_after_a_crash_counts_too(service: Service) -> None:
    service.start("--healthy", "0").who()
    service.tell("refuse the disk is gone")
    assert service.end()[0] == 1


def test_a_refusal_kills_what_is_left(service: Service) -> None:
    service.start()
    brain = service.ask("brain 1")
    service.tell("refuse enough")
    assert service.end()[0] == 1
    assert not lives(brain)


def test_other_exit_statuses_are_no_refusal(service: Service) -> None:
    old = service.start().who()["pid"]
    service.tell("exit 77")
    assert service.next_supervisor(old)["pid"] != old
