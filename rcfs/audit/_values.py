"""The values of an audit: states of files, numbers by kind and month, findings, and the reports."""

from collections.abc import Mapping
from enum import Enum, StrEnum

import attrs

from rcfs import __version__
from rcfs.pull import KINDS, PullNote


class State(Enum):
    """The state of a content or file."""

    OK = "ok"
    """It is there, whole, and its checksum is right."""
    MISSING = "missing"
    """It is not there."""
    DAMAGED = "damaged"
    """It is there, and its checksum is wrong."""
    REFUSED = "refused"
    """It cannot be read, or a link or something else stands in its place."""


@attrs.frozen
class Held:
    """The state of one content or message."""

    state: State
    """The state."""
    is_told: bool = False
    """Whether a finding about its file was made already."""


class Trouble(StrEnum):
    """The kinds of findings, in the words of the report."""

    MISSING = "missing"
    """The platform has it, or had it at the last pull, and it is not here."""
    DAMAGED = "damaged"
    """It is here, and its checksum is wrong."""
    UNREADABLE = "unreadable"
    """It is here, but it is a link or cannot be read."""
    NOT_LOADED = "never loaded"
    """rcfs never listed it, so that nothing is known of it."""
    UNPROVEN = "not proven"
    """It was to be audited, and nothing tells what should be here."""
    PURGED = "purged since"
    """The platform does not have it any more. That is no fault of the archive."""
    REFUSED = "refused"
    """The login may not read it at the platform."""
    EXTRA = "extra"
    """It is in the copy, and the manifest does not know it."""

    @property
    def is_lack(self) -> bool:
        """Whether an archive with such a finding is not proven to be complete."""
        return self not in (Trouble.PURGED, Trouble.REFUSED, Trouble.EXTRA)


class Basis(StrEnum):
    """How it is known what should be there, in a word for programs."""

    LISTED = "listed"
    """By the platform's list, message by message."""
    COUNTED = "counted"
    """By the platform's total, and its newest messages one by one."""
    INDEX = "index"
    """By the index of this machine, which was not compared with the platform."""
    MANIFEST = "manifest"
    """By what the pulls found at the platform, as the manifest of the copy says."""
    NOTHING = "nothing"
    """Nothing tells it, or the login may not read it."""


@attrs.frozen
class Finding:
    """One thing that an auditor should know."""

    trouble: Trouble
    """Its kind."""
    path: str
    """Path in the tree or in the copy; the directory of an owner if it is about all of it."""
    detail: str = ""
    """More about it, in words; may be empty."""
    count: int = 1
    """Number of files or messages that it stands for."""


@attrs.define
class Row:
    """Numbers of one kind in one month."""

    messages: int = 0
    """Messages that should be here; 0 for recordings, greetings and call logs."""
    messages_here: int = 0
    """Those of them that are here."""
    contents: int = 0
    """Attachments, recordings, greetings or call logs that should be here."""
    contents_here: int = 0
    """Those of them that are here, whole, with the right checksum."""
    damaged: int = 0
    """Contents whose checksum is wrong, or that cannot be read."""
    purged: int = 0
    """Messages or contents that the platform has purged; they are not among those that should be here."""
    size_bytes: int = 0
    """Size of the contents that are here."""

    @property
    def missing(self) -> int:
        """Messages and contents that should be here and are not, or are damaged."""
        return self.messages - self.messages_here + self.contents - self.contents_here

    def count(self, held: Held) -> None:
        """Counts a content that should be here."""
        self.contents += 1
        self.contents_here += held.state is State.OK
        self.damaged += held.state in (State.DAMAGED, State.REFUSED)

    def add(self, other: "Row") -> None:
        """Adds the numbers of `other`."""
        for field in attrs.fields(Row):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@attrs.define
