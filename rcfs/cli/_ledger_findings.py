"""The findings of `rcfs doctor` about the server of the shared quota ledger."""

from collections.abc import Iterator
from contextlib import closing
from time import monotonic

from rcfs.cli._findings import Finding, State, problem_of
from rcfs.config import Settings, read_ledger_password
from rcfs.errors import RcfsError
from rcfs.model import LedgerAddress
from rcfs.store import BookUpdate, ServerConnection

_NAME = "ledger server"
_SLOW_S = 0.2
"""Time to an answer that people notice, in seconds: opening a file that is not cached waits for one."""


def ledger_findings(settings: Settings, address: LedgerAddress) -> Iterator[Finding]:
    """Asks the server for its state, and writes a trial value."""
    try:
        connection = ServerConnection(address, read_ledger_password(settings), "trial")
        with closing(connection):
            connection.load("doctor", None, "", 0)
            begun_s = monotonic()
            held = connection.load("doctor", None, "", 0)
            answered_s = monotonic() - begun_s
            at = held.generation, held.version
            connection.store("doctor", None, BookUpdate(at, ("trial", held.version + 1), 0.0, b"{}"))
            info = connection.info()
    except RcfsError as exc:
        yield problem_of(_NAME, exc)
        return
    name, version = (
        ("Valkey", info.get("valkey_version"))
        if "valkey_version" in info
        else (
            "Redis",
            info.get("redis_version", "of an unknown version"),
        )
    )
    detail = f"{address} answers within {answered_s * 1000:.1f} ms ({name} {version})"
    if answered_s > _SLOW_S:
        yield Finding(_NAME, State.NOTE, detail, "opening files waits for it; choose a server that is nearer")
    else:
        yield Finding(_NAME, State.OK, detail)
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory", 0) and policy != "noeviction":
        lost = "the ledger" if policy.startswith("allkeys") else "the list of a pull with --join"
        advice = f"set maxmemory-policy noeviction there; else it may drop {lost}"
        yield Finding(_NAME, State.PROBLEM, f"maxmemory-policy is {policy}", advice)
    if not info.get("aof_enabled"):
        advice = "set appendonly yes there; else a restart loses what no running mount remembers"
        yield Finding(_NAME, State.NOTE, "keeps nothing safely on its disk", advice)
