"""The course of a send, and which record is the message that was sent."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from rcfs.errors import UncertainError, UnreachableError
from rcfs.model import (
    Message,
    Outgoing,
    Send,
    SendFile,
    SendKind,
    SendState,
    message_from,
    send_from_json,
    send_to_json,
    send_words,
)
from rcfs.outbox import _send_course as course
from rcfs.outbox._send_course import LOOKS_AFTER_S

NOW = 1_795_176_000.0
BOB, ANN, ME = "+12125557464", "+13035556830", "+16505550100"
LOST = UncertainError("no answer in time")
JPEG = SendFile("photo.jpg", "image/jpeg", 1000, "")
PDF = SendFile("a.pdf", "application/pdf", 1000, "", pages=3)
SMS = Outgoing(SendKind.SMS, (BOB,), ME, "hello  there\n")
MMS = Outgoing(SendKind.MMS, (BOB,), ME, "hello", (JPEG,))
FAX = Outgoing(SendKind.FAX, (BOB,), files=(PDF,))
PAGE = Outgoing(SendKind.PAGE, ("102", "103"), "101", "hello")


def at(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record(created_s: float = NOW + 1, message_id: int = 7, **fields: Any) -> Message:
    """The record of an SMS like `SMS`, with other `fields`."""
    base: dict[str, Any] = {
        "id": message_id,
        "type": "SMS",
        "direction": "Outbound",
        "from": fields.pop("sender", {"phoneNumber": ME}),
        "to": [{"phoneNumber": BOB}],
        "subject": "hello there",
        "creationTime": at(created_s),
        "messageStatus": "Queued",
    }
    message = message_from(base | fields)
    assert message is not None
    return message


def mms(size: int | None = 1000, **fields: Any) -> Message:
    attachments = [
        {"id": 7, "type": "Text", "contentType": "text/plain"},
        {"id": 8, "type": "MmsAttachment", "contentType": "image/jpeg", "size": size},
    ]
    return record(**{"subject": "hello", "attachments": attachments} | fields)


def fax(pages: int | None = 3, **fields: Any) -> Message:
    return record(**{"type": "Fax", "subject": None, "faxPageCount": pages} | fields)


def page(**fields: Any) -> Message:
    to = [{"extensionNumber": "103"}, {"extensionNumber": "102"}]
    return record(
        **{"type": "Pager", "subject": "hello", "from": {"extensionNumber": "101"}, "to": to} | fields
    )


def asked(outgoing: Outgoing = SMS) -> Send:
    return course.lost(course.asking(course.new("a", outgoing, NOW), NOW), LOST, NOW + 60)


def look_until_decided(send: Send, messages: Sequence[Message], claimed: Sequence[int] = ()) -> Send:
    """The send after as many looks as it takes, each at its time."""
    for _look in range(10):
        if send.state is not SendState.ASKED:
            return send
        send = course.looked(send, messages, claimed, send.next_s)
    raise AssertionError("it is never decided")


def test_the_way_of_a_message() -> None:
    new = course.new("a", SMS, NOW)
    assert course.is_due(new, NOW)
    asking = course.asking(new, NOW)
    assert (asking.state, asking.asked_s, asking.attempts) == (SendState.ASKED, NOW, 1)
    sent = course.accepted(asking, record(), NOW + 1)
    assert (sent.state, sent.message_id, sent.status, sent.is_final) == (SendState.SENT, 7, "Queued", False)
    assert send_words(sent) == "queued"
    told = course.told(sent, record(messageStatus="Delivered"))
    assert (told.is_final, send_words(told)) == (True, "delivered")
    failed = course.told(sent, record(messageStatus="SendingFailed", deliveryErrorCode="SMS-UP-410"))
    assert failed.is_failed
    assert "a landline (SMS-UP-410)" in send_words(failed)
    assert send_from_json("a", "Sent", NOW, NOW + 1, send_to_json(failed)) == failed


def test_a_request_that_was_not_carried_out_changes_nothing() -> None:
    new = course.new("a", SMS, NOW)
    later = course.not_asked(new, UnreachableError("no network"), NOW + 9)
    assert (later.state, later.asked_s, later.attempts) == (SendState.WAITING, 0.0, 0)
    assert (later.next_s, later.problem) == (NOW + 39, "no network")
    assert course.not_asked(later, None, NOW + 40).problem == "no network"


def test_a_message_that_waits_for_a_day_is_not_sent_any_more() -> None:
    new = course.new("a", SMS, NOW)
    assert course.stale(new, NOW + 86_399) is None
    stale = course.stale(new, NOW + 86_400)
    assert stale is not None
    assert send_words(stale) == "not sent: it could not be sent within a day"
    assert course.stale(asked(), NOW + 1e6) is None, "it may have been sent"


def test_a_message_that_a_look_finds_is_sent() -> None:
    first = course.looked(asked(), [record()], (), NOW + 65)
    assert (first.state, first.message_id) == (SendState.SENT, 7)


def test_a_message_that_no_look_finds_is_sent_again_after_two_minutes() -> None:
    send, looks = asked(), []
    while send.state is SendState.ASKED:
        looks.append(send.next_s - (NOW + 60))
        send = course.looked(send, [], (), send.next_s)
    assert looks == list(LOOKS_AFTER_S)
    assert send.state is SendState.WAITING
    second = course.asking(send, NOW + 180)
    assert (second.attempts, second.asked_s) == (2, NOW), "the first request counts, too"
    third = course.asking(look_until_decided(course.lost(second, LOST, NOW + 200), []), NOW + 400)
    given_up = look_until_decided(course.lost(third, LOST, NOW + 400), [])
    assert given_up.state is SendState.REFUSED


def test_looks_that_fail_or_come_late_are_no_looks_in_two_minutes() -> None:
    send = course.look_failed(asked(), NOW + 65)
    assert (send.looks, send.next_s) == (0, NOW + 95)
    # The machine was suspended for an hour.
    send = course.looked(send, [], (), NOW + 3600)
    assert send.state is SendState.ASKED
    send = look_until_decided(send, [])
    assert send.state is SendState.WAITING


@pytest.mark.parametrize(
    ("outgoing", "message"),
    [
        (SMS, record(subject=" hello there")),
        (SMS, record(to=[{"phoneNumber": "(212) 555-7464"}])),
        (SMS, record(sender={})),
        (SMS, record(created_s=NOW - 1)),
        (SMS, record(availability="Deleted")),
        (MMS, mms()),
        (MMS, mms(size=None)),
        (FAX, fax()),
        (FAX, fax(pages=4)),
        (FAX, fax(pages=None)),
        (attrs.evolve(FAX, files=(attrs.evolve(PDF, pages=None),)), fax(pages=77)),
        (attrs.evolve(FAX, files=(), recipients=(), resend_id=5), fax(pages=77)),
        (PAGE, page()),
    ],
)
def test_records_of_the_message(outgoing: Outgoing, message: Message) -> None:
    assert look_until_decided(asked(outgoing), [message]).message_id == message.id


@pytest.mark.parametrize(
    ("outgoing", "message"),
    [
        (SMS, record(subject="hello")),
        (SMS, record(to=[{"phoneNumber": ANN}])),
        (SMS, record(to=[{"phoneNumber": BOB}, {"phoneNumber": ANN}])),
        (SMS, record(direction="Inbound")),
        (SMS, record(type="Pager")),
        (SMS, record(sender={"phoneNumber": ANN})),
        (SMS, record(created_s=NOW - 61)),
        (SMS, record(creationTime=None)),
        (attrs.evolve(SMS, text="hello"), mms()),
        (MMS, record(subject="hello")),
        (FAX, fax(to=[{"phoneNumber": ANN}])),
        (PAGE, page(to=[{"extensionNumber": "102"}])),
    ],
)
def test_records_of_other_messages(outgoing: Outgoing, message: Message) -> None:
    assert look_until_decided(asked(outgoing), [message]).state is SendState.WAITING


@pytest.mark.parametrize(
    ("outgoing", "messages"),
    [
        (SMS, [record(), record(message_id=8)]),
        (SMS, [record(created_s=NOW - 30)]),
        (SMS, [record(created_s=NOW - 30), record(message_id=8)]),
        (SMS, [record(subject=None)]),
        (MMS, [mms(size=999)]),
        (FAX, [fax(pages=9)]),
        (FAX, [fax(), fax(message_id=8)]),
        (PAGE, [page(to=[{"extensionNumber": "102"}, {"name": "Bob"}])]),
    ],
)
def test_a_person_decides_when_records_may_be_another_message(
    outgoing: Outgoing, messages: list[Message]
) -> None:
    decided = look_until_decided(asked(outgoing), messages)
    assert decided.state is SendState.UNKNOWN
    assert all(str(each.id) in decided.problem for each in messages)
    again = course.again(decided, NOW + 500)
    assert (again.state, again.attempts, again.asked_s) == (SendState.WAITING, 0, 0.0)


def test_a_message_is_one_send_only() -> None:
    messages = [record(), record(message_id=8)]
    assert look_until_decided(asked(), messages, claimed=[7]).message_id == 8
    assert look_until_decided(asked(), messages[:1], claimed=[7]).state is SendState.WAITING


@pytest.mark.parametrize(
    ("one", "other", "waits"),
    [
        (SMS, attrs.evolve(SMS, text="hello there"), True),
        (SMS, attrs.evolve(SMS, text="something else"), False),
        (SMS, attrs.evolve(SMS, recipients=(ANN,)), False),
        (SMS, MMS, False),
        (MMS, attrs.evolve(MMS, files=(attrs.evolve(JPEG, size_bytes=9),)), False),
        (FAX, attrs.evolve(FAX, files=(attrs.evolve(PDF, size_bytes=9),)), True),
        (FAX, attrs.evolve(FAX, recipients=(ANN,)), False),
        (FAX, attrs.evolve(FAX, files=(), recipients=(), resend_id=5), True),
    ],
)
def test_messages_that_look_alike_are_not_under_way_together(
    one: Outgoing,
    other: Outgoing,
    waits: bool,
) -> None:
    waiting, under_way = course.new("b", one, NOW), asked(other)
    assert course.is_behind(waiting, [under_way, waiting]) is waits
    assert not course.is_behind(waiting, [course.accepted(under_way, record(), NOW)])


def test_the_list_forgets_what_is_over() -> None:
    sent = course.accepted(asked(), record(messageStatus="Delivered"), NOW)
    assert [course.is_over(sent, NOW + days * 86_400) for days in (0.9, 1.1)] == [False, True]
    silent = course.accepted(asked(), record(), NOW)
    assert [course.is_over(silent, NOW + days * 86_400) for days in (6.9, 7.1)] == [False, True]
    planned = attrs.evolve(silent, outgoing=attrs.evolve(FAX, send_at_s=NOW + 30 * 86_400))
    assert not course.is_over(planned, NOW + 29 * 86_400)
    refused = course.refused(asked(), "no", NOW)
    assert [course.is_over(refused, NOW + days * 86_400) for days in (6.9, 7.1)] == [False, True]
    for kept in (asked(), look_until_decided(asked(), [record(), record(message_id=8)])):
        assert not course.is_over(kept, NOW + 1e9)


def test_a_message_that_was_deleted_is_final() -> None:
    sent = course.accepted(asked(FAX), fax(messageStatus="Queued"), NOW)
    assert course.told(sent, fax(availability="Deleted")).is_final
