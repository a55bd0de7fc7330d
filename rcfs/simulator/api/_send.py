"""Sending: SMS, MMS, pager messages and faxes. Nothing leaves the simulator.

A sent message is in the sender's message store at once, as queued, and becomes sent a little later, unless
one of its numbers always fails (`account._failing`). An SMS or MMS to a colleague's number then arrives in
that mailbox; a pager message arrives there at once. A fax may be scheduled; its deletion cancels it.
"""

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from rcfs.model import Availability
from rcfs.simulator._backend import EXTENSION_PATH, HEAVY, MEDIUM, Call, Operation
from rcfs.simulator._conduct import Sent
from rcfs.simulator._multipart import Piece
from rcfs.simulator._wire import Answer, ApiError, bad_parameter, json_answer, not_found
from rcfs.simulator.account._drafts import Draft
from rcfs.simulator.account._message_sent import (
    fax_course,
    fax_draft,
    pager_draft,
    received_sms_draft,
    sms_course,
    sms_draft,
)
from rcfs.simulator.account._message_store import new_message
from rcfs.simulator.account._numbers import MMS_SENDER, SMS_SENDER, numbers_of
from rcfs.simulator.account._people import SimExtension
from rcfs.simulator.account._plan import SimMessage
from rcfs.simulator.api._bulk import json_object
from rcfs.simulator.api._messages import message_named, record_of
from rcfs.simulator.api._send_form import (
    Form,
    check_fax_files,
    check_mms_files,
    entries_of,
    fax_options,
    fax_recipient,
    phone_number,
    read_form,
    send_time,
    text_of,
)
from rcfs.simulator.media._content import BytesMedia, Media

MAX_SMS_UNITS, MAX_PAGER_UNITS = 1000, 1024
"""Longest texts, in units of UTF-16 (schemas CreateSMSMessage, CreateInternalTextMessageRequest)."""

SHORTEST_NUMBER = 7
"""Digits of the shortest phone number; a shorter one is an extension's."""


def send_sms(call: Call) -> Answer:
    """A text message, or an MMS if there are files."""
    return _send_sms(call, needs_files=False)


def send_mms(call: Call) -> Answer:
    """A message with at least one file."""
    return _send_sms(call, needs_files=True)


def send_pager(call: Call) -> Answer:
    """A message to the named colleagues, or to the other parties of the message that it replies to."""
    sender, form = _sender(call), json_object(call)
    text = text_of(form, MAX_PAGER_UNITS)
    if not text:
        raise bad_parameter("text", text)
    if "from" in form and _colleague(call, form["from"], "from").id != sender.id:
        raise bad_parameter("from", str(form["from"]))
    recipients = [
        _colleague(call, party, "to") for party in entries_of(form, "to", needed="replyOn" not in form)
    ]
    if not recipients:
        recipients = _parties_of(call, sender, form["replyOn"])
    message = _put_pager(call, sender, sender, recipients, text)
    to = [str(party.id) for party in recipients]
    _note_send(call, message, to, text, out_s=message.last_modified)
    for recipient in {party.id: party for party in recipients if party.id != sender.id}.values():
        call.backend.messages.settle(recipient.id, call.backend.account_time())
        _put_pager(call, recipient, sender, recipients, text)
    return json_answer(record_of(call, message))


