"""How far a sent message is, and why it was not delivered, in words.

Source: the list of error codes in "Handling SMS messaging errors" of the API's documentation; the schemas
FaxErrorCodeEnum and MessageStatusEnum of the official description.
"""

import json
from types import MappingProxyType
from typing import Final

import attrs

from rcfs.model._fields import Record, objects, text_field
from rcfs.model._records import Message

_FAILED: Final = frozenset({"SendingFailed", "DeliveryFailed"})

_INVALID_NUMBER: Final = "the number does not exist, or cannot receive such messages, like a landline"
_OPTED_OUT: Final = "the recipient has opted out, and can reply START to receive messages again"
_SPAM: Final = "was filtered as spam"
_NO_SENDER: Final = "the sending number is not set up to send texts; an administrator can change that"

SMS_ERRORS: Final = MappingProxyType(
    {
        "SMS-RC-410": "RingCentral does not send to this number; it may be a landline",
        "SMS-RC-413": _OPTED_OUT,
        "SMS-RC-430": f"it {_SPAM} by RingCentral; change the text",
        "SMS-RC-500": "RingCentral failed for an unknown reason; try again later",
        "SMS-RC-501": "RingCentral made a mistake on the way to the gateway; its support can help",
        "SMS-RC-503": "RingCentral has set up the sending number wrongly; its support can help",
        "SMS-RC-504": "the account's text provider is set up wrongly; an administrator can help",
        "SMS-UP-410": _INVALID_NUMBER,
        "SMS-UP-413": _OPTED_OUT,
        "SMS-UP-414": _NO_SENDER,
        "SMS-UP-430": f"it {_SPAM} by the gateway; change the text",
        "SMS-UP-431": "the sending number is blocked as a source of spam; an administrator can help",
        "SMS-UP-432": "it is too large for the gateway; send less than 1,000 characters",
        "SMS-UP-433": "the gateway does not take it as it is written; change the text",
        "SMS-UP-500": "the gateway failed; try again later",
        "SMS-CAR-104": "the carrier has not said yet whether it was delivered",
        "SMS-CAR-199": "the carrier does not say whether it was delivered",
        "SMS-CAR-400": "the recipient's carrier does not support such messages",
        "SMS-CAR-410": "it expired before it reached the recipient; try again later",
        "SMS-CAR-411": _INVALID_NUMBER,
        "SMS-CAR-412": "the recipient cannot be reached now",
        "SMS-CAR-413": _OPTED_OUT,
        "SMS-CAR-414": _NO_SENDER,
        "SMS-CAR-430": f"it {_SPAM} by the recipient's carrier; change the text",
        "SMS-CAR-431": "the recipient's carrier refused it without a reason",
        "SMS-CAR-432": "it is too long for the recipient's carrier; send at most 160 characters",
        "SMS-CAR-433": "the recipient's carrier cannot read it; change the text",
        "SMS-CAR-434": "the files are too large for the recipient's carrier",
        "SMS-CAR-435": "the recipient's carrier refuses shortened links",
        "SMS-CAR-450": "the company has sent more to T-Mobile than it may in a day",
        "SMS-CAR-451": "the company has sent more to AT&T than it may in a day",
        "SMS-CAR-452": "the company has sent more than the carrier allows",
        "SMS-CAR-460": "the recipient refuses messages from short codes",
        "SMS-CAR-461": "the sending toll-free number is not verified; an administrator can start that",
        "SMS-CAR-500": "the recipient's carrier failed; try again later",
    }
)
"""The documented codes of texts that were not delivered. RC is found by RingCentral, UP by the gateway to the
carriers, CAR by the recipient's carrier."""

FAX_ERRORS: Final = MappingProxyType(
    {
        "AllLinesInUse": "all lines are in use",
        "Undefined": "the reason is not known",
        "NoFaxSendPermission": "you may not send faxes",
        "NoInternationalPermission": "you may not send faxes to other countries",
        "NoFaxMachine": "no fax machine answered",
        "NoAnswer": "nobody answered",
        "LineBusy": "the line was busy",
        "CallerHungUp": "the call was ended before the fax was complete",
        "NotEnoughCredits": "the account has not enough credit",
        "SentPartially": "only some pages were sent",
        "InternationalCallingDisabled": "the account may not call other countries",
        "DestinationCountryDisabled": "the account may not call this country",
        "UnknownCountryCode": "no country has the code of this number",
        "NotAccepted": "the other side did not accept it",
        "InvalidNumber": "the number is wrong",
        "CallDeclined": "the call was declined",
        "TooManyCallsPerLine": "too many calls use the line",
        "CallFailed": "the call failed",
        "RenderingFailed": "a file could not be turned into pages",
        "TooManyPages": "it has too many pages",
        "ReturnToDBQueue": "it is queued again",
        "NoCallTime": "no time was left for the call",
        "WrongNumber": "the number is wrong",
        "ProhibitedNumber": "nothing may be sent to this number",
        "InternalError": "RingCentral failed; try again later",
        "FaxSendingProhibited": "the account may not send faxes",
        "ThePhoneIsBlacklisted": "the number is blocked",
        "UserNotFound": "the sender is not known",
        "ConvertError": "a file could not be converted",
        "DBGeneralError": "RingCentral's database failed; try again later",
        "SkypeBillingFailed": "the billing failed",
        "AccountSuspended": "the account is suspended",
        "ProhibitedDestination": "nothing may be sent to this destination",
        "InternationalDisabled": "sending to other countries is disabled",
    }
)
"""The codes of faxes that were not delivered, all that the official description has."""


@attrs.frozen
class Delivery:
    """How far a sent message is."""

    status: str
    """The platform's word: Queued, Sent, Delivered, SendingFailed, DeliveryFailed; empty if it has none."""
    is_told: bool
    """Whether carriers tell of the delivery of such a message, as they do of texts."""
    problem: str = ""
    """Why it was not delivered, in words, with the code; else empty."""

    @property
    def is_failed(self) -> bool:
        """Whether it will not be delivered, at least to some recipients."""
        return self.status in _FAILED

    @property
    def is_final(self) -> bool:
        """Whether nothing more will be told."""
        return self.is_failed or (self.is_sent and not (self.is_told and self.status == "Sent"))

    @property
    def is_sent(self) -> bool:
        """Whether it has left RingCentral."""
        return self.status in ("Sent", "Delivered", "Received")


def delivery_of(message: Message) -> Delivery:
    """How far an outbound message is, by its record."""
    record: Record = json.loads(message.raw)
    status = text_field(record, "messageStatus")
    parties = objects(record.get("to"))
    failures = [each for each in (text_field(party, "messageStatus") for party in parties) if each in _FAILED]
    if status not in _FAILED and failures:
        status = failures[0]
    is_told = message.type == "SMS"
    if status not in _FAILED:
        return Delivery(status, is_told)
    codes = [text_field(record, "deliveryErrorCode")]
    for each in parties:
        codes += [text_field(each, "faxErrorCode"), text_field(each, "errorCode")]
    problems = dict.fromkeys(delivery_words(code) for code in codes if code)
    return Delivery(status, is_told, "; ".join(problems))


def delivery_words(code: str) -> str:
    """The meaning of an error code of a delivery, with the code in brackets; a new code stands alone."""
    words = SMS_ERRORS.get(code) or FAX_ERRORS.get(code)
    return f"{words} ({code})" if words else code
