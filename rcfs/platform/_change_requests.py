"""The requests that change messages and the message store, and the answers to them.

None of them is repeatable: a second DELETE of a message purges it. None has an empty list of ids, which the
platform takes for all messages.

Source: updateMessage, patchMessage, deleteMessage, deleteMessageByFilter, updateMessageStoreConfiguration of
the official description, and "Bulk requests" of the API's documentation.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rcfs.errors import PlatformError
from rcfs.model import LIGHT, MEDIUM
from rcfs.platform._bulk import MOST_AT_ONCE
from rcfs.platform._errors import refusal
from rcfs.platform._requests import Body, Request, json_body, wire_time

MOST_IN_BODY = 1000
"""Most messages in the body of a request that marks them. Source: updateMessage."""
MOST_CONVERSATIONS = 100
"""Most conversations in the body of a request that deletes them. Source: deleteMessageByFilter."""
RETENTION_DAYS = range(7, 91)
"""Days for which an account may keep faxes and voicemails. Source: schema MessageStoreConfiguration."""
_MULTIPART_JSON = "application/vnd.ringcentral.multipart+json"
"""RingCentral's own media type for several JSON documents in one."""


def mark_messages(extension_id: int, read_statuses: Mapping[int, str]) -> Request:
    """Sets the ``readStatus`` of 1 to `MOST_IN_BODY` messages, given by their ids."""
    bodies = {message_id: {"readStatus": status} for message_id, status in read_statuses.items()}
    return _update("updateMessage", "PUT", extension_id, bodies, MOST_IN_BODY)


def restore_messages(extension_id: int, message_ids: Sequence[int]) -> Request:
    """Takes 1 to `MOST_AT_ONCE` messages out of the trash."""
    bodies = {message_id: {"availability": "Alive"} for message_id in message_ids}
    return _update("patchMessage", "PATCH", extension_id, bodies, MOST_AT_ONCE)


def delete_messages(extension_id: int, message_ids: Sequence[int], *, purge: bool = False) -> Request:
    """Moves 1 to `MOST_AT_ONCE` messages to the trash, or deletes them for good.

    Without `purge`, a message that is in the trash already is deleted for good, too.
    """
    _check(message_ids, MOST_AT_ONCE)
    ids = ",".join(map(str, message_ids))
    params = (("purge", "true"),) if purge else ()
    return Request("deleteMessage", MEDIUM, _store(extension_id, ids), params, method="DELETE")


def delete_conversations(extension_id: int, conversation_ids: Sequence[str], *, until_s: float) -> Request:
    """Moves the messages of 1 to `MOST_CONVERSATIONS` conversations to the trash.

    Only messages up to `until_s`, in seconds since 1970 UTC: nobody has decided about later ones. Messages
    that are in the trash already are deleted for good.
    """
    _check(conversation_ids, MOST_CONVERSATIONS)
    if not all(each.isascii() and each.isdecimal() for each in conversation_ids):
        raise ValueError("a conversation id is a decimal number")
    body = None
    ids = ",".join(conversation_ids)
    if len(conversation_ids) > MOST_AT_ONCE:
        ids, body = "*", json_body(list(conversation_ids))
    params = (("conversationId", ids), ("dateTo", wire_time(until_s)))
    return Request("deleteMessageByFilter", MEDIUM, _store(extension_id), params, method="DELETE", body=body)


def update_store_configuration(days: int) -> Request:
    """Sets how long the account keeps faxes and voicemails.

    Raises:
        ValueError: `days` is not in `RETENTION_DAYS`.
    """
    if days not in RETENTION_DAYS:
        raise ValueError(f"{days} is not from {RETENTION_DAYS[0]} to {RETENTION_DAYS[-1]} days")
    return Request(
        "updateMessageStoreConfiguration",
        LIGHT,
        "/restapi/v1.0/account/~/message-store-configuration",
        method="PUT",
        body=json_body({"retentionPeriod": days}),
    )


def is_fixed_retention(error: PlatformError) -> bool:
    """Whether the retention of the account cannot be changed, as of one with HIPAA settings."""
    return error.code == "ACT-340"


def refused_alone(operation: str, status: int, body: Any) -> PlatformError:
    """The error for one of several messages, whose result in the answer has `status` (400 or more)."""
    return refusal(status, json.dumps(body).encode(), operation=operation)


def _update(
    operation: str, method: str, extension_id: int, bodies: Mapping[int, Mapping[str, str]], most: int
) -> Request:
    _check(list(bodies), most)
    if len(bodies) == 1:
        ((message_id, document),) = bodies.items()
        path, body = _store(extension_id, str(message_id)), json_body(document)
    else:
        entries = [{"resourceId": str(each), "body": document} for each, document in bodies.items()]
        path, body = _store(extension_id, "*"), Body(json.dumps(entries).encode(), _MULTIPART_JSON)
    return Request(operation, MEDIUM, path, method=method, body=body)


def _check(ids: Sequence[object], most: int) -> None:
    if not 1 <= len(ids) <= most:
        raise ValueError(f"a request is for 1 to {most} ids; one without ids would be for all messages")


def _store(extension_id: int, ids: str = "") -> str:
    path = f"/restapi/v1.0/account/~/extension/{extension_id}/message-store"
    return f"{path}/{ids}" if ids else path
