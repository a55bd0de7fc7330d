"""Drafts of messages that clients send; their text and files are stored, as no seed determines them."""

import re
from collections.abc import Sequence

import attrs

from rcfs.simulator._multipart import Piece
from rcfs.simulator._params import iso_time
from rcfs.simulator.account._drafts import ATTACHMENT_STEP, Draft, Part, inside, outside, sized
from rcfs.simulator.account._failing import FAILING_FAX, FAILING_SMS, TOO_MANY_PAGES
from rcfs.simulator.account._people import Contact, SimExtension, contact
from rcfs.simulator.account._plan import SimMessage
from rcfs.simulator.account._writer import Writer
from rcfs.simulator.media._content import BytesMedia, Media, MediaBases, TextMedia
from rcfs.simulator.media._fax import Letter, PdfMedia

KNOWN_CONTACTS = 400
"""Contacts of an extension that are looked up; a message to one of them joins its conversation."""

SEGMENT_CHARACTERS = 153
"""Characters of one segment of a long SMS (3GPP TS 23.040: 160, of which 7 number the segment)."""

SMS_GOES_OUT_S, SMS_ARRIVES_S = 2.0, 5.0
"""Seconds from the request until an SMS or MMS is sent, and until it is delivered. U: the real values."""

FAX_PAGE_S = 60.0
"""Seconds that a page of a fax takes: 1 to 5 minutes (documentation of faxes)."""

MOST_FAX_PAGES = 200
"""Most pages of a fax."""

_PAGE = re.compile(rb"/Type\s*/Page\b")
_LINES_PER_PAGE = 30
"""Lines that fit on a page of `Letter`."""
_COLUMNS = 90
"""Characters of Helvetica 11 that fit on a line of a letter."""


