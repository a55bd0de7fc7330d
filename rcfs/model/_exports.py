"""Exports: message store reports and exports of team messaging, their names, states and archives.

Times are in seconds since 1970-01-01 UTC. A period has whole days, so that its name says exactly what it
holds; its end is not included.
"""

import enum
import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote

import attrs

from rcfs.model._keys import DatasetKey, ReportKey
from rcfs.model._retention import DAY_S
from rcfs.model._times import iso_time

EXPORT_TYPES: Final = ("SMS", "Fax", "VoiceMail", "Pager")
"""Types of messages that a report can be restricted to, in the order of names. Source: PicMessageTypeEnum."""
_MOST_CONTACTS: Final = 30
_MOST_CHATS: Final = 10
"""Most contacts and chats of an export of team messaging. Source: CreateDataExportTaskRequest."""
_MOST_TEAM_S: Final = 184 * DAY_S
"""Longest period of an export of team messaging, in seconds. The platform allows six months: 184 days are six
of the longest. Source: the same schema."""

_MOST_NAME_BYTES: Final = 255
"""Longest name of a directory on Linux."""
_PLAIN: Final = "@.+_-!#$&'*=?^`{|}~"
"""Characters of a contact that its part of the name shows as they are; all may stand in an address."""
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Stand-ins for bytes of an argument that are not UTF-8; neither a name nor a request can hold one."""
_NAME = re.compile(
    r"(?P<first>[0-9]{4}-[0-9]{2}-[0-9]{2}) to (?P<last>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?: (?P<types>(?!contacts |chats )[^ ]+))?"
    r"(?: contacts (?P<contacts>[^ ]+))?(?: chats (?P<chats>[^ ]+))?",
    re.ASCII,
)


class ExportKind(enum.Enum):
    """The kinds of exports; the value is the name of the kind's directory."""

    MESSAGES = "Messages"
    """Message store reports: the messages of all mailboxes with their attachments."""
    TEAM = "Team Messaging"
    """Exports of team messaging, which the platform also calls compliance exports."""


class ExportState(enum.Enum):
    """The state of an export. The first two are rcfs's own; the others have the platform's words."""

    WAITING = "Waiting"
    """rcfs has not asked yet: two other exports run, or there is no connection."""
    ASKED = "Asked"
    """rcfs has asked, and waits for the answer."""
    ACCEPTED = "Accepted"
    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    ATTEMPT_FAILED = "AttemptFailed"
    """The platform tries again."""
    FAILED = "Failed"
    """The platform failed, or refused the export; see `Export.problem`."""
    COMPLETED = "Completed"
    """The archives can be fetched."""
    CANCELLED = "Cancelled"
    EXPIRED = "Expired"
    """The platform no longer has it."""

    @property
    def is_final(self) -> bool:
        """Whether the export does not change any more, except that a completed one expires."""
        return self in _FINAL

    @property
    def is_running(self) -> bool:
        """Whether the platform works on it, or may, so that it counts for the limit of two."""
        return not self.is_final and self is not ExportState.WAITING


_FINAL: Final = frozenset(
    {ExportState.FAILED, ExportState.COMPLETED, ExportState.CANCELLED, ExportState.EXPIRED}
)


def _in_order(types: Iterable[str]) -> tuple[str, ...]:
    """`types` in the order of names, each once; empty for all."""
    wanted = frozenset(types)
    unknown = sorted(wanted.difference(EXPORT_TYPES))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no type of messages; use {', '.join(EXPORT_TYPES)}")
    return () if len(wanted) == len(EXPORT_TYPES) else tuple(t for t in EXPORT_TYPES if t in wanted)


def _sorted_once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(frozenset(values)))


