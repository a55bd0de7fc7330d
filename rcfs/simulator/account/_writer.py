"""Writes the text and the attachments of each message of the simulated account."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial

import attrs

from rcfs.simulator._dice import Dice, stable_int
from rcfs.simulator._params import iso_time
from rcfs.simulator.account import _texts
from rcfs.simulator.account._drafts import ATTACHMENT_STEP, Draft, Part, inside, outside, sized
from rcfs.simulator.account._fixtures import File, Fixture
from rcfs.simulator.account._people import COMPANY, MAIN_NUMBER, Contact, SimExtension, contact
from rcfs.simulator.account._plan import DAY_S, SimMessage, dialogue
from rcfs.simulator.media._audio import MP3_SECONDS, SAMPLE_RATE, Mp3Media, WavMedia
from rcfs.simulator.media._content import LaterMedia, Media, Mp4Media, TextMedia
from rcfs.simulator.media._fax import Letter, PdfMedia, TiffMedia
from rcfs.simulator.media._image import SMALLEST_BYTES, VARIANTS, GifMedia, JpegMedia, dimensions

_LARGE_FAX_BYTES = 12_000_000
"""Padding of the large fax: a dozen chunks of the cache."""
_MOVED_FAXES_S = 365 * DAY_S
"""Faxes younger than this are on the media host, older ones on the platform's, as in real payloads."""
_CONTACTS_AT_HAND = 400
"""Contacts that a writer keeps in memory: all of a mailbox."""
_THREADS_AT_HAND = 200
"""Threads that a writer keeps in memory: those of a block of the plan, whose lines alternate."""


