"""The requests that send messages and upload greetings; none of them may be repeated blindly.

Source: the operations of the official description and their ``x-throttling-group``; "Sending MMS" and "Fax
multipart formats" of the API's documentation; for prompts, which the description lacks, that of the official
SDKs.
"""

from collections.abc import Sequence
from pathlib import Path

from rcfs.errors import ServerError
from rcfs.model import (
    HEAVY,
    LIGHT,
    MEDIUM,
    Message,
    Outgoing,
    OwnNumber,
    Record,
    SendFile,
    SendKind,
    is_usable_id,
    message_from,
    own_number_from,
)
from rcfs.platform._multipart import FilePart, MultipartBody, TextPart, json_part
from rcfs.platform._pages import records_of
from rcfs.platform._requests import LIST_PAGE, Request, json_body, wire_time

_ACCOUNT = "/restapi/v1.0/account/~"
_OWN = f"{_ACCOUNT}/extension/~"

USER_GREETINGS = (
    *("Introductory", "Announcement", "ConnectingMessage", "ConnectingAudio"),
    *("Voicemail", "Unavailable", "HoldMusic"),
)
"""Types of greetings that an extension can record. Source: createCustomUserGreeting."""
COMPANY_GREETINGS = ("Company", "StartRecording", "StopRecording", "AutomaticRecording")
"""Types of greetings that a company can record. Source: createCompanyGreeting."""


def list_phone_numbers() -> Request:
    """The first page of the numbers that the login's own extension may use, for `own_numbers`."""
    return Request("listExtensionPhoneNumbers", LIGHT, f"{_OWN}/phone-number", (("perPage", str(LIST_PAGE)),))


def own_numbers(document: Record) -> tuple[OwnNumber, ...]:
    """The numbers in the answer to `list_phone_numbers`.

    Raises:
        ServerError: It has no list.
    """
    found = (own_number_from(record) for record in records_of(document))
    return tuple(each for each in found if each is not None)


def send_message(outgoing: Outgoing, files: Sequence[Path], boundary: str) -> Request:
    """Sends `outgoing`; `sent_message` reads the answer.

    Args:
        outgoing: The message.
        files: The bytes of its files, in their order.
        boundary: Letters and digits that occur in no file, the same in every attempt.
    """
    if outgoing.kind is SendKind.FAX:
        return _send_fax(outgoing, files, boundary)
    if outgoing.kind is SendKind.PAGE:
        document = {
            "from": {"extensionNumber": outgoing.sender},
            "to": [{"extensionNumber": each} for each in outgoing.recipients],
            "text": outgoing.text,
        }
        body = json_body(document)
        return Request("createInternalTextMessage", MEDIUM, f"{_OWN}/company-pager", method="POST", body=body)
    document = {
        "from": {"phoneNumber": outgoing.sender},
        "to": [{"phoneNumber": each} for each in outgoing.recipients],
        **({"text": outgoing.text} if outgoing.text else {}),
    }
    if outgoing.kind is SendKind.SMS:
        body = json_body(document)
        return Request("createSMSMessage", MEDIUM, f"{_OWN}/sms", method="POST", body=body)
    parts: list[TextPart | FilePart] = [json_part(document)]
    parts += _file_parts("attachments", outgoing.files, files)
    form = MultipartBody(parts, boundary, "mixed")
    return Request("createMMS", MEDIUM, f"{_OWN}/mms", method="POST", body=form)


