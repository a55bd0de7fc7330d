"""The request for a batch of changes, and the fate of each of them by its answer. Pure."""

from collections.abc import Sequence

import attrs

from rcfs.errors import AuthError, BadRequestError, ForbiddenError, RateLimitedError
from rcfs.model import GONE, READ, UNREAD, Action, MessageChange, Record, Standing, message_from
from rcfs.outbox import _course as course
from rcfs.platform import (
    Request,
    Result,
    delete_conversations,
    delete_messages,
    mark_messages,
    refused_alone,
    restore_messages,
)


@attrs.frozen
class Fate:
    """The meaning of an answer for a change."""

    after: MessageChange
    """The change from now on."""
    record: Record | None = None
    """The message as the platform has it now; None if the answer does not tell."""
    is_gone: bool = False
    """Whether the platform no longer has the message."""
    refusal: str = ""
    """Why the platform refuses it."""
    is_settling: bool = True
    """Whether the request was carried out; otherwise it may still be."""


def request_for(owner_id: int, action: Action, asked: Sequence[MessageChange], until_s: float) -> Request:
    """The request that makes the changes `asked`, which are at least one.

    Of conversations, messages that came after `until_s` stay; that is by the platform's clock, in seconds
    since 1970 UTC.
    """
    ids = [each.message_id for each in asked]
    if action is Action.MARK_READ:
        marks = {each.message_id: READ if each.asked is Action.MARK_READ else UNREAD for each in asked}
        return mark_messages(owner_id, marks)
    if action is Action.RESTORE:
        return restore_messages(owner_id, ids)
    if action is Action.DELETE_CONVERSATION:
        conversations = list(dict.fromkeys(each.conversation_id for each in asked))
        return delete_conversations(owner_id, conversations, until_s=until_s)
    return delete_messages(owner_id, ids, purge=action is Action.PURGE)


def fate_of(change: MessageChange, result: Result | None, asked_s: float, now_s: float) -> Fate:
    """The fate of a change by its result in the answer; `result` is None if the answer does not tell it.

    The request was not sent before `asked_s`, by the platform's clock. Both times are in seconds since 1970.
    """
    if result is None:
        return Fate(course.lost(change, now_s))
    if 200 <= result.status < 300:
        message = message_from(result.body) if isinstance(result.body, dict) else None
        if message is None or message.id != change.message_id:
            after = course.settled(change, course.made(change, asked_s), now_s)
            return Fate(after, is_gone=change.asked is Action.PURGE)
        after = course.settled(change, Standing.of(message), now_s)
        if after.next_action is not None and after.next_action is change.asked:
            return Fate(course.refused(change, now_s), result.body, refusal="nothing has changed")
        return Fate(after, result.body)
    if result.status == 404:
        return Fate(course.settled(change, GONE, now_s), is_gone=True)
    error = refused_alone(str(change.asked), result.status, result.body)
    if isinstance(error, (RateLimitedError, AuthError)):
        return Fate(course.not_asked(change, now_s))
    if isinstance(error, (ForbiddenError, BadRequestError)):
        return Fate(course.refused(change, now_s), refusal=str(error))
    return Fate(course.lost(change, now_s))


def found(change: MessageChange, record: Record | None, now_s: float) -> Fate:
    """The fate of a change after the message was read; `record` is None if the platform has it no longer."""
    message = None if record is None else message_from(record)
    standing = GONE if message is None else Standing.of(message)
    after = course.settled(change, standing, now_s)
    return Fate(after, record, is_gone=record is None, is_settling=course.shows(change, standing))
