"""What the core wants done, handed to those who can: its actions, each turn, in their order."""

import os
from collections.abc import Callable

from osupervisor.bridge import line
from osupervisor.bridge.errors import BridgeError
from osupervisor.supervisor.core.call import Waiter
from osupervisor.supervisor.core.outbox import (
    Action,
    AnswerFromLog,
    BeginCheckpoint,
    ForkBrain,
    GoesAlone,
    Granted,
    KeepDeadLetter,
    KillBrain,
    LoadBrain,
)
from osupervisor.supervisor.runtime.brain_process import Verdict
from osupervisor.supervisor.runtime.brains import Brains
from osupervisor.supervisor.runtime.dead_letters import DeadLetters
from osupervisor.supervisor.runtime.health import Health
from osupervisor.supervisor.runtime.loading import Loading, NothingToLoad
from osupervisor.supervisor.runtime.post_mortem import Say
from osupervisor.supervisor.runtime.tape import Tape
from osupervisor.supervisor.runtime.vault import Vault


class Actions:
    """Carries them out. What fails is said, and ends the brain that it was for."""

    def __init__(
        self,
        brains: Brains,
        health: Health,
        loading: Loading,
        vault: Vault,
        tape: Tape,
        letters: DeadLetters,
        say: Say,
        *,
        granted: Callable[[int, int], None],
        damaged: Callable[[str], None],
    ) -> None:
        """`granted`: brain and epoch. `damaged`: the log lacks what a brain has to load."""
        self._brains = brains
        self._health = health
        self._loading = loading
        self._vault = vault
        self._tape = tape
        self._letters = letters
        self._say = say
        self._granted = granted
        self._damaged = damaged

    def carry_out(self, action: Action) -> None:
        match action:
            case Granted(brain, epoch):
                self._granted(brain, epoch)
            case LoadBrain(brain, after):
                self._load(brain, after)
            case ForkBrain():
                self._brains.fork(action)
            case KillBrain(brain, reason):
                self._brains.broken(brain, reason)
            case GoesAlone(brain, n):
                self._health.look_before(brain, n)
            case BeginCheckpoint():
                self._begin_checkpoint(action)
            case AnswerFromLog(waiter, lsn):
                self._answer_from_log(waiter, lsn)
            case KeepDeadLetter():
                self._keep_dead_letter(action)

    def _answer_from_log(self, waiter: Waiter, lsn: int) -> None:
        def failed(reason: str) -> None:
            self._say("error", "outcome.not_read", lsn=lsn, reason=reason)

        def answer() -> None:
            if waiter.asker.answer(waiter.message_id, self._tape.outcome_at(lsn, failed)):
                waiter.asker.flush()

        waiter.asker.when_read(answer)

    def _load(self, brain: int, after: int) -> None:
        process = self._brains.by_id.get(brain)
        if process is None:
            return
        process.loads += 1
        try:
            self._loading.load(process, after)
        except NothingToLoad as error:
            self._say("error", "brain.load_failed", brain=brain, reason=str(error))
            self._brains.kill(process, Verdict(str(error)))
            if not after:  # else it fell behind what is kept: another begins at a checkpoint
                self._damaged(str(error))
        except (OSError, BridgeError) as error:
            self._say("error", "brain.load_failed", brain=brain, reason=str(error))
            self._brains.kill(process, Verdict(str(error)))

    def _begin_checkpoint(self, action: BeginCheckpoint) -> None:
        """The brain is told already, and waits for descriptors; none call it off."""
        process = self._brains.by_id.get(action.brain)
        descriptors = self._vault.begin(action) or ()
        try:
            if process is not None:
                line.send(process.line, ["checkpoint", action.lsn], descriptors)
        except (OSError, BridgeError) as error:
            self._say("warning", "checkpoint.not_begun", brain=action.brain, reason=str(error))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _keep_dead_letter(self, action: KeepDeadLetter) -> None:
        try:
            letter = self._letters.keep(action)
        except OSError as error:
            self._say("error", "deadletter.not_kept", op=action.op, reason=str(error))
        else:
            self._say("error", "deadletter.kept", op=action.op, letter=letter)
