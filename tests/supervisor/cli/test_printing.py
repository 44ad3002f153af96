"""What commands print is printed, whatever the terminal can show."""

import io

import pytest

from osupervisor.supervisor.cli.printing import print_table


class Terminal(io.TextIOWrapper):
    """One that shows ASCII."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("cell", ["caf\u00e9", "\udcff", "[b]plain[/b]"])
def test_a_table_shows_in_its_way_what_the_terminal_cannot(
    monkeypatch: pytest.MonkeyPatch, cell: str
) -> None:
    shown = io.BytesIO()
    terminal = Terminal(shown, encoding="ascii")
    monkeypatch.setattr("sys.stdout", terminal)
    print_table(("name", "value"), [(cell, 3)], "none")
    terminal.flush()
    text = shown.getvalue().decode()
    assert cell.encode("ascii", "backslashreplace").decode() in text and "3" in text