def send_fax(call: Call) -> Answer:
    """A fax of the request's files, or of those of an earlier fax."""
    owner = _sender(call)
    form, files = read_form(call)
    recipients = [fax_recipient(entry) for entry in entries_of(form, "to", needed=not _is_resend(form))]
    check_fax_files(files)
    media: Sequence[Media] = [BytesMedia(piece.data, piece.content_type) for piece in files]
    if _is_resend(form):
        media, earlier = _earlier_fax(call, owner, str(form["originalMessageId"]))
        recipients = recipients or earlier
    if not media:
        raise bad_parameter("attachment", "")
    options, backend = fax_options(form), call.backend
    start_s = send_time(form, backend.account_time())
    message = new_message(backend.account, owner.id, "Fax", "Outbound", backend.account_time())
    draft = fax_draft(backend.account.writer(owner.id), message, recipients, media, options)
    to = [recipient["phoneNumber"] for recipient in recipients]
    what = [options, form.get("originalMessageId"), form.get("sendTime")]
    is_scheduled = start_s > message.last_modified + 1e-3
    sent = _note_send(call, message, to, what, files, out_s=None if is_scheduled else start_s)
    backend.messages.arrive(message, draft)
    if is_scheduled:
        backend.messages.plan(owner.id, start_s, partial(_start, call, message, draft, sent))
    else:
        _plan_course(call, message, fax_course(draft, start_s))
    return json_answer(record_of(call, message))


def _start(call: Call, message: SimMessage, draft: Draft, sent: Sent, due_s: float) -> None:
    """Let a scheduled fax go out, unless it was deleted."""
    present = call.backend.account.message(message.extension_id, message.id)
    if present is not None and present.availability == Availability.ALIVE:
        sent.out_s = due_s
        _plan_course(call, message, fax_course(draft, due_s))


def _send_sms(call: Call, *, needs_files: bool) -> Answer:
    owner = _sender(call)
    form, files = read_form(call)
    own = _own_number(owner, form.get("from"), needs_files=needs_files or bool(files))
    numbers = [phone_number(entry, "to") for entry in entries_of(form, "to", needed=True)]
    if any(len(number) <= SHORTEST_NUMBER for number in numbers):
        raise ApiError(400, "MSG-246", "Sending SMS from/to extension numbers is not available")
    text = text_of(form, MAX_SMS_UNITS)
    if (not text and not files) or (needs_files and not files):
        raise bad_parameter("attachments" if needs_files else "text", "")
    check_mms_files(files)
    account, store = call.backend.account, call.backend.messages
    message = new_message(account, owner.id, "SMS", "Outbound", call.backend.account_time())
    message.has_files = bool(files)
    draft = sms_draft(account.writer(owner.id), message, own, numbers, text, files)
    course = sms_course(draft, message.last_modified)
    _note_send(call, message, numbers, [own, text], files, out_s=message.last_modified)
    for colleague in account.extensions:
        if colleague.phone_number in numbers and colleague.status == "Enabled":
            receive = partial(_receive_sms, call, colleague, owner, message, draft)
            store.plan(colleague.id, course[0][0], receive)
    store.arrive(message, draft)
    _plan_course(call, message, course)
    return json_answer(record_of(call, message))


def _receive_sms(
    call: Call,
    colleague: SimExtension,
    sender: SimExtension,
    original: SimMessage,
    sent_draft: Draft,
    due_s: float,
) -> None:
    """Deliver the SMS that `sender` sent into the mailbox of `colleague`."""
    account = call.backend.account
    message = new_message(account, colleague.id, "SMS", "Inbound", due_s)
    message.has_files = original.has_files
    draft = received_sms_draft(account.writer(colleague.id), message, sender, sent_draft)
    call.backend.messages.arrive(message, draft)


def _plan_course(call: Call, message: SimMessage, course: Sequence[tuple[float, Draft]]) -> None:
    """Plan the next states of `message`, each with its time."""
    store = call.backend.messages
    for due_s, draft in course:
        store.plan(message.extension_id, due_s, partial(store.revise, message, draft))


def _note_send(
    call: Call,
    message: SimMessage,
    to: Sequence[str],
    what: object,
    files: Sequence[Piece] = (),
    *,
    out_s: float | None,
) -> Sent:
    """Note a message that is sent; an equal one soon after is a violation."""
    sent = Sent(
        operation=call.operation.id,
        id=str(message.id),
        sender=str(message.extension_id),
        to=sorted(to),
        what=what,
        files=[hashlib.sha256(piece.data).hexdigest() for piece in files],
        accepted_s=call.backend.account_time(),
        out_s=out_s,
    )
    call.note(call.backend.sends.add(sent))
    return sent


