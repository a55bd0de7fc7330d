"""Messages that can be sent, and the words for those that cannot."""

import json
from typing import Any

import pytest

from rcfs.model import (
    MMS_SENDER,
    SMS_SENDER,
    Outgoing,
    OwnNumber,
    SendFile,
    SendKind,
    country_of,
    delivery_of,
    e164,
    extension_number,
    media_type_for,
    message_from,
    outgoing_from_json,
    outgoing_to_json,
    own_number_from,
    sender_among,
    sent_name,
    text_parts,
)
from rcfs.model._delivery import FAX_ERRORS, SMS_ERRORS
from rcfs.simulator.account._failing import SMS_CODES
from tests.fakes.description import description, needs_description

BOB, ANN = "+12125557464", "+13035556830"
PDF = SendFile("contract.pdf", "application/pdf", 40_000_000, "ab" * 32)
JPEG = SendFile("photo.jpg", "image/jpeg", 150_000, "cd" * 32)
NUMBERS = (
    OwnNumber("+16505550100", frozenset({"CallerId"}), "US"),
    OwnNumber("+442079460018", frozenset({SMS_SENDER}), "GB"),
    OwnNumber("+16505550101", frozenset({SMS_SENDER, MMS_SENDER}), "US", is_primary=True),
)


def sms(**changes: Any) -> Outgoing:
    fields: dict[str, Any] = {"kind": SendKind.SMS, "recipients": (BOB,), "sender": ANN, "text": "hi"}
    return Outgoing(**fields | changes)


def mms(**changes: Any) -> Outgoing:
    return sms(**{"kind": SendKind.MMS, "files": (JPEG,)} | changes)


def fax(**changes: Any) -> Outgoing:
    fields: dict[str, Any] = {"kind": SendKind.FAX, "recipients": (BOB,), "files": (PDF,)}
    return Outgoing(**fields | changes)


@pytest.mark.parametrize(
    "message",
    [
        sms(),
        sms(text="x" * 1000),
        sms(text="😀" * 500),
        mms(text="", files=(JPEG,) * 10),
        fax(files=(PDF,), cover_index=13, cover_text="x" * 1024, resolution="Low", send_at_s=1e9),
        fax(files=(), recipients=(), resend_id=7),
        Outgoing(SendKind.PAGE, ("102", "103"), "101", "x" * 1024),
    ],
)
def test_a_message_is_the_same_after_a_kill(message: Outgoing) -> None:
    kept = json.dumps(outgoing_to_json(message))
    assert outgoing_from_json(json.loads(kept)) == message


@pytest.mark.parametrize(
    ("make", "changes", "words"),
    [
        (sms, {"text": "x" * 1001}, "1,001 characters, and may have 1,000"),
        (sms, {"text": "😀" * 501}, "1,002 characters"),
        (sms, {"text": " \n"}, "the text is empty"),
        (sms, {"text": "\ud800"}, "not UTF-8"),
        (sms, {"files": (JPEG,)}, "has no files"),
        (sms, {"recipients": ()}, "needs a recipient"),
        (sms, {"recipients": (BOB, BOB)}, "named twice"),
        (sms, {"sender": ""}, "number to send from"),
        (sms, {"send_at_s": 1.0}, "only a fax can be sent at a later time"),
        (sms, {"resend_id": 1}, "only a fax can be sent again"),
        (sms, {"cover_text": "x"}, "only a fax has a cover page"),
        (sms, {"kind": SendKind.PAGE, "text": "x" * 1025}, "may have 1,024"),
        (mms, {"files": ()}, "needs a file"),
        (mms, {"files": (JPEG,) * 11}, "10 files, and this one has 11"),
        (mms, {"files": (JPEG, SendFile("a.png", "image/png", 1_350_001, ""))}, "1.5 MB together"),
        (mms, {"files": (SendFile("a.png", "image/png", 0, ""),)}, "a.png is empty"),
        (fax, {"files": ()}, "needs a file"),
        (fax, {"files": (PDF, SendFile("b.pdf", "application/pdf", 10_000_001, ""))}, "50 MB together"),
        (fax, {"sender": ANN}, "cannot be chosen"),
        (fax, {"text": "x"}, "a fax has no text"),
        (fax, {"resolution": "Fine"}, "High or Low"),
        (fax, {"cover_index": 14}, "1 to 13"),
        (fax, {"cover_text": "x" * 1025}, "1,025 characters, and may have 1,024"),
        (fax, {"cover_index": 0, "cover_text": "x"}, "without a cover page"),
        (fax, {"resend_id": 7}, "the pages of the first time"),
    ],
)
def test_the_platform_would_refuse_it(make: Any, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        make(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("+1 212-555-7464", "", BOB),
        ("(212) 555-7464", "US", BOB),
        ("212.555.7464", "CA", BOB),
        ("020 7946 0018", "GB", "+442079460018"),
        ("tel:+12125557464", "", BOB),
        ("+49 (30) 901820", "US", "+4930901820"),
    ],
)
def test_numbers_in_any_notation(text: str, country: str, number: str) -> None:
    assert e164(text, country) == number


