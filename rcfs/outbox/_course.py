"""The course of changes: what becomes of them, and what is sent next. Pure, without a clock.

    WAITING    something is wanted that the platform does not have, and nothing is under way
    HELD       the same for a deletion beyond the limit
    ASKED      a request is under way, or its answer is lost
    DONE       the platform has what is wanted
    WITHDRAWN  nothing is wanted any more

`MessageChange.next_action` compares what is wanted with what the platform said last. So contrary wishes need
no rules: a message that is marked as read and then as unread needs no request, if none was sent meanwhile.
"""

from collections.abc import Callable, Collection, Iterable, Sequence

import attrs

from rcfs.model import (
    READ,
    UNREAD,
    Action,
    Availability,
    ChangeState,
    Message,
    MessageChange,
    Standing,
)

LOOK_S = 5.0
"""Time from a lost answer until rcfs reads the messages, in seconds: most requests are carried out then."""
SETTLE_S = 65.0
"""Time from a lost answer until rcfs believes that the request was not carried out, in seconds. A second
DELETE of a message purges it, so the first must not come after it. Gateways give up a request after 60 s by
default (nginx, ``proxy_read_timeout``)."""
LATE_S = 300.0
"""How long after a change older records may still arrive, in seconds: as long as the body of an answer may
take."""
HOUR_S = 3600.0
"""The limit counts the deletions of the last hour."""
MOST_CONVERSATIONS = 50
"""Conversations in one request, at most. Source: deleteMessageByFilter; a body may have 100."""
_AFTER_S = 0.0005
"""Half the resolution of ``lastModifiedTime``: the platform does not tell when it has made a deletion."""
_CLOCK_S = 2.0
"""How far the platform's clock may be from what rcfs takes for it, in seconds: headers have whole seconds."""


@attrs.frozen
class Wish:
    """A wish about messages: another read status, or another availability."""

    read_status: str = ""
    """``Read`` or ``Unread``; empty for a wish about the availability."""
    availability: str = ""
    """``Alive``, ``Deleted`` or ``Purged``; empty for a wish about the read status."""


MARK_READ, MARK_UNREAD = Wish(READ), Wish(UNREAD)
TRASH, RESTORE, PURGE = (
    Wish(availability=each) for each in (Availability.DELETED, Availability.ALIVE, Availability.PURGED)
)


@attrs.frozen
class Batch:
    """Changes that one request makes."""

    owner_id: int
    """The extension whose mailbox has the messages."""
    action: Action
    """The action of the request; MARK_READ stands for both marks."""
    changes: tuple[MessageChange, ...]
    """At least one."""


def wanted(
    before: MessageChange | None,
    message: Message,
    wish: Wish,
    *,
    owner_id: int,
    now_s: float,
    conversation_id: str = "",
) -> MessageChange | None:
    """The change of a message after a wish; None if there is nothing to do.

    Args:
        before: The change so far; None for a message without one.
        message: The message as the platform has it, by the latest record.
        wish: What is wanted from now on.
        owner_id: The extension whose mailbox has the message.
        now_s: Seconds since 1970 UTC.
        conversation_id: The conversation that is deleted as a whole; empty for the message alone.
    """
    is_open = before is not None and before.state.is_open
    if before is None or not is_open:
        standing = Standing.of(message)
        if before is not None and standing.is_older(before.was):
            standing = before.was
        before = MessageChange(
            owner_id=owner_id,
            message_id=message.id,
            state=ChangeState.WAITING,
            created_s=now_s,
            changed_s=now_s,
            was=standing,
        )
    if wish.read_status:
        after = attrs.evolve(before, read_status=wish.read_status)
    else:
        after = attrs.evolve(
            before,
            availability=wish.availability,
            conversation_id=conversation_id,
            is_confirmed=False,
            record=message.raw if wish == PURGE else "",
        )
    if after.state is ChangeState.ASKED:
        return after  # The answer to its request decides what comes next.
    if after.next_action is None and not is_open:
        return None
    return _onward(attrs.evolve(after, changed_s=now_s))


