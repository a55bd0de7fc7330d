"""The course of a send: its next value after each event, and which record is the message. Pure.

Nothing makes a send idempotent, so a request is sent only from `SendState.WAITING`, and its answer, or a look
into the mailbox, decides what is next:

    WAITING -> ASKED      on the disk before the request
    ASKED   -> SENT       the answer has the message; or a look finds exactly one that can only be this one
    ASKED   -> REFUSED    the answer says that it was not taken
    ASKED   -> WAITING    certainly not carried out; or not found by the last look
    ASKED   -> UNKNOWN    a look finds several that may be this one, or one that may be another's

Times are in seconds since 1970-01-01 UTC by the platform's clock, which also tells when its messages were
created.
"""

import enum
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import attrs

from rcfs.errors import RcfsError
from rcfs.model import (
    Availability,
    Message,
    Outgoing,
    Party,
    Send,
    SendKind,
    SendState,
    delivery_of,
    is_party,
    iso_time,
)

LOOKS_AFTER_S: Final = (5.0, 30.0, 120.0)
"""When rcfs looks for a message whose answer was lost, in seconds after the request ended. A message appears
in the mailbox at once; the last look is late enough for a request that was delayed on its way."""
_TROUBLE_S: Final = 30.0
"""Pause after a request that was certainly not carried out, and after a look that failed, in seconds."""
_MOST_ATTEMPTS: Final = 3
"""Requests for a message after which rcfs gives up, if each got no answer and the message does not exist."""
_STALE_S: Final = 86_400.0
"""Age at which a message is not sent any more, in seconds: its sender does not expect it after a day."""
_CLOCK_S: Final = 2.0
"""How much earlier than the request a message may seem to be created, in seconds: the platform tells its time
in whole seconds."""
_UNSURE_S: Final = 60.0
"""How far rcfs may be wrong about the platform's time before the first answer of a process, in seconds. A
message from before the request, but within that time, may be this one."""
_KEPT_SENT_S: Final = 86_400.0
"""How long a message that was delivered stays in the list, in seconds."""
_KEPT_S: Final = 7 * 86_400.0
"""How long a message stays in the list that was refused, or whose delivery is not told, in seconds."""


class Likeness(enum.Enum):
    """Whether a record is the message that was sent."""

    NO = 0
    MAYBE = 1
    """It is another message, or this one in an unexpected shape."""
    YES = 2


def new(send_id: str, outgoing: Outgoing, now_s: float) -> Send:
    """A send that somebody wants now."""
    return Send(send_id, outgoing, SendState.WAITING, now_s, now_s)


def is_due(send: Send, now_s: float) -> bool:
    """Whether there is something to do for it now."""
    return not send.state.is_settled and send.next_s <= now_s


def is_behind(send: Send, others: Iterable[Send]) -> bool:
    """Whether `send` must not be sent yet, as a look for another could take it for that one."""
    return any(
        other.id != send.id
        and other.state is SendState.ASKED
        and _may_be_confused(send.outgoing, other.outgoing)
        for other in others
    )


def since_s(send: Send) -> float:
    """Begin of the period in which a look searches for the message."""
    return send.asked_s - _UNSURE_S


def asking(send: Send, now_s: float) -> Send:
    """`send` immediately before the request; this is also what a killed process leaves."""
    return attrs.evolve(
        send,
        state=SendState.ASKED,
        since_s=now_s,
        asked_s=send.asked_s or now_s,
        ended_s=0.0,
        attempts=send.attempts + 1,
        looks=0,
        next_s=now_s,
        problem="",
    )


def stale(send: Send, now_s: float) -> Send | None:
    """`send` as refused, if it has waited for too long; else None."""
    if send.state is not SendState.WAITING or now_s - send.created_s < _STALE_S:
        return None
    because = f"; {send.problem}" if send.problem else ""
    return refused(send, f"it could not be sent within a day{because}", now_s)


