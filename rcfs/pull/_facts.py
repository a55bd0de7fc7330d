"""The facts that a manifest has beside the checksums, so that an audit needs nothing but the copy.

Each is a comment for sha256sum(1). The first stands before the line of a file, the others before all files:

    # of 400123/101/6424569004/6424569004 48213 101 Voicemail 2026-11
    # had {"owner": 101, "name": "101 Jane Smith", "at_s": 1796083200, "rows": [["Voicemail", "2026-11", 12, 12, 0]]}
    # pull {"at_s": 1796083200, "ended_s": 1796083260, "outcome": "done", ...}

`of` gives a file its key, size, owner, kind and month. `had` gives the numbers of messages and contents that a
pull found at the platform. `pull` tells of one pull: when, by which login, of what, and with what success.
"""  # noqa: E501 - the lines are as long as in the file

import json
import re
from typing import Annotated, Final, TypeVar

import attrs
import msgspec

from rcfs.model import CALLS_VIEW, RECORDINGS_VIEW, Message, is_month, month_of
from rcfs.tree import GREETINGS_VIEW, TYPE_VIEWS

OTHER_KIND: Final = "Other"
"""Kind of the messages of a type that rcfs does not know."""
NO_MONTH: Final = "-"
"""Month of what has no time."""
KINDS: Final = (*TYPE_VIEWS.values(), OTHER_KIND, RECORDINGS_VIEW, GREETINGS_VIEW, CALLS_VIEW)
"""All kinds, as the directories of the tree are called, in the order of reports."""
FACTS_EDITION: Final = 1
"""Version of these lines: a new one makes the next pull look at each file of a copy again."""
MOST_REASONS: Final = 200
"""Failures that the note of a pull names; it counts the others."""
LONGEST_LINE: Final = 1 << 20
"""Longest line of a manifest in characters: the line of a mailbox of a century has a third of that."""

_OF = re.compile(
    r"# of (?P<key>\S{1,600}) (?P<size>[0-9]{1,18}) (?P<owner>[0-9]{1,18}) (?P<kind>\S{1,40})"
    r" (?P<month>\S{1,10})\n"
)
_RECORD_KEY = re.compile(r"[0-9]+/[0-9]+/[0-9]+", re.ASCII)
_HAD = "# had "
_PULL = "# pull "

_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
_Moment = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
"""Seconds since 1970 UTC, up to a year that datetime can show."""
Condition = bool | float | str | list[str]
"""Value of a condition of a filter. Not nested: code that walks through such values recurses."""
T = TypeVar("T")


@attrs.frozen
class Fact:
    """The identity of a file of a copy."""

    key: str
    """Path of the key of a content; of a ``message.json`` as `record_key`."""
    owner: int
    """Extension in whose directory it is, or `rcfs.model.COMPANY`."""
    kind: str
    """One of `KINDS`."""
    month: str
    """Month such as ``2026-11`` in which it was created or began; `NO_MONTH` for none."""


@attrs.frozen
class HadRow:
    """Numbers of one kind in one month at the platform."""

    kind: str
    """One of `KINDS`."""
    month: str
    """As in `Fact`."""
    messages: _Count
    """Number of messages; 0 for recordings and greetings."""
    contents: _Count
    """Number of attachments, recordings or greetings that the platform still had."""
    gone: _Count
    """Number of those that it had purged before rcfs fetched them."""


@attrs.frozen
class Had:
    """The findings of pulls at the platform, for one owner."""

    owner: _Count
    """As in `Fact`."""
    name: str
    """Name of its directory in the copy."""
    at_s: _Moment
    """When a pull last looked, in seconds since 1970 UTC."""
    rows: tuple[HadRow, ...]
    """By kind and month; of several pulls the greatest numbers."""