@attrs.frozen
class ExportQuery:
    """The choice that an export holds. Lists are in one order only, so equal queries have the same name.

    Raises:
        ValueError: The platform has no such export; the text says why, as a sentence without a full stop.
    """

    kind: ExportKind
    """The kind."""
    from_s: float
    """Begin of the first day."""
    to_s: float
    """End of the last day, not included."""
    types: tuple[str, ...] = attrs.field(default=(), converter=_in_order)
    """Only messages of these of `EXPORT_TYPES`; empty for all. Always empty for team messaging."""
    contacts: tuple[str, ...] = attrs.field(default=(), converter=_sorted_once)
    """Only what these extensions (ids) or addresses wrote; empty for all. Only for team messaging."""
    chats: tuple[str, ...] = attrs.field(default=(), converter=_sorted_once)
    """Only chats with these ids; empty for all. Only for team messaging."""

    def __attrs_post_init__(self) -> None:
        if self.from_s % DAY_S or self.to_s % DAY_S:
            raise ValueError("an export has whole days, in UTC")
        if not 0 <= self.from_s < self.to_s <= _LAST_S:
            raise ValueError("the last day is before the first, or a day is out of range")
        if self.kind is ExportKind.MESSAGES:
            if self.contacts or self.chats:
                raise ValueError("a report on messages cannot be restricted to contacts or chats")
            return
        if self.types:
            raise ValueError("an export of team messaging cannot be restricted to types of messages")
        if self.to_s - self.from_s > _MOST_TEAM_S:
            raise ValueError("an export of team messaging has at most six months")
        if len(self.contacts) > _MOST_CONTACTS or len(self.chats) > _MOST_CHATS:
            raise ValueError(
                f"an export of team messaging names at most {_MOST_CONTACTS} contacts and {_MOST_CHATS} chats"
            )
        if not all(0 < len(each) <= _MOST_NAME_BYTES for each in (*self.contacts, *self.chats)):
            raise ValueError("a contact or chat is empty or too long")
        if any(_SURROGATE.search(each) for each in (*self.contacts, *self.chats)):
            raise ValueError("a contact or chat is not UTF-8")

    @classmethod
    def of_days(
        cls,
        kind: ExportKind,
        first: str,
        last: str,
        *,
        types: Iterable[str] = (),
        contacts: Iterable[str] = (),
        chats: Iterable[str] = (),
    ) -> "ExportQuery":
        """The query for the days from `first` to `last`, both included, such as ``2026-03-31``.

        Raises:
            ValueError: No such export exists.
        """
        return cls(kind, _day_s(first), _day_s(last) + DAY_S, tuple(types), tuple(contacts), tuple(chats))

    def begun(self, now_s: float) -> "ExportQuery":
        """The same without the days that have not begun at `now_s`, if those are of the present month.

        With them, its name would promise more than the export holds.

        Raises:
            ValueError: The period begins in the future, or ends in a later month.
        """
        today, last = iso_time(now_s)[:10], iso_time(self.to_s - DAY_S)[:10]
        if self.from_s > now_s:
            raise ValueError(f"the period begins in the future; today is {today} in UTC")
        if last <= today:
            return self
        if last[:7] != today[:7]:
            raise ValueError(
                f"the period ends in the future; today is {today} in UTC, which can be its last day"
            )
        return attrs.evolve(self, to_s=_day_s(today) + DAY_S)

    def longer_names(self, now_s: float) -> list[str]:
        """The names of the other queries that `begun` makes this one at `now_s`; empty for most."""
        month = iso_time(now_s)[:7]
        if not 0 < self.to_s - now_s <= DAY_S:
            return []
        ends = (self.to_s + days * DAY_S for days in range(1, 31))  # No month has more days to come.
        return [attrs.evolve(self, to_s=to_s).name for to_s in ends if iso_time(to_s - DAY_S)[:7] == month]

    @classmethod
    def parse(cls, kind: ExportKind, name: str) -> "ExportQuery":
        """The query of that kind whose `name` is `name`.

        Raises:
            ValueError: No query has this name; the text says how to write one.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"a name looks like {_EXAMPLES[kind]!r}")
        query = cls.of_days(
            kind,
            match["first"],
            match["last"],
            types=_parts(match["types"], "+"),
            contacts=map(unquote, _parts(match["contacts"], ",")),
            chats=map(unquote, _parts(match["chats"], ",")),
        )
        if query.name != name:
            raise ValueError(f"write it as {query.name!r}")
        return query

    @property
    def name(self) -> str:
        """Name of its directory, unique among the queries of a kind; ASCII, at most 255 bytes.

        It is ``2026-01-01 to 2026-03-31`` with the days in UTC, both included; types follow, as in ``…
        SMS+Fax``, and contacts and chats, as in ``… contacts 101,anna@example.com chats 4711``. A list that
        makes the name too long is replaced by a digest, and `parse` refuses such a name.
        """
        period = f"{iso_time(self.from_s)[:10]} to {iso_time(self.to_s - DAY_S)[:10]}"
        parts = [period]
        if self.types:
            parts.append("+".join(self.types))
        if self.contacts:
            parts.append(f"contacts {_listed(self.contacts)}")
        if self.chats:
            parts.append(f"chats {_listed(self.chats)}")
        name = " ".join(parts)
        if len(name) <= _MOST_NAME_BYTES:
            return name
        digest = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
        return f"{period} ({len(self.contacts)} contacts, {len(self.chats)} chats, {digest})"


_LAST_S: Final = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
_EXAMPLES: Final = {
    ExportKind.MESSAGES: "2026-01-01 to 2026-03-31 SMS+Fax",
    ExportKind.TEAM: "2026-01-01 to 2026-03-31 contacts anna@example.com chats 4711",
}


def _day_s(day: str) -> float:
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise ValueError(f"{day!r} is no day; a day looks like '2026-03-31'") from None


def _parts(text: str | None, separator: str) -> Sequence[str]:
    return text.split(separator) if text else ()


def _listed(values: Iterable[str]) -> str:
    return ",".join(quote(value, safe=_PLAIN) for value in values)


@attrs.frozen
class ExportArchive:
    """One archive of a completed export."""

    number: int
    """Place in the export, from 0."""
    key: ReportKey | DatasetKey
    """Identity of its bytes."""
    size_bytes: int | None
    """Exact size by the platform's list; None if the list has no usable one."""
    uri: str
    """URI of its bytes on a host that may see the token; empty for the path that `key` has."""

    @property
    def name(self) -> str:
        """Name of its file, such as ``archive-0.zip``."""
        return f"archive-{self.number}.zip"


@attrs.frozen
class Export:
    """An export that somebody wants, and what is known of it."""

    id: str
    """Its id in rcfs: a random text, which stays the same when it is asked for again."""
    query: ExportQuery
    """The choice that it holds."""
    task_id: str
    """The platform's id of the task; empty until it is known."""
    state: ExportState
    """Its state at the last look."""
    asked_s: float
    """When rcfs sent the request; before that, when somebody wanted it first."""
    since_s: float
    """When the state began, by the platform's word, or else when a look found it."""
    next_look_s: float
    """When rcfs looks or asks again; 0.0 for never."""
    archives: tuple[ExportArchive, ...] = ()
    """The archives of a completed export, in the order of their numbers."""
    problem: str = ""
    """The reason of a failure or wait, as a sentence without a full stop; else empty."""

    @property
    def size_bytes(self) -> int:
        """Sum of the known sizes of its archives."""
        return sum(archive.size_bytes or 0 for archive in self.archives)