def observed(change: MessageChange, standing: Standing) -> MessageChange:
    """A change after a record with `standing` has arrived, which may be older than what is known."""
    is_final = standing.availability == Availability.PURGED
    if standing == change.was or (standing.is_older(change.was) and not is_final):
        return change
    was_restored = (
        change.was.availability == Availability.DELETED and standing.availability == Availability.ALIVE
    )
    if was_restored and change.availability == Availability.PURGED:
        # Somebody wants it back after the purge was wanted.
        return attrs.evolve(change, was=standing, availability="")
    return attrs.evolve(change, was=standing)


def asked(change: MessageChange, action: Action, now_s: float) -> MessageChange:
    """A change whose request is sent next."""
    return attrs.evolve(change, state=ChangeState.ASKED, asked=action, changed_s=now_s)


def lost(change: MessageChange, now_s: float) -> MessageChange:
    """A change after its request has ended without an answer."""
    return attrs.evolve(change, changed_s=now_s)


def not_asked(change: MessageChange, now_s: float) -> MessageChange:
    """A change whose request was certainly not carried out."""
    return _onward(attrs.evolve(change, asked=None, changed_s=now_s))


def settled(change: MessageChange, standing: Standing, now_s: float) -> MessageChange:
    """A change after the platform has told how the message is now."""
    after = attrs.evolve(observed(change, standing), changed_s=now_s, conversation_id="")
    if after.next_action is not None:
        return attrs.evolve(after, state=ChangeState.WAITING, asked=None)
    if is_impossible(after):
        return attrs.evolve(after, state=ChangeState.WITHDRAWN)
    return attrs.evolve(after, state=ChangeState.DONE, read_status="", availability="", record="")


def shows(change: MessageChange, standing: Standing) -> bool:
    """Whether a message with `standing` is as the request of `change` makes it."""
    match change.asked:
        case Action.MARK_READ | Action.MARK_UNREAD:
            wanted = READ if change.asked is Action.MARK_READ else UNREAD
            return standing.read_status == wanted or standing.availability == Availability.PURGED
        case Action.RESTORE:
            return standing.availability != Availability.DELETED
        case Action.PURGE:
            return standing.availability == Availability.PURGED
        case _:
            return standing.availability != Availability.ALIVE


def made(change: MessageChange, at_s: float) -> Standing:
    """How a message is after the platform has carried out what was asked, without a record in the answer.

    It was not asked before `at_s`, which is in seconds since 1970 UTC by the platform's clock.
    """
    was = change.was
    modified_s = None if was.modified_s is None else max(was.modified_s + _AFTER_S, at_s - _CLOCK_S)
    if change.asked in (Action.MARK_READ, Action.MARK_UNREAD):
        read_status = READ if change.asked is Action.MARK_READ else UNREAD
        return Standing(read_status, was.availability, modified_s)
    match change.asked:
        case Action.RESTORE:
            availability = Availability.ALIVE
        case Action.PURGE:
            availability = Availability.PURGED
        case _:
            availability = Availability.DELETED
    return Standing(was.read_status, availability, modified_s)


def refused(change: MessageChange, now_s: float) -> MessageChange:
    """A change after the platform, or a person, has refused what was asked or held: that is not wanted."""
    if change.asked in (Action.MARK_READ, Action.MARK_UNREAD):
        change = attrs.evolve(change, read_status="")
    else:
        change = attrs.evolve(change, availability="", conversation_id="")
    return _onward(attrs.evolve(change, asked=None, changed_s=now_s))


def alone(change: MessageChange) -> MessageChange:
    """A change after its conversation is no longer to be deleted as a whole."""
    return attrs.evolve(change, conversation_id="")


def confirmed(change: MessageChange, now_s: float) -> MessageChange:
    """A change that is held, after somebody has confirmed it."""
    return attrs.evolve(change, state=ChangeState.WAITING, is_confirmed=True, changed_s=now_s)


def is_impossible(change: MessageChange) -> bool:
    """Whether what is wanted can no longer be, since the platform has purged the message."""
    return change.was.availability == Availability.PURGED and change.availability == Availability.ALIVE


