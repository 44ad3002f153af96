"""All logs of a service in one stream of records: what `osupervisor logs [-f]` shows.

The supervisor's, heart's, the nursery's: each `*.log` of the folder, also one that comes
into being later. What is read together is merged by time. A line without a time belongs to the
moment of the one before it in its file; where none before it has a time, of the first behind it;
where none has, to the moment at which the file was written last.
"""

from collections.abc import Callable
from pathlib import Path

from osupervisor.supervisor.logs.follower import Follower
from osupervisor.supervisor.logs.record import decode
from osupervisor.supervisor.logs.timestamp import timestamp

MISSED = "log.missed"
# More lines than any file holds.
_EVERYTHING = 2**62


class LogReader:
    """To be polled; blocks for its reading."""

    def __init__(
        self,
        directory: Path,
        last: int = 0,
        wanted: Callable[[dict[str, object]], bool] | None = None,
    ) -> None:
        """`last`: so many of the records that are there come with the first poll. `wanted`: only
        such records come and are counted, for which all that is there is read. None: all."""
        self._directory = directory
        self._wanted = wanted
        self._followers: dict[str, Follower] = {}
        self._times: dict[str, str] = {}
        self._find(_EVERYTHING if wanted is not None and last else last)
        backlog = self._merged()
        self._backlog = backlog[len(backlog) - min(last, len(backlog)) :]

    def poll(self) -> list[dict[str, object]]:
        """What has been written since the last poll; each has time, level, source, message."""
        self._find(None)
        backlog, self._backlog = self._backlog, []
        return [*backlog, *self._merged()]

    def close(self) -> None:
        for follower in self._followers.values():
            follower.close()

    def _find(self, last: int | None) -> None:
        """A file that was not there at the beginning is read from its own."""
        for path in sorted(self._directory.glob("*.log")):
            if path.name not in self._followers:
                self._followers[path.name] = Follower(path, _EVERYTHING if last is None else last)

    def _merged(self) -> list[dict[str, object]]:
        records = [record for name in self._followers for record in self._read(name)]
        return sorted(records, key=lambda record: str(record["time"]))

    def _read(self, name: str) -> list[dict[str, object]]:
        follower = self._followers[name]
        found = [decode(line) for line in follower.poll()]
        if follower.missed:
            follower.missed = False
            found.insert(0, {"level": "warning", "message": MISSED})
        if found and name not in self._times:
            self._times[name] = self._first_time(name, found)
        whole = [self._whole(name, one) for one in found]
        return whole if self._wanted is None else list(filter(self._wanted, whole))

    def _first_time(self, name: str, found: list[dict[str, object]]) -> str:
        """For the lines that have none before them. Empty where the file is gone."""
        times = [one["time"] for one in found if "time" in one]
        if times:
            return str(times[0])
        try:
            return timestamp((self._directory / name).stat().st_mtime)
        except FileNotFoundError:
            return ""

    def _whole(self, name: str, found: dict[str, object]) -> dict[str, object]:
        """With all that a record has, those first."""
        record: dict[str, object] = {
            "time": self._times.get(name, ""),
            "level": "info",
            "source": name.removesuffix(".log"),
            "message": "",
        }
        record.update(found)
        self._times[name] = str(record["time"])
        return record
