"""The logins of the pool as lines for people."""

from collections.abc import Sequence

from rcfs.status._values import PoolLoginStatus

_HEALED = ("refused", "unusable")
"""The states in which other credentials help."""


def pool_lines(pool: Sequence[PoolLoginStatus]) -> list[str]:
    """Whether rcfs fetches with each login, else why not and what to do."""
    return [f"{row.name}: {_state(row)}" for row in pool]


def _state(row: PoolLoginStatus) -> str:
    if row.state == "unused":
        return "not used yet"
    if row.state != "good":
        remedy = f"; new credentials: rcfs login --pool {row.name}" if row.state in _HEALED else ""
        return f"not used, {row.state}: {row.because or ''}{remedy}"
    closed = f", may not read {row.closed:,} mailboxes or owners of recordings" if row.closed else ""
    return f"good, {row.contents:,} contents fetched{closed}"
