"""The times at which the platform deletes messages and recordings by itself.

Each rule is certain or assumed: the account's setting can be read, the other limits are only documented. A
rule that should have deleted a message long ago evidently does not hold for it, and is ignored. Times are
seconds since 1970-01-01 UTC.

Source: "Message Store", "Message Store Exports" and "Call Recordings" of the API's documentation; schema
MessageStoreConfiguration.
"""

import attrs

from rcfs.model._records import Availability, Message

DAY_S = 86_400.0
_SENT_FAX_DAYS = 30
"""Documented number of days that a sent fax is kept."""
RECORDING_DAYS = 90
"""Documented number of days that a recording is kept. An account with HIPAA settings keeps it for 30 days,
which no request tells; and any account keeps at most 100,000 recordings, and drops the oldest."""
_TRASH_DAYS = 5
"""Documented approximate number of days that a deleted message can be restored."""
_GRACE_S = DAY_S
"""How long after its end a message must still exist before its rule is ignored, in seconds: it may have been
deleted since the last sync, or a day later by the platform's calendar."""


@attrs.frozen
class Rule:
    """A rule of the platform: it deletes messages of one kind when they reach an age."""

    type: str
    """Type of the messages; empty for all."""
    days: float
    """The age in days."""
    certain: bool
    """Whether the rule is the account's own setting; else it is documented, and assumed."""
    direction: str = ""
    """Direction of the messages; empty for both."""
    deleted: bool = False
    """Whether the rule is for messages in the trash, whose age counts from their last change; the age of all
    others counts from their creation."""

    def end_s(self, message: Message) -> float | None:
        """When the rule deletes `message`; None if it does not."""
        if self.type not in ("", message.type) or self.direction not in ("", message.direction):
            return None
        if message.availability == Availability.PURGED:
            return None
        if self.deleted and message.availability != Availability.DELETED:
            return None
        since_s = message.modified_s if self.deleted else message.created_s
        return None if since_s is None else since_s + self.days * DAY_S


@attrs.frozen
class End:
    """The deletion of a message or recording."""

    at_s: float
    """When it happens."""
    certain: bool
    """Whether it follows from the account's own setting."""


@attrs.frozen
class Retention:
    """All rules for one account."""

    configured_days: int | None = None
    """Days that faxes and voicemails are kept by the account's setting; None if that is unknown."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of the account's setting, if known, then the documented ones."""
        if self.configured_days is None:
            return _DOCUMENTED
        # SMS and Pager messages have no time limit. Source: schema MessageStoreConfiguration.
        kept = (Rule(kind, self.configured_days, certain=True) for kind in ("VoiceMail", "Fax"))
        return (*kept, *_DOCUMENTED)

    def end_of(self, message: Message, now_s: float) -> End | None:
        """The earliest deletion of `message` by any rule; None without any."""
        ends = [
            End(at_s, rule.certain)
            for rule in self.rules
            if (at_s := rule.end_s(message)) is not None and at_s > now_s - _GRACE_S
        ]
        return min(ends, key=lambda end: end.at_s, default=None)

    def end_of_recording(self, started_s: float | None, now_s: float) -> End | None:
        """The deletion of a recording whose leg began at `started_s`; None if it should be gone already."""
        if started_s is None:
            return None
        at_s = started_s + RECORDING_DAYS * DAY_S
        return End(at_s, certain=False) if at_s > now_s - _GRACE_S else None

    def span_of_recordings_s(self, now_s: float, within_s: float) -> tuple[float, float]:
        """(earliest, latest) start of the recordings that the platform deletes in the next `within_s`."""
        oldest_s = now_s - RECORDING_DAYS * DAY_S
        return oldest_s - _GRACE_S, oldest_s + within_s

    def span_s(self, rule: Rule, now_s: float, within_s: float) -> tuple[float, float] | None:
        """(earliest, latest) creation of what `rule` deletes in the next `within_s`; None if any."""
        if rule.deleted:
            return None
        oldest_s = now_s - rule.days * DAY_S
        return oldest_s - _GRACE_S, oldest_s + within_s


_DOCUMENTED = (
    Rule("Fax", _SENT_FAX_DAYS, certain=False, direction="Outbound"),
    Rule("", _TRASH_DAYS, certain=False, deleted=True),
)
"""The documented rules of all accounts."""
