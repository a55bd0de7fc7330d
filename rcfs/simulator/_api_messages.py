"""Message store: the list with its filters, single messages, and synchronisation."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from rcfs.model import Availability
from rcfs.simulator._account_plan import SimMessage
from rcfs.simulator._backend import EXTENSION_PATH, LIGHT, Call, Operation
from rcfs.simulator._params import Query, iso_time, make_page
from rcfs.simulator._wire import Answer, ApiError, bad_parameter, json_answer, not_found

STORE_PATH = EXTENSION_PATH + "/message-store"

DAY_S = 86_400.0
"""What dateFrom lies before dateTo when it is left out, in seconds (parameter dateFrom of listMessages)."""

SYNC_OVERLAP_S = 5.0
"""How far an ISync looks back beyond its token, in seconds: so duplicates are normal, as documented."""

UNPLAYED_FILTERS = ("distinctConversations", "voicemailOwner", "ownerExtensionType")
"""Documented filters that are refused here; no client of the simulator uses them."""

AVAILABILITIES = tuple(Availability)
DIRECTIONS = ("Inbound", "Outbound")
MESSAGE_TYPES = ("Fax", "SMS", "VoiceMail", "Pager")
READ_STATUSES = ("Read", "Unread")


@attrs.frozen
class _Filter:
    """Which messages a list shows; the record is built only where a filter looks into it."""

    date_from: float
    date_to: float
    availability: frozenset[str]
    directions: frozenset[str]
    types: frozenset[str]
    read_statuses: frozenset[str]
    conversation: str
    phone_number: str

    @classmethod
    def from_query(cls, query: Query, now_s: float) -> "_Filter":
        """The filter of a message list.

        Raises:
            ApiError: 400, a parameter makes no sense.
        """
        query.refuse(UNPLAYED_FILTERS)
        date_to = query.moment("dateTo", now_s)
        return cls(
            date_from=query.moment("dateFrom", date_to - DAY_S),
            date_to=date_to,
            availability=query.choices("availability", AVAILABILITIES) or frozenset({Availability.ALIVE}),
            directions=query.choices("direction", DIRECTIONS),
            types=query.choices("messageType", MESSAGE_TYPES),
            read_statuses=query.choices("readStatus", READ_STATUSES),
            conversation=query.text("conversationId"),
            phone_number=query.text("phoneNumber"),
        )

    def admits(self, message: SimMessage, record: Callable[[], dict[str, Any]]) -> bool:
        """Whether `message`, whose `record` can be built, is shown."""
        # A record may lack its creation time, but the platform knows when the message came.
        created_s = message.last_modified if message.created_s is None else message.created_s
        if not (
            self.date_from <= created_s <= self.date_to
            and message.availability in self.availability
            and (not self.directions or message.direction in self.directions)
            and (not self.types or message.type in self.types)
            and (not self.read_statuses or message.read_status in self.read_statuses)
        ):
            return False
        if self.conversation and not _in_conversation(record(), self.conversation):
            return False
        return not self.phone_number or self.phone_number in _numbers(record())


def list_messages(call: Call) -> Answer:
    """A page of the mailbox, newest first."""
    extension = call.mailbox()
    now_s = call.backend.account_time()
    wanted = _messages(call, extension.id, _Filter.from_query(call.query, now_s))
    # The time range must not move between the pages, so the URIs say what was left out.
    date_to = call.query.text("dateTo") or iso_time(now_s)
    date_from = call.query.text("dateFrom") or iso_time(call.query.moment("dateTo", now_s) - DAY_S)
    page = make_page(
        wanted,
        call.query,
        _mailbox_uri(call, extension.id) + "/message-store",
        {"dateFrom": date_from, "dateTo": date_to},
    )
    return json_answer(
        {
            "uri": page.uri,
            "records": [_record(call, message) for message in page.items],
            "paging": page.paging,
            "navigation": page.navigation,
        }
    )


def read_message(call: Call) -> Answer:
    """One message, whatever its availability."""
    extension = call.mailbox()
    return json_answer(_record(call, find_message(call, extension.id)))


def sync_messages(call: Call) -> Answer:
    """All messages of a range (FSync), or what has changed since a token (ISync)."""
    extension = call.mailbox()
    now_s = call.backend.account_time()
    match call.query.text("syncType", "FSync"):
        case "FSync":
            records, older = _full_sync(call, extension.id, now_s)
            sync_type = "FSync"
        case "ISync":
            records, older = _changes(call, extension.id), False
            sync_type = "ISync"
        case other:
            raise bad_parameter("syncType", other)
    return json_answer(
        {
            "uri": call.backend.endpoints.platform_url + call.target,
            "records": records,
            "syncInfo": {
                "syncType": sync_type,
                "syncToken": _seal(call, extension.id, now_s),
                "syncTime": iso_time(now_s),
                "olderRecordsExist": older,
            },
        }
    )


def find_message(call: Call, extension_id: int) -> SimMessage:
    """The message that the path names.

    Raises:
        ApiError: 404, there is none in this mailbox.
    """
    text = call.path["message_id"]
    if not (text.isascii() and text.isdecimal()):
        raise bad_parameter("messageId", text)
    message = call.backend.account.message(extension_id, int(text))
    if message is None:
        raise not_found("messageId")
    return message


def _full_sync(call: Call, extension_id: int, now_s: float) -> tuple[list[dict[str, Any]], bool]:
    """The records of an FSync, newest first, and whether recordCount has cut off older ones."""
    wanted = _messages(call, extension_id, _Filter.from_query(call.query, now_s))
    count = call.query.positive("recordCount", max(1, len(wanted)))
    return [_record(call, message) for message in wanted[:count]], len(wanted) > count


def _changes(call: Call, extension_id: int) -> list[dict[str, Any]]:
    """The records of an ISync, newest first: whole ones, and bare tombstones of what was deleted.

    Raises:
        ApiError: 400, the token is missing (CMN-101) or not good for this mailbox (MSG-333).
    """
    since_s = _unseal(call, extension_id, call.query.text("syncToken")) - SYNC_OVERLAP_S
    account = call.backend.account
    found = (account.message(extension_id, message_id) for message_id in account.message_ids(extension_id))
    return [
        _record(call, message)
        if message.availability == Availability.ALIVE
        else {"id": message.id, "availability": message.availability}
        for message in found
        if message is not None and message.last_modified > since_s
    ]


def _seal(call: Call, extension_id: int, now_s: float) -> str:
    """A sync token for the state of a mailbox at `now_s`, opaque to the client."""
    claims = json.dumps([extension_id, now_s]).encode()
    return base64.urlsafe_b64encode(_signature(call, claims) + claims).decode()


def _unseal(call: Call, extension_id: int, token: str) -> float:
    """The moment that a sync token was made for.

    Raises:
        ApiError: 400 CMN-101, there is none; 400 MSG-333, it is of another mailbox, run or maker.
    """
    if not token:
        raise bad_parameter("syncToken", token)
    invalid = ApiError(400, "MSG-333", "Parameter [syncToken] is invalid", parameter="syncToken")
    try:
        sealed = base64.urlsafe_b64decode(token)
    except (binascii.Error, ValueError):
        raise invalid from None
    signature, claims = sealed[: hashlib.sha256().digest_size], sealed[hashlib.sha256().digest_size :]
    if not hmac.compare_digest(signature, _signature(call, claims)):
        raise invalid
    owner, moment = json.loads(claims)
    if owner != extension_id:
        raise invalid
    return float(moment)


def _signature(call: Call, claims: bytes) -> bytes:
    return hmac.digest(call.backend.sync_key, claims, "sha256")


def _messages(call: Call, extension_id: int, wanted: _Filter) -> list[SimMessage]:
    """The messages of a mailbox that `wanted` admits, newest first."""
    account = call.backend.account
    found = (account.message(extension_id, message_id) for message_id in account.message_ids(extension_id))
    return [m for m in found if m is not None and wanted.admits(m, partial(_record, call, m))]


def _record(call: Call, message: SimMessage) -> dict[str, Any]:
    endpoints = call.backend.endpoints
    return call.backend.account.message_record(
        message.extension_id, message.id, endpoints.platform_url, endpoints.media_url
    )


def _mailbox_uri(call: Call, extension_id: int) -> str:
    account_id = call.backend.account.account_id
    return f"{call.backend.endpoints.platform_url}/restapi/v1.0/account/{account_id}/extension/{extension_id}"


def _in_conversation(record: dict[str, Any], conversation: str) -> bool:
    """Whether `record` belongs to the conversation with this decimal id; the string form is the exact one."""
    exact = record.get("conversation", {}).get("id")
    return conversation == (str(record.get("conversationId")) if exact is None else exact)


def _numbers(record: dict[str, Any]) -> set[str]:
    """The phone numbers of all parties of `record`."""
    parties = [record.get("from") or {}, *(record.get("to") or [])]
    return {party["phoneNumber"] for party in parties if "phoneNumber" in party}


OPERATIONS = (
    Operation("listMessages", "GET", STORE_PATH, LIGHT, list_messages),
    Operation("readMessage", "GET", STORE_PATH + "/{message_id}", LIGHT, read_message),
    Operation("syncMessages", "GET", EXTENSION_PATH + "/message-sync", LIGHT, sync_messages),
)
"""Operations of this module."""