def not_asked(before: Send, error: RcfsError | None, now_s: float) -> Send:
    """The send after a request that was certainly not carried out; `before` is what it was before that."""
    return attrs.evolve(
        before,
        since_s=now_s,
        next_s=now_s if error is None else now_s + _TROUBLE_S,
        problem=before.problem if error is None else str(error),
    )


def accepted(asked: Send, message: Message, now_s: float) -> Send:
    """`asked` as a message that the platform has."""
    sent = attrs.evolve(asked, state=SendState.SENT, since_s=now_s, next_s=0.0, message_id=message.id)
    return told(sent, message)


def told(sent: Send, message: Message) -> Send:
    """`sent` with what its record says about the delivery."""
    if message.availability != Availability.ALIVE and not sent.is_final:
        # Deleting a scheduled fax cancels it; of another message nothing more will be told.
        return attrs.evolve(sent, is_final=True)
    delivery = delivery_of(message)
    problem = delivery.problem or "no reason is told" if delivery.is_failed else ""
    return attrs.evolve(sent, status=delivery.status, is_final=delivery.is_final, problem=problem)


def refused(send: Send, because: str, now_s: float) -> Send:
    """`send` as one that the platform does not take, or that rcfs gives up."""
    return attrs.evolve(send, state=SendState.REFUSED, since_s=now_s, next_s=0.0, problem=because)


def lost(asked: Send, error: RcfsError | None, now_s: float) -> Send:
    """`asked` after a request without an answer; without an `error`, a process died during it."""
    because = "rcfs ended during the request" if error is None else str(error)
    return attrs.evolve(
        asked,
        ended_s=now_s,
        looks=0,
        next_s=now_s + LOOKS_AFTER_S[0],
        problem=f"the answer is lost, and rcfs looks for the message ({because})",
    )


def look_failed(asked: Send, now_s: float) -> Send:
    """`asked` after a look that could not be made."""
    return attrs.evolve(asked, next_s=now_s + _TROUBLE_S)


def looked(asked: Send, messages: Sequence[Message], claimed: Collection[int], now_s: float) -> Send:
    """`asked` after a look; `messages` are those that were sent since, `claimed` the ids of other sends."""
    sure: list[Message] = []
    unsure: list[Message] = []
    for message in {each.id: each for each in messages if each.id not in claimed}.values():
        likeness = _likeness(asked.outgoing, message)
        if likeness is Likeness.NO or message.created_s is None:
            continue
        is_later = message.created_s >= asked.asked_s - _CLOCK_S
        if likeness is Likeness.YES and is_later:
            sure.append(message)
        elif message.created_s >= since_s(asked):
            unsure.append(message)
    if len(sure) == 1 and not unsure:
        return accepted(asked, sure[0], now_s)
    if len(sure) > 1 or (sure and unsure):
        return _unknown(asked, [*sure, *unsure], now_s)
    looks = asked.looks + 1
    if looks < len(LOOKS_AFTER_S) or now_s < asked.ended_s + LOOKS_AFTER_S[-1]:
        after_s = LOOKS_AFTER_S[min(looks, len(LOOKS_AFTER_S) - 1)]
        return attrs.evolve(asked, looks=looks, next_s=max(asked.ended_s + after_s, now_s + 1.0))
    if unsure:
        return _unknown(asked, unsure, now_s)
    if asked.attempts >= _MOST_ATTEMPTS:
        because = f"{asked.attempts} requests got no answer, and the message does not exist"
        return refused(asked, because, now_s)
    return attrs.evolve(
        asked,
        state=SendState.WAITING,
        since_s=now_s,
        next_s=now_s,
        problem="the answer was lost, and the message does not exist, so rcfs sends it again",
    )


def again(send: Send, now_s: float) -> Send:
    """`send`, which is settled, as a person wants it sent again."""
    return new(send.id, send.outgoing, now_s)