@attrs.frozen(eq=False)
class Writer:
    """Writes the messages of one mailbox; a message always gets the same text. Any thread may use it."""

    seed: int
    """The account's seed."""
    owner: SimExtension
    """The owner of the mailbox."""
    colleagues: tuple[SimExtension, ...]
    """All extensions of the account."""
    end_s: float
    """The account's present, seconds since 1970 UTC."""
    _contact: Callable[[int], Contact] = attrs.field(init=False, repr=False)
    _thread: Callable[[str, int, str], tuple[Sequence[str], Mapping[str, str]]] = attrs.field(
        init=False, repr=False
    )
    _conversation_id: Callable[[int | str], int] = attrs.field(init=False, repr=False)

    @_contact.default
    def _remember_contacts(self) -> Callable[[int], Contact]:
        return lru_cache(_CONTACTS_AT_HAND)(partial(contact, self.seed, self.owner.slot))

    @_thread.default
    def _remember_threads(self) -> Callable[[str, int, str], tuple[Sequence[str], Mapping[str, str]]]:
        return lru_cache(_THREADS_AT_HAND)(self._new_thread)

    @_conversation_id.default
    def _remember_conversations(self) -> Callable[[int | str], int]:
        return lru_cache(_CONTACTS_AT_HAND)(self._new_conversation_id)

    def draft(self, message: SimMessage) -> Draft:
        """The text and attachments of `message`, which must be in this mailbox."""
        if message.fixture is not None:
            return self._fixture(message, message.fixture)
        dice = Dice(self.seed, "message", message.id)
        match message.type:
            case "VoiceMail":
                return self._voicemail(message, dice)
            case "Fax":
                return self._fax(message, dice)
            case "Pager":
                return self._pager(message)
            case _:
                return self._sms(message, dice)

    # Text messages.

    def _line(self, message: SimMessage, first: str) -> str:
        """The line of the dialogue at the message's turn; `first` is the other party's first name."""
        lines, facts = self._thread(message.type, message.thread, first)
        return lines[message.turn][1:].format_map(facts)

    def _new_thread(self, kind: str, thread: int, first: str) -> tuple[Sequence[str], Mapping[str, str]]:
        """The lines of a thread, and the values for the placeholders in them."""
        facts = _texts.facts_of(Dice(self.seed, "thread", self.owner.slot, thread), first)
        return dialogue(self.seed, self.owner.slot, kind, thread), facts

    def _sms(self, message: SimMessage, dice: Dice) -> Draft:
        others = self._sms_parties(message)
        own = {"phoneNumber": self.owner.phone_number, "name": self.owner.name}
        parties = [outside(other) for other in others]
        fields: dict[str, object] = {**self.conversation(message.contact)}
        if message.direction == "Inbound":
            fields |= {"from": parties[0], "to": [{**own, "target": True}, *parties[1:]]}
            fields["messageStatus"] = "Received"
        else:
            status = "DeliveryFailed" if dice.chance(0.02) else dice.pick(("Delivered", "Sent"))
            fields |= {"from": own, "to": parties, "messageStatus": status, "smsSendingAttemptsCount": 1}
            if status == "Delivered" and message.created_s is not None:
                fields["smsDeliveryTime"] = iso_time(message.created_s + dice.between(1, 20))
        parts: tuple[Part, ...] = ()
        if not message.has_files or dice.chance(0.7):
            text = self._line(message, others[0].first)
            fields |= {"subject": text, "segmentCount": math.ceil(max(1, len(text)) / 153)}
            parts = (Part(message.id, "Text", TextMedia(text)),)
        if message.has_files:
            count = 1 + dice.rank(4)
            parts += tuple(self._file(message, dice, len(parts) + place) for place in range(count))
        return Draft(fields, parts)

    def _sms_parties(self, message: SimMessage) -> list[Contact]:
        """The other parties of a text message; every ninth contact writes in a group of three."""
        numbers = [message.contact, message.contact + 1] if message.contact % 9 == 8 else [message.contact]
        return [self._contact(number) for number in numbers]

    def conversation(self, with_whom: int | str) -> dict[str, object]:
        """The conversation's ids; beyond 2^53, so a JSON parser may round the number but not the string."""
        number = self._conversation_id(with_whom)
        return {"conversationId": number, "conversation": {"id": str(number)}}

    def _new_conversation_id(self, with_whom: int | str) -> int:
        return (1 << 62) + stable_int(56, self.seed, "conversation", self.owner.slot, with_whom)

    def conversation_of(self, message: SimMessage) -> str:
        """Decimal id of the conversation of `message`, as in its draft; empty if it belongs to none.

        Faster than making the draft: 1 µs, 10 µs for a pager message.
        """
        if message.fixture is not None:
            return self.draft(message).conversation
        if message.type == "SMS":
            return str(self._conversation_id(message.contact))
        return str(self._conversation_id(_ids(self._group(message)))) if message.type == "Pager" else ""

    def _group(self, message: SimMessage) -> Sequence[SimExtension]:
        """The other parties of a pager message."""
        dice = Dice(self.seed, "pager", self.owner.slot, message.thread)
        others = len(self.colleagues) - 1
        first, count = dice.below(others), 3 if dice.chance(0.25) else 1
        # From `first` on around the list of colleagues, which leaves out the owner.
        places = [(first + step) % others for step in range(min(count, others))]
        return [self.colleagues[place + (place >= self.owner.slot)] for place in places]

    def _pager(self, message: SimMessage) -> Draft:
        group = self._group(message)
        text = self._line(message, "")
        sender, *recipients = (
            [self.owner, *group] if message.direction == "Outbound" else [group[0], self.owner, *group[1:]]
        )
        fields: dict[str, object] = {
            **self.conversation(_ids(group)),
            "from": inside(sender),
            "to": [inside(recipient) for recipient in recipients],
            "subject": text,
            "messageStatus": "Received" if message.direction == "Inbound" else "Sent",
            "pgToDepartment": any(recipient.type == "Department" for recipient in recipients),
        }
        return Draft(fields, (Part(message.id, "Text", TextMedia(text)),))

    # Files of an MMS.

    def _file(self, message: SimMessage, dice: Dice, place: int) -> Part:
        """One file of an MMS; the record contains its size, so the recipe determines it."""
        attachment_id = message.id + place * ATTACHMENT_STEP
        key = f"{self.seed}/{message.id}/{attachment_id}"
        chance = dice.unit()
        if chance < 0.06:
            return sized(attachment_id, _card(self._contact(dice.rank(40))), "contact.vcf")
        if chance < 0.14:
            return sized(attachment_id, Mp4Media(key, dice.between(60_000, 900_000)), "video.mp4")
        variant = dice.below(VARIANTS)
        if chance < 0.24:
            gif = GifMedia(key, variant, dice.between(SMALLEST_BYTES, 250_000))
            return sized(attachment_id, gif, "")
        jpeg = JpegMedia(key, variant, dice.between(3 * SMALLEST_BYTES, 600_000))
        name = dice.pick(_texts.HANDSET_FILE_NAMES).format_map(_texts.facts_of(dice, ""))
        part = sized(attachment_id, jpeg, name)
        if dice.chance(0.5):
            width, height = dimensions(variant)
            return attrs.evolve(part, fields={**part.fields, "height": height, "width": width})
        return part

    # Voicemails and faxes.

    def _voicemail(self, message: SimMessage, dice: Dice) -> Draft:
        caller = self._contact(message.contact)
        chance = dice.unit()
        party: dict[str, object]
        if chance < 0.08:
            party = {}  # the number is withheld
        elif chance < 0.12:
            party = {"name": "Anonymous"}
        elif chance < 0.2 and len(self.colleagues) > 1:
            party = inside(self.colleagues[self.owner.slot - 1])
        else:
            party = outside(caller)
        duration_s = 3 + dice.rank(58)
        recording, exact_s = self._recording(message.id, duration_s, dice)
        chance = dice.unit()
        status = "Completed" if chance < 0.7 else "CompletedPartially" if chance < 0.78 else "NotAvailable"
        fields: dict[str, object] = {
            "from": party,
            "to": [{"phoneNumber": self.owner.phone_number, "name": self.owner.name}],
            "messageStatus": "Received",
            "vmTranscriptionStatus": status,
        }
        parts = [Part(message.id, "AudioRecording", recording, fields={"vmDuration": exact_s})]
        if status != "NotAvailable":
            text = dice.pick(_texts.VOICEMAILS).format_map(_texts.facts_of(dice, caller.first))
            if status == "CompletedPartially":
                text = text[: len(text) // 2].rstrip() + " …"
            parts.append(Part(message.id + ATTACHMENT_STEP, "AudioTranscription", TextMedia(text)))
        return Draft(fields, tuple(parts))

    def _recording(self, message_id: int, duration_s: int, dice: Dice) -> tuple[Media, int]:
        """A recording of about `duration_s`, and its length rounded to seconds."""
        key = f"{self.seed}/{message_id}"
        if dice.chance(0.1):
            repeats = max(1, duration_s // MP3_SECONDS)
            return Mp3Media(key, repeats), repeats * MP3_SECONDS
        # Up to 0.45 s more or less than whole seconds, and an even number of frames.
        frames = duration_s * SAMPLE_RATE + 2 * dice.between(-1800, 1800)
        if dice.chance(0.6):
            return WavMedia(key, frames, 2, "audio/x-wav"), duration_s
        return WavMedia(key, frames, 1, "audio/wav"), duration_s

    def _fax(self, message: SimMessage, dice: Dice) -> Draft:
        other = self._contact(message.contact)
        pages = 1 + dice.rank(5)
        tiff = dice.chance(0.08)
        if tiff:
            pages = min(pages, 2)
        own = {"phoneNumber": self.owner.phone_number, "name": self.owner.name}
        fields: dict[str, object] = {
            "faxResolution": dice.pick(("High", "Low")),
            "faxPageCount": pages,
        }
        if message.direction == "Inbound":
            fields |= {
                "from": outside(other),
                "to": [own],
                "subject": other.number,
                "messageStatus": "Received",
            }
        else:
            failed = dice.chance(0.06)
            recipient = outside(other) | {"messageStatus": "SendingFailed" if failed else "Sent"}
            if failed:
                recipient["faxErrorCode"] = dice.pick(("LineBusy", "NoAnswer"))
            fields |= {"from": own, "to": [recipient], "subject": other.number}
            fields["messageStatus"] = recipient["messageStatus"]
        letter = partial(self._letter, message, other, pages)
        on_media_host = self.end_s - (message.created_s or 0.0) < _MOVED_FAXES_S
        media = (
            LaterMedia("image/tiff", lambda: TiffMedia(letter()))
            if tiff
            else LaterMedia("application/pdf", lambda: PdfMedia(letter()))
        )
        parts = [Part(message.id, "RenderedDocument", media, on_media_host)]
        if message.direction == "Outbound" and dice.chance(0.3):
            banner = f"original of fax {message.id}"
            source = LaterMedia("application/pdf", lambda: PdfMedia(attrs.evolve(letter(), banner=banner)))
            attachment_id = message.id + ATTACHMENT_STEP
            parts.append(Part(attachment_id, "SourceDocument", source, on_media_host))
        return Draft(fields, tuple(parts))

    def _letter(self, message: SimMessage, other: Contact, pages: int) -> Letter:
        dice = Dice(self.seed, "letter", message.id)
        facts = _texts.facts_of(dice, other.first)
        outside = (other.name or dice.pick(_texts.COMPANIES), other.location, f"Fax {other.number}")
        inside = (COMPANY, self.owner.name, "Larkspur, CA", f"Fax {self.owner.phone_number}")
        sender, recipient = (outside, inside) if message.direction == "Inbound" else (inside, outside)
        when = datetime.fromtimestamp(message.created_s or 0.0, UTC)
        body = [dice.pick(_texts.FAX_PARAGRAPHS).format_map(facts), ""]
        total = 0
        for _ in range(dice.between(3, 9)):
            count, cents = dice.between(1, 20), dice.between(199, 29_999)
            total += count * cents
            item = f"{count:>3} x {dice.pick(_texts.FAX_ITEMS)} at {cents / 100:.2f}"
            body.append(f"{item}: {count * cents / 100:.2f} USD")
        body += [f"Total: {total / 100:.2f} USD", "", dice.pick(_texts.FAX_PARAGRAPHS).format_map(facts)]
        number = other.number if message.direction == "Inbound" else self.owner.phone_number
        return Letter(
            banner=f"From {number}  {when:%Y-%m-%d %H:%M} UTC  fax {message.id}",
            sender=sender,
            recipient=recipient,
            date=f"{when:%Y-%m-%d}",
            title=dice.pick(_texts.FAX_TITLES).format_map(facts),
            body=tuple(body),
            pages=pages,
        )

    # Fixtures.

    def _fixture(self, message: SimMessage, fixture: Fixture) -> Draft:
        other = self._contact(0)
        fields: dict[str, object] = {
            "from": outside(other),
            "to": [{"phoneNumber": self.owner.phone_number, "name": self.owner.name}],
            "messageStatus": "Received",
        }
        if fixture.type == "SMS":
            fields |= self.conversation(0)
        if fixture.type == "Fax":
            fields |= {"faxResolution": "High", "faxPageCount": 1, "subject": other.number}
        if fixture.type == "VoiceMail":
            fields["vmTranscriptionStatus"] = "NotAvailable"
        fields |= fixture.fields
        parts = []
        for place, file in enumerate(fixture.files):
            attachment_id = message.id + place * ATTACHMENT_STEP if file.id is None else file.id
            parts.append(self._fixture_part(message, fields, file, attachment_id))
        return Draft({name: fields[name] for name in fields if name not in fixture.absent}, tuple(parts))

    def _fixture_part(
        self, message: SimMessage, fields: Mapping[str, object], file: File, attachment_id: int
    ) -> Part:
        other = self._contact(0)
        key = f"{self.seed}/{message.id}/{attachment_id}"
        match file.media:
            case "wav":
                recording = WavMedia(key, file.duration_s * SAMPLE_RATE, 2)
                shown = {"vmDuration": file.duration_s}
                part = Part(attachment_id, "AudioRecording", recording, fields=shown)
            case "pdf" | "large-pdf":
                letter = self._letter(message, other, file.pages)
                ballast = _LARGE_FAX_BYTES if file.media == "large-pdf" else 0
                part = Part(attachment_id, "RenderedDocument", PdfMedia(letter, ballast), on_media_host=True)
            case "jpeg":
                part = sized(attachment_id, JpegMedia(key, 0, SMALLEST_BYTES + attachment_id % 9973), None)
            case "vcard":
                part = sized(attachment_id, _card(other), "contact.vcf")
            case _:
                part = Part(attachment_id, "Text", TextMedia(str(fields["subject"])))
        return attrs.evolve(part, fields={**part.fields, **file.fields}, absent=file.absent)


def _ids(people: Sequence[SimExtension]) -> str:
    """The key of the conversation with `people`."""
    return ",".join(str(person.id) for person in people)


def _card(party: Contact) -> TextMedia:
    """A contact card (vCard 3.0, RFC 2426)."""
    lines = (
        "BEGIN:VCARD",
        "VERSION:3.0",
        f"FN:{party.name or party.number}",
        f"N:{party.name.rpartition(' ')[2]};{party.first};;;",
        f"TEL;TYPE=CELL:{party.number}",
        f"ORG:{COMPANY}",
        f"TEL;TYPE=WORK:{MAIN_NUMBER}",
        "END:VCARD",
        "",
    )
    return TextMedia("\r\n".join(lines), "text/vcard")
