"""A record of every request, so that tests and benchmarks can assert on requests and not only on results."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

MAX_ENTRIES = 200_000
"""Entries kept: over three days of an account used to the full (50 light requests a minute), in roughly
150 MB; `JournalSummary.forgotten` counts the entries dropped beyond that."""


@attrs.define(eq=False)
class Entry:
    """One request; its fields are filled in while it is answered."""

    seq: int
    """Number of the request, from 1; clearing the journal does not reset it."""
    time_s: float
    """Time when head and body had arrived, in seconds since the simulator started."""
    origin: str
    """``platform``, ``media`` or ``foreign``."""
    method: str
    """HTTP method."""
    path: str
    """Path without query."""
    query: str
    """Raw query; the value of a token is replaced by ``***``."""
    range: str
    """``Range`` header; empty when absent."""
    duplicate_in_flight: bool
    """Whether an identical GET of the same login was still unanswered when it came."""
    has_token: bool
    """Whether it carried an ``Authorization`` header, or a token in its query."""
    group: str = ""
    """Usage plan group; empty if the request matches no operation."""
    operation: str = ""
    """``operationId`` of the official description; empty for an unknown path."""
    user: str = ""
    """Extension id of the login; empty without a login."""
    client: str = ""
    """Client id of the login; empty without a login."""
    status: int | None = None
    """Status of the answer; None until one is sent, and if the connection was cut before."""
    bytes_sent: int = 0
    """Bytes of the body handed to the connection, before chunked framing."""
    remaining: int | None = None
    """Requests left in its budget afterwards; None for a request that no budget counts."""
    in_penalty: bool = False
    """Whether it arrived during a penalty, which it restarted."""
    fault: str = ""
    """Kind of the fault applied to it; empty for none."""
    violation: str = ""
    """The rules for clients that it breaks although it may be answered, in words; empty for none."""
    done: bool = False
    """Whether its answer has ended in any way, or its last byte is being sent."""


@attrs.frozen
class JournalSummary:
    """Counts over the entries that are kept."""

    requests: int
    """All requests."""
    by_operation: Mapping[str, Mapping[str, int]]
    """``operationId`` → status (``-`` for none) → requests."""
    content_requests: int
    """GET requests for a content, whatever the answer."""
    distinct_contents: int
    """Number of different paths among them, that is, different attachments."""
    limited: int
    """Answers of 429 that the rate limiter gave, and no fault."""
    in_penalty: int
    """Requests that arrived during a penalty."""
    duplicates_in_flight: int
    """Requests sent while an identical one was still being answered."""
    heads: int
    """HEAD requests."""
    tokens_abroad: int
    """Requests that carried a token to the foreign host."""
    violations: int
    """Requests that break a rule for clients: sends and changes that are repeated or that nobody can want, a
    third export at once, polls in a hurry."""
    forgotten: int
    """Entries dropped because there were too many; above 0 the other figures are too low."""


class Journal:
    """The entries in the order of arrival, oldest first, at most `max_entries` of them."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._entries: deque[Entry] = deque(maxlen=max_entries)
        self._last_seq = 0
        self._forgotten = 0
        self._in_flight: Counter[tuple[str, str, str, str]] = Counter()
        self._keys: dict[Entry, tuple[str, str, str, str]] = {}

    def open(
        self, *, time_s: float, origin: str, method: str, path: str, query: str, range_: str, login: str
    ) -> Entry:
        """A new entry for a request that has just arrived.

        Args:
            time_s: Seconds since the simulator started.
            origin: ``platform``, ``media`` or ``foreign``.
            method: HTTP method.
            path: Path without query.
            query: Raw query, already without tokens.
            range_: ``Range`` header, or empty.
            login: Distinguishes logins; it is compared and never shown.
        """
        key = (path, query, range_, login)
        self._last_seq += 1
        entry = Entry(
            seq=self._last_seq,
            time_s=time_s,
            origin=origin,
            method=method,
            path=path,
            query=query,
            range=range_,
            duplicate_in_flight=method == "GET" and self._in_flight[key] > 0,
            has_token=bool(login),
        )
        if method == "GET":
            self._in_flight[key] += 1
            self._keys[entry] = key
        if len(self._entries) == self._entries.maxlen:
            self._forgotten += 1
        self._entries.append(entry)
        return entry

    def close(self, entry: Entry) -> None:
        """Note that the answer of `entry` has ended; a second call does nothing."""
        entry.done = True
        key = self._keys.pop(entry, None)
        if key is not None:
            self._in_flight[key] -= 1
            if not self._in_flight[key]:
                del self._in_flight[key]

    def clear(self) -> None:
        """Forget all entries, so that counting starts at zero; requests in flight stay known as such."""
        self._entries.clear()
        self._forgotten = 0

    def entries(self, *, since: int = 0, operation: str = "", group: str = "") -> list[Entry]:
        """The entries after number `since`, only of `operation` and `group` where these are not empty."""
        return [
            entry
            for entry in self._entries
            if entry.seq > since
            and (not operation or entry.operation == operation)
            and (not group or entry.group == group)
        ]

    def violations(self) -> list[str]:
        """A line for each request that breaks a rule for clients, oldest first."""
        return [
            f"{entry.method} {entry.path}{'?' if entry.query else ''}{entry.query}: {entry.violation}"
            for entry in self._entries
            if entry.violation
        ]

    def summary(self, content_operations: Iterable[str]) -> JournalSummary:
        """Counts over all entries; `content_operations` are the operationIds that answer with a content.

        It takes up to a second with very many entries, and may run in a thread.
        """
        entries, contents = list(self._entries), frozenset(content_operations)
        by_operation: dict[str, Counter[str]] = {}
        for entry in entries:
            status = "-" if entry.status is None else str(entry.status)
            by_operation.setdefault(entry.operation, Counter())[status] += 1
        content_paths = [e.path for e in entries if e.operation in contents and e.method == "GET"]
        return JournalSummary(
            requests=len(entries),
            by_operation=by_operation,
            content_requests=len(content_paths),
            distinct_contents=len(set(content_paths)),
            limited=sum(entry.status == 429 and not entry.fault for entry in entries),
            in_penalty=sum(entry.in_penalty for entry in entries),
            duplicates_in_flight=sum(entry.duplicate_in_flight for entry in entries),
            heads=sum(entry.method == "HEAD" for entry in entries),
            tokens_abroad=sum(entry.has_token and entry.origin == "foreign" for entry in entries),
            violations=sum(bool(entry.violation) for entry in entries),
            forgotten=self._forgotten,
        )


def as_json(value: Entry | JournalSummary) -> dict[str, Any]:
    """`value` as a JSON object, with its field names."""
    return attrs.asdict(value)