def is_over(send: Send, now_s: float) -> bool:
    """Whether the list need not keep it any longer."""
    age_s = now_s - send.since_s
    if send.state is SendState.SENT:
        is_early = send.outgoing.send_at_s is not None and now_s < send.outgoing.send_at_s
        return not is_early and age_s > (_KEPT_SENT_S if send.is_final else _KEPT_S)
    return send.state is SendState.REFUSED and age_s > _KEPT_S


def _unknown(asked: Send, messages: Sequence[Message], now_s: float) -> Send:
    ids = ", ".join(str(each.id) for each in messages)
    begin = iso_time(asked.asked_s)
    because = (
        f"the answer to a request at {begin} is lost, and message {ids} may be this one, or one like it"
        if len(messages) == 1
        else f"the answer to a request at {begin} is lost, and the messages {ids} look like it"
    )
    return attrs.evolve(asked, state=SendState.UNKNOWN, since_s=now_s, next_s=0.0, problem=because)


# Which record is the message


def _may_be_confused(one: Outgoing, other: Outgoing) -> bool:
    """Whether the record of one message could be taken for that of the other."""
    if one.kind is not other.kind:
        return False
    if one.kind is SendKind.FAX:
        # Records of faxes tell little of their files, and those of a fax sent again need no recipients.
        return not one.recipients or not other.recipients or set(one.recipients) == set(other.recipients)
    sizes = [sorted(file.size_bytes for file in each.files) for each in (one, other)]
    return (
        set(one.recipients) == set(other.recipients)
        and _words(one.text) == _words(other.text)
        and sizes[0] == sizes[1]
    )


def _likeness(outgoing: Outgoing, message: Message) -> Likeness:
    """Whether `message` is `outgoing`, by all that its record tells, except its time."""
    if message.type != outgoing.kind.type or not message.is_outbound:
        return Likeness.NO
    likenesses = [_to_same(outgoing, message.recipients)]
    if outgoing.kind is SendKind.FAX:
        likenesses.append(_same_pages(outgoing, message.fax_pages))
    else:
        likenesses.append(_same_text(outgoing, message))
        likenesses.append(_same_files(outgoing, message))
    return min(likenesses, key=lambda each: each.value)


def _to_same(outgoing: Outgoing, parties: Sequence[Party]) -> Likeness:
    if not outgoing.recipients:
        return Likeness.YES
    if len(parties) != len(outgoing.recipients):
        return Likeness.NO
    missing = [each for each in outgoing.recipients if not any(is_party(each, party) for party in parties)]
    nameless = sum(not party.number for party in parties)
    if len(missing) > nameless:
        return Likeness.NO
    return Likeness.MAYBE if missing else Likeness.YES


def _same_text(outgoing: Outgoing, message: Message) -> Likeness:
    if outgoing.sender and message.sender.number and not is_party(outgoing.sender, message.sender):
        return Likeness.NO
    if message.subject is None and outgoing.text:
        return Likeness.MAYBE
    return Likeness.YES if _words(message.subject or "") == _words(outgoing.text) else Likeness.NO


def _same_files(outgoing: Outgoing, message: Message) -> Likeness:
    sizes = [each.size_bytes for each in message.attachments if each.kind == "MmsAttachment"]
    if len(sizes) != len(outgoing.files):
        return Likeness.NO
    wanted = sorted(file.size_bytes for file in outgoing.files)
    told = sorted(size for size in sizes if size is not None)
    # The platform may make a picture smaller, so another size does not prove another file.
    return Likeness.YES if len(told) < len(wanted) or told == wanted else Likeness.MAYBE


def _same_pages(outgoing: Outgoing, told: int | None) -> Likeness:
    pages = [file.pages for file in outgoing.files if file.pages]
    if not told or not pages or len(pages) < len(outgoing.files):
        return Likeness.YES
    return Likeness.YES if told - sum(pages) in (0, 1) else Likeness.MAYBE  # A cover is one page more.


def _words(text: str) -> str:
    """A text without differences in white space, which carriers and gateways change."""
    return " ".join(text.split())
