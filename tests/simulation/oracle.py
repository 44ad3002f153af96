"""What must hold, checked against a model that is told everything that happens.

The oracle keeps every record that is in the log, the state after each, and every answer that left
the supervisor. Numbers in the messages are those of CORE.md's invariants.
"""

from dataclasses import dataclass, field
from typing import Any

from osupervisor.bridge import packing
from osupervisor.supervisor.core import key as keys
from osupervisor.supervisor.core.fold import Fold, split_commit
from osupervisor.supervisor.core.key import ClientKey, Key
from osupervisor.supervisor.core.pending import parse_effects
from osupervisor.wal import record as records
from osupervisor.wal.record import Kind, Record
from tests.simulation import toy

CLOCK_ERROR_US = 1_300_000
"""The names of two clients, made at once, differ by no more."""


class Violation(AssertionError):
    """An invariant does not hold."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer that left the supervisor. `lsn`: where it stands, 0 where in no record."""

    key: Key
    outcome: bytes
    lsn: int
    durable: bool
    """It was promised to survive a power cut."""


@dataclass(frozen=True, slots=True)
class Memory:
    """For how long, and for how many, the service promises to remember answers."""

    window_us: int
    keys_max: int
    clients_max: int
    entries_max: int

    def fold(self) -> Fold:
        """An empty fold that remembers so much."""
        return Fold(self.window_us, self.keys_max, self.clients_max, self.entries_max)


