"""Sending: SMS, MMS, pager messages and faxes. Nothing leaves the simulator.

A sent message is in the sender's message store at once, as queued, and becomes sent a little later. An SMS or
MMS to a colleague's number then arrives in that mailbox; a pager message arrives there at once.
"""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from rcfs.simulator._backend import EXTENSION_PATH, HEAVY, MEDIUM, Call, Operation
from rcfs.simulator._multipart import Piece, parse
from rcfs.simulator._wire import Answer, ApiError, bad_parameter, json_answer, not_found
from rcfs.simulator.account._drafts import Draft
from rcfs.simulator.account._message_sent import (
    BytesMedia,
    fax_draft,
    pager_draft,
    received_sms_draft,
    sent,
    sms_draft,
)
from rcfs.simulator.account._message_store import new_message
from rcfs.simulator.account._people import SimExtension
from rcfs.simulator.account._plan import SimMessage
from rcfs.simulator.api._bulk import json_object
from rcfs.simulator.api._messages import message_named, record_of
from rcfs.simulator.media._content import Media

MAX_SMS_UNITS, MAX_PAGER_UNITS = 1000, 1024
"""Longest texts, in units of UTF-16 (schemas CreateSMSMessage, CreateInternalTextMessageRequest)."""

MAX_MMS_FILES, MAX_MMS_BYTES = 10, 1_500_000
"""Most files of an MMS, and most bytes of them together (description of createSMSMessage)."""

MAX_FAX_BYTES = 50_000_000
"""Most bytes of the files of a fax together (description of createFaxMessage)."""

MAX_COVER_TEXT, COVERS = 1024, 13
"""Longest text of a cover page, and the highest number of one (schema of createFaxMessage)."""

SMS_GOES_OUT_S, FAX_GOES_OUT_S = 2.0, 30.0
"""Seconds from the request until the message is sent; the real values are unknown."""

RESOLUTIONS = ("High", "Low")
"""Values of faxResolution."""

Form = dict[str, Any]
"""Fields of a request, from its JSON and its form."""


def send_sms(call: Call) -> Answer:
    """A text message, or an MMS if there are files."""
    return _send_sms(call, needs_files=False)


def send_mms(call: Call) -> Answer:
    """A message with at least one file."""
    return _send_sms(call, needs_files=True)


def send_pager(call: Call) -> Answer:
    """A message to the named colleagues, or to the other parties of the message that it replies to."""
    sender, form = call.mailbox(), json_object(call)
    text = _text(form, MAX_PAGER_UNITS)
    if not text:
        raise bad_parameter("text", text)
    if "from" in form and _colleague(call, form["from"], "from").id != sender.id:
        raise bad_parameter("from", str(form["from"]))
    recipients = [
        _colleague(call, party, "to") for party in _entries(form, "to", needed="replyOn" not in form)
    ]
    if not recipients:
        recipients = _parties_of(call, sender, form["replyOn"])
    message = _put_pager(call, sender, sender, recipients, text)
    for recipient in {party.id: party for party in recipients if party.id != sender.id}.values():
        call.backend.messages.settle(recipient.id, call.backend.account_time())
        _put_pager(call, recipient, sender, recipients, text)
    return json_answer(record_of(call, message))


def send_fax(call: Call) -> Answer:
    """A fax of the request's files, or of those of an earlier fax."""
    owner = call.mailbox()
    form, files = _form(call)
    recipients = [_fax_recipient(entry) for entry in _entries(form, "to", needed=not _is_resend(form))]
    media: Sequence[Media] = [BytesMedia(piece.data, piece.content_type) for piece in files]
    if _is_resend(form):
        media, earlier = _earlier_fax(call, owner, str(form["originalMessageId"]))
        recipients = recipients or earlier
    if not media or sum(piece.size_bytes or 0 for piece in media) > MAX_FAX_BYTES:
        raise bad_parameter("attachment", "")
    options = _fax_options(form)
    message = new_message(call.backend.account, owner.id, "Fax", "Outbound", call.backend.account_time())
    writer = call.backend.account.writer(owner.id)
    draft = fax_draft(writer, message, recipients, media, options)
    return _send(call, message, draft, FAX_GOES_OUT_S)