def _send_fax(outgoing: Outgoing, files: Sequence[Path], boundary: str) -> Request:
    at = {} if outgoing.send_at_s is None else {"sendTime": wire_time(outgoing.send_at_s)}
    if outgoing.resend_id is not None:
        to = {"to": [{"phoneNumber": each} for each in outgoing.recipients]} if outgoing.recipients else {}
        body = json_body({"originalMessageId": str(outgoing.resend_id), **to, **at})
        return Request("createFaxMessage", HEAVY, f"{_OWN}/fax", method="POST", body=body)
    fields = {
        "faxResolution": outgoing.resolution,
        "coverIndex": "" if outgoing.cover_index is None else str(outgoing.cover_index),
        "coverPageText": outgoing.cover_text,
        **at,
    }
    texts = [*(("to", each) for each in outgoing.recipients), *fields.items()]
    parts: list[TextPart | FilePart] = [TextPart(name, value) for name, value in texts if value]
    parts += _file_parts("attachment", outgoing.files, files)
    form = MultipartBody(parts, boundary)
    return Request("createFaxMessage", HEAVY, f"{_OWN}/fax", method="POST", body=form)


def sent_message(document: Record) -> Message:
    """The message in the answer to `send_message`.

    Raises:
        ServerError: It has no usable id.
    """
    message = message_from(document)
    if message is None:
        raise ServerError("the platform's answer to a sent message has no usable id")
    return message


def list_sent(type_: str, since_s: float) -> Request:
    """The first page of the messages of a type that the login's own extension has sent, also deleted ones.

    `since_s` is in seconds since 1970 UTC. It is for a look for a message whose answer was lost, so a page
    has all that can matter.
    """
    params = (
        ("availability", "Alive"),
        ("availability", "Deleted"),
        ("direction", "Outbound"),
        ("messageType", type_),
        ("dateFrom", wire_time(since_s)),
        ("perPage", str(LIST_PAGE)),
        ("page", "1"),
    )
    return Request("listMessages", LIGHT, f"{_OWN}/message-store", params)


def sent_messages(document: Record) -> tuple[Message, ...]:
    """The messages in the answer to `list_sent`.

    Raises:
        ServerError: It has no list.
    """
    found = (message_from(record) for record in records_of(document))
    return tuple(each for each in found if each is not None)


def set_greeting(kind: str, rule_id: str, file: SendFile, path: Path, boundary: str) -> Request:
    """Uploads a greeting of the login's own extension, and makes the answering rule `rule_id` use it.

    `kind` is one of `USER_GREETINGS`. An upload that is repeated replaces the greeting by the same one.

    Raises:
        ValueError: No rule has this id.
    """
    form = _greeting_form(kind, rule_id, file, path, boundary)
    return Request("createCustomUserGreeting", HEAVY, f"{_OWN}/greeting", method="POST", body=form)


def set_company_greeting(kind: str, rule_id: str, file: SendFile, path: Path, boundary: str) -> Request:
    """Uploads a greeting of the company; as `set_greeting`, with one of `COMPANY_GREETINGS`.

    An empty `rule_id` names no rule.
    """
    form = _greeting_form(kind, rule_id, file, path, boundary)
    return Request("createCompanyGreeting", MEDIUM, f"{_ACCOUNT}/greeting", method="POST", body=form)


def add_prompt(name: str, file: SendFile, path: Path, boundary: str) -> Request:
    """Uploads an IVR prompt of the company; a repeated one is a second prompt with the same name."""
    form = MultipartBody((TextPart("name", name), *_file_parts("attachment", (file,), (path,))), boundary)
    return Request("createIVRPrompt", HEAVY, f"{_ACCOUNT}/ivr-prompts", method="POST", body=form)


def _greeting_form(kind: str, rule_id: str, file: SendFile, path: Path, boundary: str) -> MultipartBody:
    if rule_id and not is_usable_id(rule_id):
        raise ValueError("no answering rule can have this id")
    rule = (TextPart("answeringRuleId", rule_id),) if rule_id else ()
    return MultipartBody((TextPart("type", kind), *rule, *_file_parts("binary", (file,), (path,))), boundary)


def _file_parts(field: str, files: Sequence[SendFile], paths: Sequence[Path]) -> list[FilePart]:
    return [
        FilePart(field, file.name, file.media_type, path, file.size_bytes)
        for file, path in zip(files, paths, strict=True)
    ]