@attrs.frozen(kw_only=True)
class PullNote:
    """One pull into a copy."""

    at_s: _Moment
    """When it began, in seconds since 1970 UTC."""
    ended_s: _Moment = 0.0
    """When it ended; 0.0 if it was interrupted, or still runs."""
    outcome: str = "interrupted"
    """``done``, ``partial`` or ``interrupted``."""
    version: str = ""
    """Version of rcfs."""
    account: str = ""
    """Name of the account."""
    login: str = ""
    """Directory of the extension that was logged in; empty if unknown."""
    server: str = ""
    """Server of the API."""
    paths: tuple[str, ...] = ()
    """The paths that it was to copy; the empty one is the whole account."""
    wanted: dict[str, Condition] = attrs.field(factory=dict)
    """The conditions of its filter, without those that were not set."""
    lines: _Count = 0
    """Files in the manifest at its end."""
    failed: _Count = 0
    """Files and collections that could not be copied."""
    reasons: tuple[tuple[str, str], ...] = ()
    """(path, reason) of the first of these."""
    closed: tuple[tuple[str, str], ...] = ()
    """(path, reason) of what the login may not read."""

    @property
    def is_everything(self) -> bool:
        """Whether it was to copy the whole account."""
        return "" in self.paths and not self.wanted


def record_key(account_id: str, owner: int, message_id: int) -> str:
    """The key that a ``message.json`` has in a manifest."""
    return f"{account_id}/{owner}/{message_id}"


def is_record_key(key: str) -> bool:
    """Whether a key is one of a ``message.json``; those of contents have another form."""
    return _RECORD_KEY.fullmatch(key) is not None


def kind_of_message(message: Message) -> str:
    """The kind of a message."""
    return TYPE_VIEWS.get(message.type, OTHER_KIND)


def month_of_time(moment_s: float | None) -> str:
    """The month of a time in seconds since 1970 UTC; `NO_MONTH` for None and for times without a month."""
    try:
        month = NO_MONTH if moment_s is None else month_of(moment_s)
    except (ValueError, OverflowError, OSError):
        return NO_MONTH
    return month if is_month(month) else NO_MONTH


def fact_line(fact: Fact, size_bytes: int) -> str:
    """The line that gives the next file this fact and size."""
    return f"# of {fact.key} {size_bytes} {fact.owner} {fact.kind} {fact.month}\n"


def parse_fact(text: str) -> tuple[Fact, int] | None:
    """(fact, size in bytes) of such a line; None for any other line."""
    match = _OF.fullmatch(text)
    if match is None or match["kind"] not in KINDS:
        return None
    if match["month"] != NO_MONTH and not is_month(match["month"]):
        return None
    return Fact(match["key"], int(match["owner"]), match["kind"], match["month"]), int(match["size"])


def had_line(had: Had) -> str:
    """The line that notes `had`."""
    rows = [[row.kind, row.month, row.messages, row.contents, row.gone] for row in had.rows]
    fields = {"owner": had.owner, "name": had.name, "at_s": had.at_s, "rows": rows}
    return f"{_HAD}{json.dumps(fields)}\n"


def parse_had(text: str) -> Had | None:
    """The note of such a line; None for any other line, and for one that makes no sense."""
    found = _decoded(text, _HAD, _HadFields)
    if found is None:
        return None
    rows = [HadRow(*row) for row in found.rows]
    known = tuple(row for row in rows if row.kind in KINDS and (row.month == NO_MONTH or is_month(row.month)))
    return Had(found.owner, found.name, found.at_s, known)


def pull_line(note: PullNote) -> str:
    """The line that notes a pull."""
    return f"{_PULL}{json.dumps(attrs.asdict(note, filter=lambda _field, value: bool(value)))}\n"


def parse_pull(text: str) -> PullNote | None:
    """The note of such a line; None for any other line, and for one that makes no sense."""
    return _decoded(text, _PULL, PullNote)


@attrs.frozen
class _HadFields:
    owner: _Count
    name: str
    at_s: _Moment
    rows: list[tuple[str, str, _Count, _Count, _Count]]


def _decoded(text: str, beginning: str, kind: type[T]) -> T | None:
    if not (text.startswith(beginning) and text.endswith("\n")):
        return None
    try:
        return msgspec.json.decode(text[len(beginning) :].encode(), type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
