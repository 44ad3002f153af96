"""Settings that are good one by one and can't hold together. Pure."""

from collections.abc import Iterator

from osupervisor.config.address import parse_address
from osupervisor.config.catalogue import CATALOGUE, value_of
from osupervisor.config.errors import ContradictionError
from osupervisor.config.settings import Settings

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Hosts that this machine alone can reach."""


def contradictions(settings: Settings) -> Iterator[ContradictionError]:
    """Each with the key to change, and without its file. Nothing starts with one of them."""
    s = settings
    if s.listen.tcp and not s.listen.token_file:
        yield ContradictionError(
            "listen.token_file",
            "listen.tcp",
            "no token file, with listen.tcp set",
            "a file with the token that clients must show",
            "make one: (umask 077; openssl rand -hex 32 > token), and name it here",
        )
    if s.health.suspicion_s > s.health.silence_s:
        yield _above(s, "health.suspicion_s", "health.silence_s", "suspicion comes before a kill")
    if s.health.ping_interval_s > s.health.silence_s:
        yield _above(s, "health.ping_interval_s", "health.silence_s", "pings must come in between")
    reason = "waits grow from the one to the other"
    if s.supervision.backoff_initial_s > s.supervision.backoff_max_s:
        yield _above(s, "supervision.backoff_initial_s", "supervision.backoff_max_s", reason)
    if s.heart.backoff_initial_s > s.heart.backoff_max_s:
        yield _above(s, "heart.backoff_initial_s", "heart.backoff_max_s", reason)


def warnings(settings: Settings) -> Iterator[str]:
    """What is allowed and probably not meant, a sentence each, with its keys."""
    s = settings
    if s.durability == "everysec" and s.wal.sync_interval_s > 1:
        yield (
            f"wal.sync_interval_s is {s.wal.sync_interval_s:g} s: a power cut loses as much, "
            "though durability is called everysec"
        )
    needed = s.checkpoint.wal_bytes * s.checkpoint.kept
    if s.tape.bytes_max < needed:
        yield (
            f"tape.bytes_max can't be kept: the log behind {s.checkpoint.kept} checkpoints "
            f"(checkpoint.kept) of checkpoint.wal_bytes each is up to {needed} bytes, and stays"
        )
    for key, address, risk in (
        ("listen.tcp", s.listen.tcp, "what passes, the token too, isn't encrypted"),
        ("metrics.http", s.metrics.http, "whoever reaches it may read the metrics"),
    ):
        if address and parse_address(address)[0] not in LOOPBACK:
            yield f"{key} is {address}, which other machines may reach: {risk}"
    if s.brain.standbys == 0:
        yield "brain.standbys is 0: after a death clients wait for a cold start"
    if s.op.timeout_s > s.op.wait_timeout_s:
        yield (
            "op.wait_timeout_s is below op.timeout_s: behind one slow op, waiting calls time out "
            "before that op does"
        )


def _above(settings: Settings, key: str, other: str, reason: str) -> ContradictionError:
    mine, its = CATALOGUE[key], CATALOGUE[other]
    limit = its.text(value_of(settings, its))
    found = mine.text(value_of(settings, mine))
    return ContradictionError(
        key, other, found, f"at most {other}, {limit}, as {reason}", f"lower it, or raise {other}"
    )
