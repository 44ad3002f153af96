"""Who is warned that string keys are forgotten early, and when."""

from osupervisor.supervisor.core.done import DoneTable
from osupervisor.supervisor.runtime.key_window import KeyWindow

WINDOW_US = 10_000_000
KEYS_MAX = 20


def test_a_window_that_becomes_short_is_said_once_and_again_when_it_is_whole() -> None:
    said: list[str] = []
    now_us = WINDOW_US
    table = DoneTable(WINDOW_US, KEYS_MAX, 10)

    def say(_level: str, event: str, /, **_fields: object) -> None:
        said.append(event)

    window = KeyWindow(table, lambda: now_us, say)
    window.look()
    assert not window.trouble and not said
    for number in range(2 * KEYS_MAX):
        now_us += 100_000
        table.put(f"key-{number}", 0, number + 1, now_us, 0, b"")
        window.look()
    assert "of 10 s" in window.trouble
    assert said == ["keys.window_short"]
    now_us += WINDOW_US
    window.look()
    assert not window.trouble
    assert said == ["keys.window_short", "keys.window_whole"]