@dataclass(slots=True)
class Oracle:
    always: bool
    memory: Memory
    log: list[Record] = field(default_factory=list[Record])
    states: list[bytes] = field(default_factory=lambda: [toy.State().packed()])
    final: dict[Key, int] = field(default_factory=dict[Key, int])
    """Key to the LSN of its one commit or verdict."""
    epochs: set[int] = field(default_factory=set[int])
    shown: list[Shown] = field(default_factory=list[Shown])
    answers: dict[Key, bytes] = field(default_factory=dict[Key, bytes])
    deaths: dict[Key, int] = field(default_factory=dict[Key, int])
    refused: set[Key] = field(default_factory=set[Key])
    """Keys whose every delivery was refused: no record may hold them."""
    due: dict[Key, int] = field(default_factory=dict[Key, int])
    letters: set[Key] = field(default_factory=set[Key])
    """Keys with a dead letter."""
    repeated: set[str] = field(default_factory=set[str])
    """String keys that were forgotten, as they may be, and came again."""

    @property
    def last(self) -> int:
        return len(self.log)

    def state_at(self, lsn: int) -> bytes:
        return self.states[lsn]

    def epoch_at(self, lsn: int) -> int:
        return self.log[lsn - 1].epoch if lsn else 0

    # --- the log

    def appended(self, data: bytes) -> None:
        decoded = records.decode(data, 0)
        assert decoded is not None
        record = decoded[0]
        _hold(record.lsn == self.last + 1, f"1: lsn {record.lsn} behind {self.last}")
        state = toy.State.unpacked(self.states[-1])
        match record.kind:
            case Kind.COMMIT:
                self._commit(record, state)
            case Kind.VERDICT:
                self._verdict(record)
            case Kind.LEASE:
                _hold(record.epoch not in self.epochs, f"3: two leases of epoch {record.epoch}")
                self.epochs.add(record.epoch)
            case _:
                pass
        _hold(record.synced < record.lsn, f"10: record {record.lsn} says synced {record.synced}")
        self.log.append(record)
        self.states.append(state.packed())

    def _commit(self, record: Record, state: toy.State) -> None:
        _hold(record.epoch == max(self.epochs, default=0), f"3: commit of epoch {record.epoch}")
        done = toy.execute(state, record.request)
        _hold(done.commit() == record.commit, f"1: commit {record.lsn} is not of its prefix")
        key, _ = keys.decode(record.key)
        self._finish(key, record)
        if key in self.due:
            _hold(record.t_us >= self.due[key], f"8: {key} ran before its time")
        for effect, pending in parse_effects(done.effects, record.epoch, record.lsn, record.t_us):
            self.due[effect] = pending.due_us

    def _verdict(self, record: Record) -> None:
        key, _ = keys.decode(record.key)
        self._finish(key, record)
        outcome: Any = packing.unpack(b"\x92" + split_commit(record.commit)[0])
        if outcome[0]["code"] == "Quarantined":
            deaths = self.deaths.get(key, 0)
            _hold(deaths >= 3, f"9: {key} is quarantined after {deaths} deaths")
            _hold(key in self.letters, f"9: {key} is quarantined, and has no dead letter")

    def _finish(self, key: Key, record: Record) -> None:
        lsn = record.lsn
        if isinstance(key, str) and key in self.final and self._may_forget(key, record.t_us):
            self.repeated.add(key)
            self.answers.pop(key, None)
            del self.final[key]
        _hold(key not in self.final, f"4: {key} has records {self.final.get(key)} and {lsn}")
        _hold(key not in self.refused, f"7: {key} was refused and is record {lsn}")
        self.final[key] = lsn

    def _may_forget(self, key: str, now_us: int) -> bool:
        """Whether a string key's record is old enough, or has enough others behind it."""
        memory = self.memory
        at = self.final[key]
        if self.log[at - 1].t_us < now_us - memory.window_us:
            return True
        newer = {other for other, lsn in self.final.items() if isinstance(other, str) and lsn > at}
        return len(newer) >= memory.keys_max - (memory.keys_max >> 6)

    def forgotten(self, key: ClientKey, now_us: int) -> None:
        """The service said that it knows nothing of this client any more."""
        name = key[0]
        assert isinstance(name, bytes)
        made_us = int.from_bytes(name[:8], "big")
        known = [key for key in self.final if keys.is_client_key(key)]
        crowded = len({key[0] for key in known}) >= self.memory.clients_max
        crowded |= len(known) >= self.memory.entries_max
        silent = made_us < now_us - self.memory.window_us + CLOCK_ERROR_US
        _hold(silent or crowded, f"4: the client of {key} is forgotten too soon")

    def recovered(self, found: list[bytes], *, power_cut: bool, checkpoint: int) -> None:
        """The log as a new supervisor reads it, from the first record on."""
        kept = min(len(found), self.last)
        for lsn in range(1, kept + 1):
            decoded = records.decode(found[lsn - 1], 0)
            assert decoded is not None
            mine = self.log[lsn - 1]
            same = (decoded[0].key, decoded[0].commit) == (mine.key, mine.commit)
            _hold(same, f"5: record {lsn} is another one after the recovery")
        for shown in self.shown:
            if shown.durable or not power_cut:
                _hold(shown.lsn <= len(found), f"5: {shown.key} (lsn {shown.lsn}) is lost")
        _hold(checkpoint <= len(found), f"11: checkpoint {checkpoint}, log ends at {len(found)}")
        self._forget_behind(len(found))
        for data in found[self.last :]:
            self.appended(data)

    def _forget_behind(self, lsn: int) -> None:
        """A power cut took the rest; it never happened."""
        del self.log[lsn:]
        del self.states[lsn + 1 :]
        self.epochs = {record.epoch for record in self.log}
        self.final = {key: at for key, at in self.final.items() if at <= lsn}
        gone = [key for key in self.due if len(key) == 3 and _lsn_of(key) > lsn]
        for key in gone:
            del self.due[key]
        lost = [shown for shown in self.shown if shown.lsn > lsn]
        self.shown = [shown for shown in self.shown if shown.lsn <= lsn]
        for shown in lost:
            self.answers.pop(shown.key, None)

    def died(self, key: Key) -> None:
        """A brain died while it executed this."""
        self.deaths[key] = self.deaths.get(key, 0) + 1

    # --- answers

    def answered(self, key: Key, outcome: bytes, *, durable: bool, query: bool) -> None:
        """An answer left the supervisor."""
        error, _ = _both(outcome)
        code = error["code"] if error else ""
        if code in ("ReadOnly", "Overloaded", "Unavailable"):
            return
        if code == "Timeout" and not error["data"]["final"]:
            return
        if (query and key not in self.final) or key in self.repeated:
            return
        lsn = self.final.get(key)
        _hold(lsn is not None, f"5: {key} was answered {outcome!r:.80} and is in no record")
        assert lsn is not None
        logged = split_commit(self.log[lsn - 1].commit)[0]
        _hold(logged == outcome, f"6: {key}: answered {outcome!r:.80}, logged {logged!r:.80}")
        before = self.answers.setdefault(key, outcome)
        _hold(before == outcome, f"6: {key} got two answers")
        self.shown.append(Shown(key, outcome, lsn, durable or self.always))

    def refuse(self, key: Key) -> None:
        """The only delivery of this request was refused: it did nothing, and never will."""
        _hold(key not in self.final, f"7: {key} was refused and is record {self.final.get(key)}")
        self.refused.add(key)

    def read(self, value: list[int], at_least: int, durable: int) -> None:
        """A query said `value`; its asker knew of record `at_least` when it asked."""
        upto = durable if self.always else self.last
        for lsn in range(at_least, upto + 1):
            state = toy.State.unpacked(self.states[lsn])
            if value == [state.total, len(state.tokens)]:
                return
        raise Violation(f"5: a query saw {value}, which no record from {at_least} to {upto} gives")

    def check_tokens(self) -> None:
        """Each request has changed the state once."""
        tokens = toy.State.unpacked(self.states[-1]).tokens
        once = [token for token in tokens if not self._is_repeated(token)]
        _hold(len(once) == len(set(once)), "4: a request took effect twice")

    def _is_repeated(self, token: str) -> bool:
        return any(token == key or token.startswith(key + ".") for key in self.repeated)

    def follower(self, lsn: int, state: toy.State, who: str) -> None:
        _hold(lsn <= self.last, f"2: {who} is at {lsn}, the log ends at {self.last}")
        _hold(state.packed() == self.states[lsn], f"2: {who} at {lsn} is not the fold")


def _both(outcome: bytes) -> tuple[Any, Any]:
    found: Any = packing.unpack(b"\x92" + outcome)
    return found[0], found[1]


def _lsn_of(key: Key) -> int:
    assert type(key) is tuple
    return int(key[1])


def _hold(condition: bool, message: str) -> None:
    if not condition:
        raise Violation(message)