@pytest.mark.parametrize(
    ("text", "country", "words"),
    [
        ("212-555-7464", "", "write it with . and the country code"),
        ("555", "US", "too few or too many digits"),
        ("+1234", "", "too few or too many digits"),
        ("+1212555746412345", "US", "too few or too many digits"),
        ("Bob", "US", "'Bob' is no phone number"),
        ("", "US", "is empty"),
        ("+12125557464 ext. 5", "US", "has an extension"),
    ],
)
def test_numbers_that_cannot_exist(text: str, country: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        e164(text, country)


def test_an_extension_is_a_number() -> None:
    assert extension_number("102") == "102"
    with pytest.raises(ValueError, match="'Bob' is no extension number"):
        extension_number("Bob")


def test_the_best_own_number_is_the_primary_one_with_the_feature() -> None:
    assert country_of(NUMBERS) == "US"
    assert sender_among(NUMBERS, SMS_SENDER) == "+16505550101"
    assert sender_among(NUMBERS, SMS_SENDER, "+44 20 7946 0018") == "+442079460018"
    with pytest.raises(ValueError, match=r"\+442079460018 cannot send texts with files; send from \+1650"):
        sender_among(NUMBERS, MMS_SENDER, "+442079460018")
    with pytest.raises(ValueError, match="is not a number of yours"):
        sender_among(NUMBERS, SMS_SENDER, BOB)
    with pytest.raises(ValueError, match="no number of yours can send texts"):
        sender_among(NUMBERS[:1], SMS_SENDER)


def test_numbers_of_records_may_be_odd() -> None:
    record = {"phoneNumber": BOB, "features": [SMS_SENDER, 7], "country": {"isoCode": "us"}, "primary": True}
    assert own_number_from(record) == OwnNumber(BOB, frozenset({SMS_SENDER, "7"}), "US", "", is_primary=True)
    assert own_number_from({"phoneNumber": BOB, "features": "x", "country": 1}) == OwnNumber(BOB)
    assert own_number_from({"phoneNumber": "(212) 555-7464"}) is None


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("R&D 50%.pdf", "R_D 50_.pdf"),
        ('a"b\\c\n.pdf', "a_b_c_.pdf"),
        ("/home/jane/x.pdf", "x.pdf"),
        ("é" * 150 + ".pdf", "é" * 98 + ".pdf"),
    ],
)
def test_names_hold_nothing_that_the_platform_refuses(name: str, sent: str) -> None:
    assert sent_name(name) == sent


def test_only_some_types_of_files_can_be_sent() -> None:
    assert media_type_for(SendKind.FAX, "A.PDF") == "application/pdf"
    assert media_type_for(SendKind.MMS, "a.jpeg") == "image/jpeg"
    with pytest.raises(ValueError, match=r"film\.mp4: a fax takes no such file, only bmp"):
        media_type_for(SendKind.FAX, "film.mp4")
    with pytest.raises(ValueError, match="a text takes no such file"):
        media_type_for(SendKind.MMS, "noend")


@pytest.mark.parametrize(
    ("text", "parts"),
    [("a" * 160, 1), ("a" * 161, 2), ("€" * 81, 2), ("ж" * 70, 1), ("ж" * 71, 2), ("a" * 1000, 7)],
)
def test_parts_of_texts(text: str, parts: int) -> None:
    assert text_parts(text) == parts


def test_every_documented_code_of_a_text_has_words() -> None:
    assert set(SMS_CODES) == set(SMS_ERRORS)


@needs_description
def test_every_documented_code_of_a_fax_has_words() -> None:
    assert set(description()["components"]["schemas"]["FaxErrorCodeEnum"]["enum"]) == set(FAX_ERRORS)


@pytest.mark.parametrize(
    ("fields", "status", "problem", "final"),
    [
        ({"messageStatus": "Queued"}, "Queued", "", False),
        ({"messageStatus": "Sent"}, "Sent", "", False),
        ({"messageStatus": "Sent", "type": "Fax"}, "Sent", "", True),
        ({"messageStatus": "Delivered"}, "Delivered", "", True),
        (
            {"messageStatus": "SendingFailed", "deliveryErrorCode": "SMS-RC-413"},
            "SendingFailed",
            "the recipient has opted out, and can reply START to receive messages again (SMS-RC-413)",
            True,
        ),
        (
            {"to": [{"messageStatus": "SendingFailed", "faxErrorCode": "LineBusy"}], "type": "Fax"},
            "SendingFailed",
            "the line was busy (LineBusy)",
            True,
        ),
        (
            {"messageStatus": "DeliveryFailed", "deliveryErrorCode": "SMS-NEW-1"},
            "DeliveryFailed",
            "SMS-NEW-1",
            True,
        ),
        ({"messageStatus": 7, "to": "x"}, "", "", False),
    ],
)
def test_delivery_in_words(fields: dict[str, Any], status: str, problem: str, final: bool) -> None:
    message = message_from({"id": 1, "type": "SMS"} | fields)
    assert message is not None
    delivery = delivery_of(message)
    assert (delivery.status, delivery.problem, delivery.is_final) == (status, problem, final)