class OwnerReport:
    """The audit of one extension, or of the company."""

    owner: int
    """Internal id of the extension, or `rcfs.model.COMPANY`."""
    name: str
    """Name of its directory."""
    basis: Basis = Basis.NOTHING
    """How it is known which messages should be here."""
    platform_messages: int | None = None
    """All messages of the mailbox at the platform; None if it was not asked."""
    index_messages: int | None = None
    """All messages of the mailbox in the index; None if it was never loaded, or is not looked at."""
    rows: dict[tuple[str, str], Row] = attrs.field(factory=dict)
    """By kind and month."""
    troubles: dict[Trouble, int] = attrs.field(factory=dict)
    """Numbers of the findings, by kind."""

    def row(self, kind: str, month: str) -> Row:
        """The row of a kind and month, made at its first use."""
        return self.rows.setdefault((kind, month), Row())

    def total(self) -> Row:
        """The sum of all rows."""
        return _sum(self.rows)

    def sorted_rows(self) -> list[tuple[str, str, Row]]:
        """(kind, month, row) in the order of reports."""
        order = {kind: number for number, kind in enumerate(KINDS)}
        keys = sorted(self.rows, key=lambda key: (order.get(key[0], len(order)), key[1]))
        return [(*key, self.rows[key]) for key in keys]

    @property
    def is_complete(self) -> bool:
        """Whether all is here that should be."""
        return not self.total().missing and not any(trouble.is_lack for trouble in self.troubles)


def _sum(rows: Mapping[tuple[str, str], Row]) -> Row:
    total = Row()
    for row in rows.values():
        total.add(row)
    return total


@attrs.define
class FileSums:
    """The files of a copy."""

    of_files: int = 0
    """Files that the audit is to look at; 0 if that is not known before."""
    listed: int = 0
    """Files that the manifest lists, and that the audit has looked at."""
    sound: int = 0
    """Those with the right checksum."""
    size_bytes: int = 0
    """Bytes that were read."""
    states: dict[State, int] = attrs.field(factory=dict)
    """Numbers by state."""
    extra: int = 0
    """Files that the manifest does not list."""


@attrs.define
class Summary:
    """A whole audit."""

    begun_s: float
    """When it began, in seconds since 1970 UTC."""
    version: str = __version__
    """Version of rcfs."""
    ended_s: float = 0.0
    """When it ended."""
    account_id: str = ""
    """Decimal account id."""
    account: str = ""
    """Name of the account; may be empty."""
    login: str = ""
    """Directory of the extension that was logged in; empty without a login, or if unknown."""
    server: str = ""
    """Server of the API; empty without one."""
    compared: bool = False
    """Whether the platform was asked."""
    archive: str = ""
    """The directory of the copy; empty for the cache."""
    paths: tuple[str, ...] = ()
    """The paths that were audited; empty for the whole account."""
    wanted: Mapping[str, object] = attrs.field(factory=dict)
    """The conditions of the filter."""
    pulls: tuple[PullNote, ...] = ()
    """The pulls that made the copy, the last one at the end."""
    is_as_pulled: bool = False
    """Whether paths and conditions are those of the last pull."""
    files: FileSums = attrs.field(factory=FileSums)
    """The files of the copy."""
    owners: int = 0
    """Number of owners that were audited."""
    total: Row = attrs.field(factory=Row)
    """The sum of all their rows."""
    kinds: dict[str, Row] = attrs.field(factory=dict)
    """The sums by kind."""
    troubles: dict[Trouble, int] = attrs.field(factory=dict)
    """Numbers of the findings."""
    requests: int = 0
    """Lists of messages that were requested, page by page."""
    limits: tuple[str, ...] = ()
    """Sentences that say what this audit does not look at, or cannot prove."""

    @property
    def is_complete(self) -> bool:
        """Whether all is here that should be."""
        return not self.total.missing and not any(trouble.is_lack for trouble in self.troubles)

    def add(self, report: OwnerReport) -> None:
        """Adds the numbers of an owner; its findings were noted already."""
        self.owners += 1
        for (kind, _month), row in report.rows.items():
            self.kinds.setdefault(kind, Row()).add(row)
            self.total.add(row)
