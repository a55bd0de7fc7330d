"""Synchronisation of mailboxes: all messages of a range (FSync), then only the changes (ISync).

A token contains the time of the synchronisation and the frame, which is the range and the filters of its
FSync. An ISync may widen the frame. The token does not contain recordCount: an ISync is never cut off, as
that would lose changes.

Source: "Message Synchronization" of RingCentral's API documentation.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import trio

from rcfs.model import Availability
from rcfs.simulator._backend import EXTENSION_PATH, LIGHT, Call, Operation
from rcfs.simulator._params import Query, iso_time
from rcfs.simulator._sync_tokens import seal, unseal
from rcfs.simulator._wire import Answer, ApiError, bad_parameter
from rcfs.simulator.account._message_filter import AVAILABILITIES, MessageFilter, created_s
from rcfs.simulator.account._message_list import select
from rcfs.simulator.account._plan import SimMessage
from rcfs.simulator.api._messages import record_of
from rcfs.simulator.api._records_body import RecordsBody

SYNC_OVERLAP_S = 5.0
"""Seconds that an ISync looks back beyond its token, so that duplicates are normal, as documented."""

FRAME = (
    *("conversationId", "dateFrom", "dateTo", "direction", "distinctConversations", "messageType"),
    *("owner", "ownerExtensionType", "voicemailOwner"),
)
"""Parameters that belong to the frame."""

Frame = Mapping[str, list[str]]
"""The values of these parameters."""


async def sync_messages(call: Call) -> Answer:
    """All messages of a range (FSync), or what has changed since a token (ISync)."""
    extension = call.mailbox()
    now_s = call.backend.account_time()
    body = RecordsBody({"uri": call.backend.endpoints.platform_url + call.target})
    asked = {name: values for name in FRAME if (values := call.query.texts(name))}
    match call.query.text("syncType", "FSync"):
        case "FSync":
            # Defaults are fixed here, so that the frame does not move with the time.
            wanted = MessageFilter.from_query(call.query, now_s, extension)
            frame = {**asked, "dateFrom": [iso_time(wanted.date_from)]}
            sync_type, older = "FSync", await _add_newest(call, wanted, body)
        case "ISync":
            since_s, known = _unseal(call, extension.id, now_s)
            frame = {**known, **asked}
            wanted, before = (_filter(call, part, now_s) for part in (frame, known))
            await _add_changed(call, wanted, before, since_s - SYNC_OVERLAP_S, body)
            sync_type, older = "ISync", False
        case other:
            raise bad_parameter("syncType", other)
    return body.answer(
        {
            "syncInfo": {
                "syncType": sync_type,
                "syncToken": seal(call.backend.sync_key, ["messages", extension.id, now_s, frame]),
                "syncTime": iso_time(now_s),
                "olderRecordsExist": older,
            },
        }
    )


async def _add_newest(call: Call, wanted: MessageFilter, body: RecordsBody) -> bool:
    """Add the messages of an FSync to `body`, newest first; return whether older ones were left out.

    That happens if they are older than the range, or beyond recordCount.
    """
    account, extension = call.backend.account, call.extension()
    ever = (await select(account, extension.id, attrs.evolve(wanted, date_from=-math.inf))).count
    selection = await select(account, extension.id, wanted)
    most = call.query.positive("recordCount", max(1, selection.count))
    for messages in selection.pieces():
        for message in messages[: most - body.count]:
            await body.add(record_of(call, message))
        if body.count == most:
            break
    return ever > body.count


async def _add_changed(
    call: Call, wanted: MessageFilter, before: MessageFilter, since_s: float, body: RecordsBody
) -> None:
    """Add the messages of the frame that changed after `since_s`, or were not in the frame `before`.

    Unless the frame differs, this reads only messages that have changed: planned ones are older than any
    token (`QUIET_S`).
    """
    account, extension = call.backend.account, call.extension()
    pieces: Iterable[Sequence[SimMessage]]
    if wanted == before and not wanted.distinct:
        changed = [m for m in account.mailbox(extension.id).changed() if wanted.admits(m, account)]
        pieces = [sorted(changed, key=lambda message: (created_s(message), message.id), reverse=True)]
    else:
        pieces = (await select(account, extension.id, wanted)).pieces()
    for messages in pieces:
        for message in messages:
            if message.last_modified > since_s or (
                message.availability == Availability.ALIVE and not before.admits(message, account)
            ):
                await body.add(_change_record(call, message))
        await trio.lowlevel.checkpoint()


def _change_record(call: Call, message: SimMessage) -> dict[str, Any]:
    """The record of a changed message; only a tombstone if it was deleted or purged."""
    if message.availability == Availability.ALIVE:
        return record_of(call, message)
    return {"id": message.id, "availability": message.availability}


def _filter(call: Call, frame: Frame, now_s: float) -> MessageFilter:
    """The filter of `frame`, extended to deleted messages, which a client must hear of."""
    wanted = MessageFilter.from_query(Query.of(frame), now_s, call.extension())
    return attrs.evolve(wanted, availability=frozenset(AVAILABILITIES))


def _unseal(call: Call, extension_id: int, now_s: float) -> tuple[float, Frame]:
    """The time of the query's sync token, and its frame.

    Raises:
        ApiError: 400, the token is missing (CMN-101); or it is expired, or belongs to another mailbox, run or
            server (MSG-333, or CMN-101 if the configuration asks for it).
    """
    token = call.query.text("syncToken")
    if not token:
        raise bad_parameter("syncToken", token)
    rules = call.backend.store_rules
    invalid = ApiError(400, rules.sync_token_error, "Parameter [syncToken] is invalid", parameter="syncToken")
    try:
        claims = unseal(call.backend.sync_key, token)
    except ValueError:
        raise invalid from None
    if claims[:2] != ["messages", extension_id] or claims[2] < rules.sync_tokens_since_s:
        raise invalid
    if rules.sync_token_lifetime_s is not None and now_s >= claims[2] + rules.sync_token_lifetime_s:
        raise invalid
    return float(claims[2]), claims[3]


OPERATIONS = (Operation("syncMessages", "GET", EXTENSION_PATH + "/message-sync", LIGHT, sync_messages),)
"""Operations of this module."""
