"""Selects the messages for a list, a synchronisation or a deletion."""

import math
from collections.abc import Collection
from functools import partial
from typing import Any

import attrs

from rcfs.model import Availability
from rcfs.simulator._params import Query
from rcfs.simulator._wire import bad_parameter
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._mailbox import Criterion
from rcfs.simulator.account._people import EXTENSION_TYPES, SimExtension
from rcfs.simulator.account._plan import DAY_S, SimMessage

AVAILABILITIES = tuple(Availability)
DIRECTIONS = ("Inbound", "Outbound")
MESSAGE_TYPES = ("Fax", "SMS", "VoiceMail", "Pager")
READ_STATUSES = ("Read", "Unread")


@attrs.frozen
class MessageFilter:
    """A condition on messages; an empty set or string imposes none."""

    date_from: float
    """Earliest creation time, seconds since 1970 UTC."""
    date_to: float
    """Latest creation time."""
    availability: frozenset[str]
    """Admitted ``availability`` of the record, at least one."""
    directions: frozenset[str]
    """Admitted ``direction`` of the record."""
    types: frozenset[str]
    """Admitted ``type`` of the record."""
    read_statuses: frozenset[str]
    """Admitted ``readStatus`` of the record."""
    conversation: str
    """Decimal id of its conversation."""
    phone_number: str
    """Number of one of its parties."""
    distinct: bool
    """Only the newest message of each conversation, and none without a conversation."""
    of_others: bool
    """Only messages that belong to another extension: none, as no mailbox here is shared."""

    @classmethod
    def from_query(cls, query: Query, now_s: float, owner: SimExtension) -> "MessageFilter":
        """The filter of a message list or synchronisation.

        Args:
            query: The query of the request.
            now_s: Default for ``dateTo``.
            owner: The owner of the mailbox.

        Raises:
            ApiError: 400, a parameter is invalid.
        """
        date_to = query.moment("dateTo", now_s)
        types = query.choices("messageType", MESSAGE_TYPES)
        return cls(
            date_from=query.moment("dateFrom", date_to - DAY_S),
            date_to=date_to,
            availability=query.choices("availability", AVAILABILITIES) or frozenset({Availability.ALIVE}),
            directions=query.choices("direction", DIRECTIONS),
            types=types,
            read_statuses=query.choices("readStatus", READ_STATUSES),
            conversation=query.text("conversationId"),
            phone_number=query.text("phoneNumber"),
            distinct=flag(query, "distinctConversations"),
            of_others=_asks_for_others(query, owner),
        )

    def admits(self, message: SimMessage, account: SimAccount) -> bool:
        """Whether `message` satisfies the filter, apart from `distinct`, which concerns the whole list."""
        return (
            not self.of_others
            and self.date_from <= created_s(message) <= self.date_to
            and message.availability in self.availability
            and (not self.directions or message.direction in self.directions)
            and (not self.types or message.type in self.types)
            and (not self.read_statuses or message.read_status in self.read_statuses)
            and (not self.conversation or self.conversation == account.conversation_of(message))
            and (not self.phone_number or self.phone_number in _numbers(message, account))
        )

    def includes(self, start_s: float, stop_s: float) -> bool:
        """Whether all of ``[start_s, stop_s]`` lies within the dates."""
        return self.date_from <= start_s and stop_s <= self.date_to

    def criterion(self, account: SimAccount) -> Criterion:
        """The filter without the dates, and without `distinct`."""
        ageless = attrs.evolve(self, date_from=-math.inf, date_to=math.inf, distinct=False)
        only_states = attrs.evolve(_EVERYTHING, availability=self.availability)
        admits = None if ageless == only_states else partial(ageless.admits, account=account)
        return Criterion(ageless, self.availability, admits)


_EVERYTHING = MessageFilter(
    date_from=-math.inf,
    date_to=math.inf,
    availability=frozenset(AVAILABILITIES),
    directions=frozenset(),
    types=frozenset(),
    read_statuses=frozenset(),
    conversation="",
    phone_number="",
    distinct=False,
    of_others=False,
)
"""The filter that admits all messages."""


def created_s(message: SimMessage) -> float:
    """Creation time of `message`, which the platform knows even if the record lacks it."""
    return message.last_modified if message.created_s is None else message.created_s


def flag(query: Query, name: str, *, default: bool = False) -> bool:
    """The value of the parameter `name`, ``true`` or ``false``, or `default`.

    Raises:
        ApiError: 400, it has another value.
    """
    value = query.text(name, str(default).lower())
    if value not in ("true", "false"):
        raise bad_parameter(name, value)
    return value == "true"


def _asks_for_others(query: Query, owner: SimExtension) -> bool:
    """Whether the owner filters exclude the messages of `owner`.

    ``voicemailOwner`` is the older name of ``owner``.

    Raises:
        ApiError: 400, a type is unknown.
    """
    types = query.choices("ownerExtensionType", EXTENSION_TYPES)
    owners = {query.text(name) for name in ("owner", "voicemailOwner")} - {""}
    mine = {"Any", "Personal", str(owner.id)}
    return bool((types and owner.type not in types) or any(not mine & set(o.split(",")) for o in owners))


def _numbers(message: SimMessage, account: SimAccount) -> Collection[str]:
    """The phone numbers of all parties of `message`."""
    fields = account.draft(message).fields
    to: Any = fields.get("to")
    parties = [fields.get("from"), *(to if isinstance(to, list) else [])]
    return {
        str(party["phoneNumber"]) for party in parties if isinstance(party, dict) and "phoneNumber" in party
    }
