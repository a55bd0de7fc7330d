"""The catalogue of an account's calls and recordings, which answers in small pieces."""

from collections.abc import Iterator
from typing import Protocol

from rcfs.model import Call, CallMonth, ContentKey, RecordingRow


class CallCatalogue(Protocol):
    """The calls of an account, as they are at the time of each call.

    An owner is the internal id of an extension, or `rcfs.model.COMPANY`. A month is a text such as
    ``2026-11``. All calls but `lines` and `records` take tens of microseconds, and are made in the event
    loop. The numbers of recordings give the order of listings, and never change.
    """

    fallback_s: float
    """Time of nodes whose records have none, in seconds since 1970-01-01 UTC."""

    @property
    def account_id(self) -> str:
        """Decimal account id."""
        ...

    @property
    def has_calls(self) -> bool:
        """Whether the login may read a call log; False if it lacks the scope."""
        ...

    @property
    def has_company(self) -> bool:
        """Whether the login may see something of the company. Call `Root.show` after it has changed."""
        ...

    def is_loaded(self, owner: int, month: str) -> bool:
        """Whether the call log of a month is loaded, by the listing of its owner or of the company."""
        ...

    def months_to_show(self, owner: int) -> list[str]:
        """The present month and the others of the last 90 days, and those of which the index has calls."""
        ...

    def month(self, owner: int, month: str) -> CallMonth | None:
        """The sums of a month; None if the index has no row for it."""
        ...

    def recordings(self, owner: int, month: str, after: int, limit: int) -> list[RecordingRow]:
        """At most `limit` recordings of a month with numbers above `after`, in the order of their numbers."""
        ...

    def recording(self, owner: int, month: str, name: str) -> RecordingRow | None:
        """The recording whose file has that name; None if the month has no such recording."""
        ...

    def recording_by_id(self, recording_id: str) -> RecordingRow | None:
        """The recording with that id; None if the index does not have it."""
        ...

    def links(self, folder: int, after: int, limit: int) -> list[RecordingRow]:
        """At most `limit` recordings that a folder of a mailbox links to; `after` as in `recordings`."""
        ...

    def link(self, folder: int, name: str) -> RecordingRow | None:
        """The recording of that name that a folder of a mailbox links to; None without such a link."""
        ...

    def call(self, number: int) -> Call | None:
        """The call with that number in the index (`RecordingRow.call`); None when it is gone."""
        ...

    def lines(self, owner: int, month: str) -> Iterator[str]:
        """The `ShelvedCall.line` of each call of a month, oldest first. For a worker thread."""
        ...

    def records(self, owner: int, month: str) -> Iterator[str]:
        """The `ShelvedCall.raw` of each call of a month, oldest first. For a worker thread."""
        ...

    def learned_bytes(self, key: ContentKey) -> int | None:
        """The exact size of a content that was fetched before, in bytes; None if it never was."""
        ...