def sms_draft(
    writer: Writer, message: SimMessage, own: str, numbers: Sequence[str], text: str, files: Sequence[Piece]
) -> Draft:
    """A queued SMS from the number `own` to the phone `numbers`, or an MMS if there are `files`."""
    parties = [_party(writer, number) for number in numbers]
    fields: dict[str, object] = {
        **writer.conversation(_with_whom(writer, numbers)),
        "from": {"phoneNumber": own, "name": writer.owner.name},
        "to": parties,
        "messageStatus": "Queued",
        "smsSendingAttemptsCount": 1,
    }
    parts: list[Part] = []
    if text or not files:
        fields |= {"subject": text, "segmentCount": -(-max(1, len(text)) // SEGMENT_CHARACTERS)}
        parts.append(Part(message.id, "Text", TextMedia(text)))
    for piece in files:
        media = BytesMedia(piece.data, piece.content_type)
        parts.append(sized(message.id + len(parts) * ATTACHMENT_STEP, media, piece.file_name))
    return Draft(fields, tuple(parts))


def received_sms_draft(writer: Writer, message: SimMessage, sender: SimExtension, sent_draft: Draft) -> Draft:
    """The SMS `sent_draft` of `sender` as it appears in the mailbox of the writer's owner, a colleague."""
    own = writer.owner.phone_number
    numbers = _numbers(sent_draft)
    others = [sender.phone_number, *(number for number in numbers if number != own)]
    fields: dict[str, object] = {
        **writer.conversation(_with_whom(writer, others)),
        "from": {"phoneNumber": sender.phone_number, "name": sender.name},
        "to": [
            {"phoneNumber": own, "name": writer.owner.name, "target": True},
            *(_party(writer, number) for number in numbers if number != own),
        ],
        "messageStatus": "Received",
    }
    words = ("subject", "segmentCount")
    fields |= {name: sent_draft.fields[name] for name in words if name in sent_draft.fields}
    parts = (
        attrs.evolve(part, id=message.id + place * ATTACHMENT_STEP)
        for place, part in enumerate(sent_draft.parts)
    )
    return Draft(fields, tuple(parts))


def pager_draft(
    writer: Writer,
    message: SimMessage,
    sender: SimExtension,
    recipients: Sequence[SimExtension],
    text: str,
) -> Draft:
    """A pager message of `sender`, as it appears in the mailbox of the writer's owner: sent or received."""
    others = [party for party in (sender, *recipients) if party.id != writer.owner.id]
    fields: dict[str, object] = {
        **writer.conversation(",".join(str(party.id) for party in others)),
        "from": inside(sender),
        "to": [inside(party) for party in recipients],
        "subject": text,
        "messageStatus": "Received" if message.direction == "Inbound" else "Sent",
        "pgToDepartment": any(party.type == "Department" for party in recipients),
    }
    return Draft(fields, (Part(message.id, "Text", TextMedia(text)),))


def fax_draft(
    writer: Writer,
    message: SimMessage,
    recipients: Sequence[dict[str, str]],
    files: Sequence[Media],
    options: dict[str, object],
) -> Draft:
    """A queued fax, rendered from the first of `files`.

    Args:
        writer: The writer of the sender's mailbox.
        message: The message.
        recipients: Their phoneNumber, and their name if the client gave one.
        files: The uploaded files, at least one.
        options: Further fields of the record, such as faxResolution.
    """
    number = recipients[0]["phoneNumber"]
    rendered = _rendered(writer, message, number, files[0])
    fields: dict[str, object] = {
        "faxResolution": "High",
        **options,
        "faxPageCount": sum(map(_pages, files)),
        "from": {"phoneNumber": writer.owner.phone_number, "name": writer.owner.name},
        "to": [{**_party(writer, to["phoneNumber"]), **to, "messageStatus": "Queued"} for to in recipients],
        "subject": number,
        "messageStatus": "Queued",
    }
    parts = [Part(message.id, "RenderedDocument", rendered, on_media_host=True)]
    parts += [
        Part(message.id + place * ATTACHMENT_STEP, "SourceDocument", media, on_media_host=True)
        for place, media in enumerate(files, start=1)
    ]
    return Draft(fields, tuple(parts))


def sms_course(draft: Draft, start_s: float) -> list[tuple[float, Draft]]:
    """The states of the queued SMS or MMS `draft`, each with the time at which it begins.

    It is sent, and then delivered. If one of its numbers always fails (`FAILING_SMS`), sending fails, or
    delivery if the carrier reports the error.
    """
    out_s, done_s = start_s + SMS_GOES_OUT_S, start_s + SMS_ARRIVES_S
    codes = [FAILING_SMS[number] for number in _numbers(draft) if number in FAILING_SMS]
    failed = {"deliveryErrorCode": codes[0]} if codes else {}
    if codes and not codes[0].startswith("SMS-CAR-"):
        return [(out_s, _with(draft, messageStatus="SendingFailed", **failed))]
    end = _with(draft, messageStatus="DeliveryFailed", **failed)
    if not codes:
        end = _with(draft, messageStatus="Delivered", smsDeliveryTime=iso_time(done_s))
    return [(out_s, _with(draft, messageStatus="Sent")), (done_s, end)]


def fax_course(draft: Draft, start_s: float) -> list[tuple[float, Draft]]:
    """The states of the queued fax `draft`, each with the time at which it begins.

    Sending fails for the numbers in `FAILING_FAX`, and for all numbers if it has too many pages.
    """
    pages = draft.fields["faxPageCount"]
    if not isinstance(pages, int):
        raise TypeError(f"faxPageCount is {pages!r}")
    parties = []
    for party in _parties(draft):
        code = FAILING_FAX.get(str(party["phoneNumber"]), "") if pages <= MOST_FAX_PAGES else TOO_MANY_PAGES
        failed = {"messageStatus": "SendingFailed", "faxErrorCode": code}
        parties.append({**party, **(failed if code else {"messageStatus": "Sent"})})
    has_failed = any("faxErrorCode" in party for party in parties)
    end = _with(draft, to=parties, messageStatus="SendingFailed" if has_failed else "Sent")
    return [(start_s + FAX_PAGE_S * min(pages, MOST_FAX_PAGES), end)]


def _with(draft: Draft, **fields: object) -> Draft:
    return attrs.evolve(draft, fields={**draft.fields, **fields})


def _numbers(draft: Draft) -> list[str]:
    return [str(party["phoneNumber"]) for party in _parties(draft)]


def _pages(media: Media) -> int:
    """The pages of a file of a fax, at least 1."""
    if media.content_type == "text/plain":
        lines = media.render(MediaBases()).count(b"\n")
        return max(1, -(-lines // _LINES_PER_PAGE))
    return len(_PAGE.findall(media.render(MediaBases()))) or 1


def _parties(draft: Draft) -> list[dict[str, object]]:
    """The recipients of a message."""
    to = draft.fields["to"]
    return to if isinstance(to, list) else []


def _party(writer: Writer, number: str) -> dict[str, object]:
    """A party outside the account, by number."""
    known = _contact(writer, number)
    return {"phoneNumber": number} if known is None else outside(known[1])


def _with_whom(writer: Writer, numbers: Sequence[str]) -> int | str:
    """The key of the owner's conversation with `numbers`."""
    known = _contact(writer, numbers[0]) if len(numbers) == 1 else None
    # Every ninth contact writes in a group of three, which is another conversation (`Writer`).
    return ",".join(sorted(numbers)) if known is None or known[0] % 9 == 8 else known[0]


def _contact(writer: Writer, number: str) -> tuple[int, Contact] | None:
    """The owner's contact with `number`, and its index."""
    people = ((i, contact(writer.seed, writer.owner.slot, i)) for i in range(KNOWN_CONTACTS))
    return next(((i, person) for i, person in people if person.number == number), None)


def _rendered(writer: Writer, message: SimMessage, number: str, media: Media) -> Media:
    """The faxed document: a PDF unchanged, a text as a letter, anything else according to its type."""
    if media.content_type == "application/pdf":
        return media
    text = f"[{media.content_type}, {media.size_bytes} bytes]"
    if media.content_type == "text/plain":
        text = media.render(MediaBases()).decode("latin-1", "replace")
    lines = [line[:_COLUMNS] for line in text.splitlines()][: _LINES_PER_PAGE - 1]
    when = iso_time(message.created_s or 0.0)
    letter = Letter(
        banner=f"From {writer.owner.phone_number}  {when[:16].replace('T', ' ')} UTC  fax {message.id}",
        sender=(writer.owner.name.encode("latin-1", "replace").decode("latin-1"),),
        recipient=(f"Fax {number}",),
        date=when[:10],
        title="Fax",
        body=tuple(lines),
        pages=_pages(media),
    )
    return PdfMedia(letter)
