"""The message store: lists with their filters, and operations that read and change one or many messages."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import trio

from rcfs.model import Availability
from rcfs.simulator._backend import EXTENSION_PATH, LIGHT, MEDIUM, Call, Operation
from rcfs.simulator._params import iso_time, make_page
from rcfs.simulator._wire import Answer, ApiError, bad_parameter, json_answer, not_found
from rcfs.simulator.account._message_filter import READ_STATUSES, MessageFilter, created_s, flag
from rcfs.simulator.account._message_list import select
from rcfs.simulator.account._plan import DAY_S, SimMessage
from rcfs.simulator.api._bulk import (
    IN_BODY,
    MAX_IN_BODY,
    MAX_IN_PATH,
    changes,
    check_count,
    ids_in_body,
    ids_in_path,
    json_object,
    multi_status,
    outcomes,
)
from rcfs.simulator.api._records_body import RecordsBody

STORE_PATH = EXTENSION_PATH + "/message-store"

MAX_CONVERSATIONS_IN_BODY = 100
"""Most conversation ids in a body (description of deleteMessageByFilter)."""

DELETED_TYPES = {
    "All": frozenset[str](),
    "Text": frozenset({"SMS", "Pager"}),
    **{kind: frozenset({kind}) for kind in ("Fax", "SMS", "VoiceMail", "Pager")},
}
"""Types of messages for each value of the parameter ``type`` of a deletion; the empty set stands for all.
That Text stands for SMS and Pager is inferred: no record has that type."""


async def list_messages(call: Call) -> Answer:
    """A page of the mailbox, newest first."""
    extension = call.mailbox()
    now_s = call.backend.account_time()
    wanted = MessageFilter.from_query(call.query, now_s, extension)
    # The time range must not move between pages, so the URIs contain the defaults.
    date_to = call.query.text("dateTo") or iso_time(now_s)
    date_from = call.query.text("dateFrom") or iso_time(call.query.moment("dateTo", now_s) - DAY_S)
    selection = await select(call.backend.account, extension.id, wanted)
    page = make_page(
        range(selection.count),
        call.query,
        store_uri(call, extension.id),
        {"dateFrom": date_from, "dateTo": date_to},
    )
    body = RecordsBody({"uri": page.uri})
    start = page.paging.get("pageStart", 0)
    for message in await selection.part(range(start, start + len(page.items))):
        await body.add(record_of(call, message))
    return body.answer({"paging": page.paging, "navigation": page.navigation})


def read_message(call: Call) -> Answer:
    """One message, or several, whatever their availability."""
    extension = call.mailbox()
    ids = ids_in_path(call.path["message_id"], "messageId")

    def read(message_id: str) -> Answer:
        return json_answer(record_of(call, message_named(call, extension.id, message_id)))

    if len(ids) == 1:
        return read(ids[0])
    return multi_status(call, outcomes(ids, read), store_uri(call, extension.id))


def update_message(call: Call) -> Answer:
    """Set the read status of one message, or of several."""
    return _change(call, may_restore=False)


def patch_message(call: Call) -> Answer:
    """Set the read status of one message, or of several, or take them out of the trash."""
    return _change(call, may_restore=True)


async def delete_message(call: Call) -> Answer:
    """Delete or purge the messages of the path or body.

    An empty id deletes all messages; the documentation warns of that.
    """
    extension = call.mailbox()
    text = call.path.get("message_id", "")
    if not text:
        return await delete_by_filter(call)
    purge, types = flag(call.query, "purge"), _deleted_types(call)
    in_body = text == IN_BODY
    ids = ids_in_body(call, MAX_IN_BODY, "messageId") if in_body else ids_in_path(text, "messageId")

    def delete(message_id: str) -> Answer:
        message = _message_to_change(call, extension.id, message_id)
        if not types or message.type in types:
            _delete(call, message, call.backend.account_time(), purge=purge)
        return Answer(204)

    if len(ids) == 1 and not in_body:
        return delete(ids[0])
    found = outcomes(ids, delete)
    if all(outcome.answer.status == 204 for outcome in found):
        return Answer(204)
    return multi_status(call, found, store_uri(call, extension.id))


async def delete_by_filter(call: Call) -> Answer:
    """Delete or purge all messages that match the query.

    The deletion continues when the client disconnects.
    """
    extension = call.mailbox()
    account, now_s = call.backend.account, call.backend.account_time()
    purge, types, date_to = (
        flag(call.query, "purge"),
        _deleted_types(call),
        call.query.moment("dateTo", now_s),
    )
    conversations = _deleted_conversations(call)
    if not (conversations or types or call.query.text("dateTo")):
        call.note("deletes the whole mailbox")
    mailbox = account.mailbox(extension.id)
    with trio.CancelScope(shield=True):  # noqa: ASYNC912 - it ends with the mailbox
        for block in range(mailbox.blocks - 1, -1, -1):
            # Deleting one message may purge another, if mailboxes have limits.
            for message in map(mailbox.latest, mailbox.messages(block)):
                if (
                    message is not None
                    and created_s(message) <= date_to
                    and (not types or message.type in types)
                    and (not conversations or account.conversation_of(message) in conversations)
                ):
                    _delete(call, message, now_s, purge=purge)
            await trio.lowlevel.checkpoint()
    return Answer(204)


def find_message(call: Call, extension_id: int) -> SimMessage:
    """The message that the path names.

    Raises:
        ApiError: 400, the id is malformed; 404, this mailbox has no such message.
    """
    return message_named(call, extension_id, call.path["message_id"])


def message_named(call: Call, extension_id: int, message_id: str) -> SimMessage:
    """The message with the decimal id `message_id`.

    Raises:
        ApiError: 400, the id is malformed; 404, this mailbox has no such message.
    """
    if not (message_id.isascii() and message_id.isdecimal()):
        raise bad_parameter("messageId", message_id)
    message = call.backend.account.message(extension_id, int(message_id))
    if message is None:
        raise not_found("messageId")
    return message


def record_of(call: Call, message: SimMessage) -> dict[str, Any]:
    """The record of `message`."""
    endpoints = call.backend.endpoints
    return call.backend.account.record(message, endpoints.platform_url, endpoints.media_url)


def store_uri(call: Call, extension_id: int) -> str:
    """Absolute URI of the message store of an extension."""
    account_id = call.backend.account.account_id
    path = STORE_PATH.format(account_id=account_id, extension_id=extension_id)
    return call.backend.endpoints.platform_url + path


def _message_to_change(call: Call, extension_id: int, message_id: str) -> SimMessage:
    """`message_named`; the change of a message that does not exist is noted as a violation."""
    if message_id in call.refusals:
        raise call.refusals[message_id]
    try:
        return message_named(call, extension_id, message_id)
    except ApiError:
        call.note(f"changes message {message_id!r}, which does not exist")
        raise


def _delete(call: Call, message: SimMessage, now_s: float, *, purge: bool) -> None:
    """Delete `message`; a purge without `purge` is noted as a violation."""
    if message.availability == Availability.DELETED and not purge:
        call.note(f"purges message {message.id} by repetition")
    call.backend.messages.delete(message, now_s, purge=purge)


def _change(call: Call, *, may_restore: bool) -> Answer:
    """The records of the messages of the path or body, after the changes that the body asks for."""
    extension = call.mailbox()
    ids = ids_in_path(call.path["message_id"], "messageId")

    def change(message_id: str, wish: dict[str, Any]) -> Answer:
        message = _message_to_change(call, extension.id, message_id)
        _apply(call, message, wish, may_restore=may_restore)
        return json_answer(record_of(call, message))

    if len(ids) == 1 and ids != [IN_BODY]:
        return change(ids[0], json_object(call))
    found = [
        outcome
        for message_id, wish in changes(call, ids)
        for outcome in outcomes([message_id], partial(change, wish=wish))
    ]
    return multi_status(call, found, store_uri(call, extension.id))


def _apply(call: Call, message: SimMessage, wish: dict[str, Any], *, may_restore: bool) -> None:
    """Change `message` as `wish` says, completely or not at all.

    Raises:
        ApiError: 400, the wish is empty, malformed or impossible.
    """
    status, availability = wish.get("readStatus"), wish.get("availability") if may_restore else None
    if status not in READ_STATUSES and (status is not None or availability is None):
        raise bad_parameter("readStatus", str(status))
    purged = message.availability == Availability.PURGED
    if availability is not None and (availability != Availability.ALIVE or purged):
        raise bad_parameter("availability", str(availability))
    store, now_s = call.backend.messages, call.backend.account_time()
    if availability is not None:
        store.restore(message, now_s)
    if status is not None:
        store.mark(message, status, now_s)


def _deleted_types(call: Call) -> frozenset[str]:
    """The types of messages to delete; empty for all.

    Raises:
        ApiError: 400, the query names an unknown type.
    """
    value = call.query.text("type", "All")
    if value not in DELETED_TYPES:
        raise bad_parameter("type", value)
    return DELETED_TYPES[value]


def _deleted_conversations(call: Call) -> frozenset[str]:
    """The conversations to delete; empty for all messages.

    Raises:
        ApiError: 400 CMN-106, there are too many; CMN-101, the body should list them but does not.
    """
    values: Iterable[str] = call.query.texts("conversationId")
    ids = [conversation for value in values for conversation in value.split(",")]
    if ids == [IN_BODY]:
        return frozenset(ids_in_body(call, MAX_CONVERSATIONS_IN_BODY, "conversationId"))
    check_count(ids, MAX_IN_PATH, "conversationId")
    if "" in ids:
        call.note("deletes a conversation without an id")
        raise bad_parameter("conversationId", "")
    return frozenset(ids)


OPERATIONS = (
    Operation("listMessages", "GET", STORE_PATH, LIGHT, list_messages),
    Operation("readMessage", "GET", STORE_PATH + "/{message_id}", LIGHT, read_message),
    Operation("updateMessage", "PUT", STORE_PATH + "/{message_id}", MEDIUM, update_message),
    Operation("patchMessage", "PATCH", STORE_PATH + "/{message_id}", MEDIUM, patch_message),
    Operation("deleteMessage", "DELETE", STORE_PATH + "/{message_id}", MEDIUM, delete_message),
    # The same with an empty id, which a path parameter cannot match.
    Operation("deleteMessage", "DELETE", STORE_PATH + "/", MEDIUM, delete_message),
    Operation("deleteMessageByFilter", "DELETE", STORE_PATH, MEDIUM, delete_by_filter),
)
"""Operations of this module."""