def _send_sms(call: Call, *, needs_files: bool) -> Answer:
    owner = call.mailbox()
    form, files = _form(call)
    sender = _phone_number(form.get("from"), "from")
    if sender != owner.phone_number:
        raise ApiError(400, "MSG-304", "Phone number doesn't belong to extension", parameter="from")
    numbers = [_phone_number(entry, "to") for entry in _entries(form, "to", needed=True)]
    text = _text(form, MAX_SMS_UNITS)
    if (not text and not files) or (needs_files and not files):
        raise bad_parameter("attachments" if needs_files else "text", "")
    if len(files) > MAX_MMS_FILES or sum(len(piece.data) for piece in files) > MAX_MMS_BYTES:
        raise bad_parameter("attachments", "")
    account = call.backend.account
    message = new_message(account, owner.id, "SMS", "Outbound", call.backend.account_time())
    message.has_files = bool(files)
    draft = sms_draft(account.writer(owner.id), message, numbers, text, files)
    store, out_s = call.backend.messages, message.last_modified + SMS_GOES_OUT_S
    for colleague in account.extensions:
        if colleague.phone_number in numbers and colleague.status == "Enabled":
            store.plan(colleague.id, out_s, partial(_receive_sms, call, colleague, owner, message, draft))
    return _send(call, message, draft, SMS_GOES_OUT_S)


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


def _send(call: Call, message: SimMessage, draft: Draft, after_s: float) -> Answer:
    """Add `message` to its mailbox, and mark it as sent `after_s` seconds later."""
    store, out_s = call.backend.messages, message.last_modified + after_s
    store.arrive(message, draft)
    store.plan(message.extension_id, out_s, partial(store.revise, message, sent(draft, out_s)))
    return json_answer(record_of(call, message))


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


# Parts of a request.


def _form(call: Call) -> tuple[Form, list[Piece]]:
    """The fields and the files of a request, in JSON or multipart.

    A part in JSON contains fields, as the official SDKs send them. A part with a file name, or without a
    field name, is a file. Any other part is a field; ``to`` may occur several times.

    Raises:
        ApiError: 400, the body has another form.
    """
    pieces = parse(call.headers.get("content-type", ""), call.body)
    if pieces is None:
        return json_object(call), []
    form: Form = {}
    files = []
    for piece in pieces:
        if piece.content_type == "application/json":
            form |= _object(piece.data)
        elif piece.file_name or not piece.name:
            files.append(piece)
        elif piece.name in ("to", "from"):
            party = {"phoneNumber": piece.data.decode(errors="replace")}
            form[piece.name] = [*form.get("to", []), party] if piece.name == "to" else party
        else:
            form[piece.name] = piece.data.decode(errors="replace")
    return form, files


def _object(data: bytes) -> Form:
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise bad_parameter("body", "")
    return value


def _text(form: Form, most_units: int) -> str:
    """The text, which may be absent.

    Raises:
        ApiError: 400, it is not a string, or longer than `most_units` units of UTF-16.
    """
    text = form.get("text", "")
    if not isinstance(text, str) or len(text.encode("utf-16-le", "surrogatepass")) > 2 * most_units:
        raise bad_parameter("text", "")
    return text


def _entries(form: Form, name: str, *, needed: bool) -> list[Any]:
    """The list `name`.

    Raises:
        ApiError: 400, it is not a list, or is empty although `needed`.
    """
    value = form.get(name, [])
    if not isinstance(value, list) or (needed and not value):
        raise bad_parameter(name, "")
    return value


def _phone_number(party: Any, name: str) -> str:
    """The number of a party.

    Raises:
        ApiError: 400, the party has no number.
    """
    number = party.get("phoneNumber") if isinstance(party, dict) else None
    if not isinstance(number, str) or not number.removeprefix("+").isdecimal():
        raise bad_parameter(name, "")
    return number


def _fax_recipient(entry: Any) -> dict[str, str]:
    """A recipient of a fax; the schema has objects, the documentation's examples also have numbers."""
    party = {"phoneNumber": entry} if isinstance(entry, str) else entry
    number = {"phoneNumber": _phone_number(party, "to")}
    return number | ({"name": str(party["name"])} if party.get("name") else {})


def _fax_options(form: Form) -> dict[str, object]:
    """The fields of a fax request besides recipients and files, as the record shows them.

    Raises:
        ApiError: 400, a value is invalid.
    """
    options: dict[str, object] = {}
    resolution = form.get("faxResolution", "High")
    if resolution not in RESOLUTIONS:
        raise bad_parameter("faxResolution", str(resolution))
    options["faxResolution"] = resolution
    if "coverIndex" in form:
        index = str(form["coverIndex"])
        if not (index.isascii() and index.isdecimal() and int(index) <= COVERS):
            raise bad_parameter("coverIndex", index)
        options["coverIndex"] = int(index)
    if "coverPageText" in form:
        cover = str(form["coverPageText"])
        if len(cover) > MAX_COVER_TEXT:
            raise bad_parameter("coverPageText", "")
        options["coverPageText"] = cover
    return options


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
    return [draft.parts[0].media], [_fax_recipient(party) for party in to]


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