def _sender(call: Call) -> SimExtension:
    """The extension that the path names, which must be that of the login.

    Raises:
        ApiError: 403 CMN-419, this login may not read its mailbox; CMN-408, nobody sends for others.
    """
    owner = call.mailbox()
    if owner.id != call.user.id:
        words = "In order to call this API endpoint, user needs to be the sender"
        raise ApiError(403, "CMN-408", words, permission="OutboundSMS")
    return owner


def _own_number(owner: SimExtension, party: object, *, needs_files: bool) -> str:
    """The number of `owner` from which an SMS or MMS goes out.

    Raises:
        ApiError: 400 MSG-304, it has no such number; MSG-242, its number cannot send this.
    """
    wanted = phone_number(party, "from")
    for number in numbers_of(owner):
        if number.number == wanted and number.usage == "DirectNumber":
            if (MMS_SENDER if needs_files else SMS_SENDER) not in number.features:
                raise ApiError(400, "MSG-242", "The requested feature is not available", parameter="from")
            return wanted
    raise ApiError(400, "MSG-304", "Phone number doesn't belong to extension", parameter="from")


def _put_pager(
    call: Call,
    owner: SimExtension,
    sender: SimExtension,
    recipients: Sequence[SimExtension],
    text: str,
) -> SimMessage:
    """A pager message in the mailbox of `owner`, who sends or receives it."""
    account = call.backend.account
    direction = "Outbound" if owner.id == sender.id else "Inbound"
    message = new_message(account, owner.id, "Pager", direction, call.backend.account_time())
    draft = pager_draft(account.writer(owner.id), message, sender, recipients, text)
    call.backend.messages.arrive(message, draft)
    return message


def _is_resend(form: Form) -> bool:
    return "originalMessageId" in form


def _earlier_fax(
    call: Call, owner: SimExtension, message_id: str
) -> tuple[list[Media], list[dict[str, str]]]:
    """The documents and the recipients of an earlier fax of `owner`.

    Raises:
        ApiError: 400 or 404, there is no such fax.
    """
    message = message_named(call, owner.id, message_id)
    draft = call.backend.account.draft(message)
    if message.type != "Fax" or not draft.parts:
        raise bad_parameter("originalMessageId", message_id)
    to: Any = draft.fields.get("to", [])
    return [draft.parts[0].media], [fax_recipient(party) for party in to]


def _colleague(call: Call, party: Any, name: str) -> SimExtension:
    """The extension that a party of a pager message names, by id or number.

    Raises:
        ApiError: 400, no such extension exists.
    """
    wanted = party if isinstance(party, dict) else {}
    for extension in call.backend.account.extensions:
        by_id = wanted.get("extensionId") == str(extension.id)
        if by_id or (extension.number and wanted.get("extensionNumber") == extension.number):
            return extension
    raise bad_parameter(name, str(party))


def _parties_of(call: Call, owner: SimExtension, message_id: object) -> list[SimExtension]:
    """The other parties of a pager message to which `owner` replies.

    Raises:
        ApiError: 400 or 404, there is no such message.
    """
    message = message_named(call, owner.id, str(message_id))
    fields: Any = call.backend.account.draft(message).fields
    if message.type != "Pager":
        raise not_found("replyOn")
    ids = {party["extensionId"] for party in (fields["from"], *fields["to"])} - {str(owner.id)}
    return [extension for extension in call.backend.account.extensions if str(extension.id) in ids]


OPERATIONS = (
    Operation("createSMSMessage", "POST", EXTENSION_PATH + "/sms", MEDIUM, send_sms),
    Operation("createMMS", "POST", EXTENSION_PATH + "/mms", MEDIUM, send_mms),
    Operation("createInternalTextMessage", "POST", EXTENSION_PATH + "/company-pager", MEDIUM, send_pager),
    Operation("createFaxMessage", "POST", EXTENSION_PATH + "/fax", HEAVY, send_fax),
)
"""Operations of this module."""