def is_alive(change: MessageChange) -> bool:
    """Whether the platform has said that the message is not deleted, and no deletion is under way since."""
    is_asked = change.state is ChangeState.ASKED and change.asked is not None and change.asked.is_deletion
    return change.was.availability == Availability.ALIVE and not is_asked


def tidied(changes: Iterable[MessageChange], limit: int, now_s: float) -> dict[MessageChange, MessageChange]:
    """The changes that become others without a request, each with what it becomes.

    Changes that need no request are withdrawn, and deletions beyond `limit` in an hour are held: all that
    wait, also those that would still be within the limit.
    """
    after: dict[MessageChange, MessageChange] = {}
    deletions: list[MessageChange] = []
    count = 0
    for change in changes:
        action = change.next_action
        if change.state in (ChangeState.WAITING, ChangeState.HELD) and action is None:
            after[change] = attrs.evolve(change, state=ChangeState.WITHDRAWN)
        elif change.state is ChangeState.HELD:
            count += 1
        elif change.is_confirmed:
            continue
        elif change.state is ChangeState.WAITING and is_deletion(change):
            deletions.append(change)
        elif change.asked is not None and change.asked.is_deletion and change.changed_s > now_s - HOUR_S:
            count += 1
    if deletions and count + len(deletions) > limit:
        after |= {each: attrs.evolve(each, state=ChangeState.HELD) for each in deletions}
    return after


def is_deletion(change: MessageChange) -> bool:
    """Whether a change asks for a deletion, now or after a mark."""
    return (
        change.availability in (Availability.DELETED, Availability.PURGED)
        and change.was.availability != Availability.PURGED
        and change.availability != change.was.availability
    )


def is_over(change: MessageChange, now_s: float) -> bool:
    """Whether a change that is DONE is of no more use: neither against older records nor for the limit."""
    counts = change.asked is not None and change.asked.is_deletion and not change.is_confirmed
    return change.state is ChangeState.DONE and change.changed_s < now_s - (HOUR_S if counts else LATE_S)


def next_batch(
    changes: Iterable[MessageChange], most: Callable[[Action], int], barred: Collection[int] = ()
) -> Batch | None:
    """The changes that go out with the next request; None if none waits.

    Args:
        changes: All changes, oldest first.
        most: The number of messages in a request, at most.
        barred: Extensions to which nothing is sent now.
    """
    waiting = [
        (action, change)
        for change in changes
        if change.state is ChangeState.WAITING
        and change.owner_id not in barred
        and (action := _grouped(change)) is not None
    ]
    if not waiting:
        return None
    # Requests that can be undone go first.
    action, first = min(waiting, key=lambda each: _ORDER.index(each[0]))
    same = [each for found, each in waiting if found is action and each.owner_id == first.owner_id]
    if first.is_alone:
        return Batch(first.owner_id, action, (first,))
    together = [each for each in same if not each.is_alone]
    if action is Action.DELETE_CONVERSATION:
        names = list(dict.fromkeys(each.conversation_id for each in together))[:MOST_CONVERSATIONS]
        return Batch(
            first.owner_id, action, tuple(each for each in together if each.conversation_id in names)
        )
    return Batch(first.owner_id, action, tuple(together[: most(action)]))


_ORDER: Sequence[Action] = (
    Action.MARK_READ,
    Action.RESTORE,
    Action.TRASH,
    Action.DELETE_CONVERSATION,
    Action.PURGE,
)


def _grouped(change: MessageChange) -> Action | None:
    """The action of a change's next request; one request may mark some as read and others as unread."""
    action = change.next_action
    if action is Action.MARK_UNREAD:
        return Action.MARK_READ
    if action is Action.TRASH and change.conversation_id:
        return Action.DELETE_CONVERSATION
    return action


def _onward(change: MessageChange) -> MessageChange:
    """A change without a request under way: WAITING if it needs one, else WITHDRAWN."""
    is_needed = change.next_action is not None
    return attrs.evolve(change, state=ChangeState.WAITING if is_needed else ChangeState.WITHDRAWN)
