"""When the platform drops messages by itself, as far as that is known.

What is certain is told from what is assumed: the account's setting can be read, the other limits are only
documented. A rule that would have dropped a message long ago evidently does not hold for it, and is passed
over. Times are seconds since 1970-01-01 UTC.

Source: "Message Store" and "Message Store Exports" of the API's documentation; schema
MessageStoreConfiguration.
"""

from collections.abc import Iterator

import attrs

from rcfs.model._records import Availability, Message

DAY_S = 86_400.0
_SENT_FAX_DAYS = 30
"""Days that a sent fax is kept, as documented."""
_TRASH_DAYS = 5
"""Days that a deleted message can be restored, as documented, about."""
_GRACE_S = DAY_S
"""A message that is there for so long after its end was spared by the rule: it may have gone since the last
sync, or on another day by the platform's calendar."""


@attrs.frozen
class Rule:
    """Drops messages of one kind when they have reached an age."""

    type: str
    """Type of the messages; empty for all."""
    days: float
    """The age in days."""
    certain: bool
    """Whether the account's own setting says so; else it is documented, and assumed."""
    direction: str = ""
    """Direction of the messages; empty for both."""
    deleted: bool = False
    """Whether it is about messages in the trash, whose age counts from their last change, and not from their
    creation."""

    def end_s(self, message: Message) -> float | None:
        """When the rule drops `message`; None when it does not."""
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
    """When a message goes."""

    at_s: float
    """The moment."""
    certain: bool
    """Whether it follows from the account's own setting."""


@attrs.frozen
class Retention:
    """All rules for one account."""

    configured_days: int | None = None
    """Days that faxes and voicemails are kept, as the account's setting says; None when that is unknown."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules."""
        return (*self._configured(), *_DOCUMENTED)

    def end_of(self, message: Message, now_s: float) -> End | None:
        """When `message` is dropped; None when no rule says so."""
        ends = [
            End(at_s, rule.certain)
            for rule in self.rules
            if (at_s := rule.end_s(message)) is not None and at_s > now_s - _GRACE_S
        ]
        return min(ends, key=lambda end: end.at_s, default=None)

    def span_s(self, rule: Rule, now_s: float, within_s: float) -> tuple[float, float] | None:
        """Between which times the messages were created that `rule` drops in `within_s`; None for any."""
        if rule.deleted:
            return None
        oldest_s = now_s - rule.days * DAY_S
        return oldest_s - _GRACE_S, oldest_s + within_s

    def _configured(self) -> Iterator[Rule]:
        if self.configured_days is not None:
            # SMS and Pager messages have no time limit. Source: schema MessageStoreConfiguration.
            yield Rule("VoiceMail", self.configured_days, certain=True)
            yield Rule("Fax", self.configured_days, certain=True)


_DOCUMENTED = (
    Rule("Fax", _SENT_FAX_DAYS, certain=False, direction="Outbound"),
    Rule("", _TRASH_DAYS, certain=False, deleted=True),
)
"""What holds for all accounts by the documentation."""
