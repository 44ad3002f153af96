"""How a program says that it is ready: the contract, and the plain one.

A Handshake is made for each start of a program. It decides which descriptors the
program gets and listens on their other ends; `begin` follows the spawn, `end` the death.

The plain one, ReadyLine, gives the program one end of a socket pair as descriptor 3
(its number stands in OSUPERVISOR_READY_FD). The first line that comes over it says:

    ready [text]      init is done; the text is for who started it by hand
    (an empty line)   the same
    ignore            there is nothing to do; the program ends now
    failed text       init failed; the program ends now, or is killed

The program's end of file on it is the supervisor's death: a program that must not
outlive its supervisor reads on, and ends there.
"""

import asyncio
import socket
from collections.abc import Mapping
from typing import Protocol

READY_FD = 3
READY_FD_VARIABLE = "OSUPERVISOR_READY_FD"
# Far more than a word and a sentence; a program that sends more without a line's end
# has not understood the handshake.
LINE_BYTES_MAX = 64 * 1024


class Outcome(Protocol):
    """Whom a handshake tells what it heard."""

    def ready(self, info: object = None) -> None: ...

    def ignore(self) -> None: ...

    def fail(self, reason: str) -> None:
        """The start has failed: the program is killed if it does not end by itself."""
        ...


class Handshake(Protocol):
    def fds(self) -> Mapping[int, int]:
        """What the program gets: its number of a descriptor -> the one here."""
        ...

    def environ(self) -> Mapping[str, str]:
        """Variables on top of those that the program gets anyway."""
        ...

    def begin(self, outcome: Outcome) -> None:
        """The program runs. Close its ends here, and listen; nothing may block."""
        ...

    def end(self) -> None:
        """The program has ended, or was never begun. Hear what is left, and close all.

        A program may say its last word and die at once; that word counts. Called once.
        """
        ...


class ReadyLine:
    """The plain handshake."""

    __slots__ = ("_heard", "_outcome", "_ours", "_theirs")

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._heard = bytearray()
        self._outcome: Outcome | None = None

    def fds(self) -> Mapping[int, int]:
        return {READY_FD: self._theirs.fileno()}

    def environ(self) -> Mapping[str, str]:
        return {READY_FD_VARIABLE: str(READY_FD)}

    def begin(self, outcome: Outcome) -> None:
        self._theirs.close()
        self._outcome = outcome
        asyncio.get_running_loop().add_reader(self._ours, self._readable)

    def end(self) -> None:
        self._readable()
        self._stop_listening()
        self._theirs.close()
        self._ours.close()

    def _readable(self) -> None:
        if self._outcome is None:
            return
        try:
            chunk = self._ours.recv(LINE_BYTES_MAX)
        except BlockingIOError:
            return
        except ConnectionResetError:
            chunk = b""
        self._heard += chunk
        line, newline, _ = self._heard.partition(b"\n")
        if newline:
            self._conclude(line.decode(errors="replace"))
        elif len(self._heard) > LINE_BYTES_MAX:
            self._conclude(f"failed it sent {LINE_BYTES_MAX} bytes without a line's end")
        elif not chunk:
            # End of file without a word: its exit says more, or start_timeout.
            self._stop_listening()

    def _conclude(self, line: str) -> None:
        outcome = self._outcome
        assert outcome is not None
        self._stop_listening()
        word, _, text = line.strip().partition(" ")
        match word:
            case "" | "ready":
                outcome.ready(text or None)
            case "ignore":
                outcome.ignore()
            case "failed":
                outcome.fail(text)
            case _:
                outcome.fail(f"found {line[:80]!r}, wanted ready, ignore or failed")

    def _stop_listening(self) -> None:
        """The socket stays open: its end of file is how the program learns of our death."""
        if self._outcome is not None:
            asyncio.get_running_loop().remove_reader(self._ours)
            self._outcome = None
