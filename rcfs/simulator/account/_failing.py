"""Phone numbers to which sending always fails, one for each documented reason.

They are ``+1202555`` and four digits; no generated contact has such a number. For an SMS or MMS the first
digit names the source of the error (1 RingCentral, 2 its upstream, 3 the carrier), the others are the code: a
text to +1 202 555 1413 fails with SMS-RC-413, the recipient has opted out. For a fax the first is 4, the
others are the place of the code in `FAX_CODES`, from 001: a fax to +1 202 555 4007 finds the line busy.

Source: "Handling SMS Messaging Errors" of RingCentral's API documentation; schema FaxErrorCodeEnum.
"""

from collections.abc import Mapping
from types import MappingProxyType

PREFIX = "+1202555"
"""Beginning of all these numbers."""

_SOURCES = {"RC": 1, "UP": 2, "CAR": 3}

SMS_CODES = (
    *(f"SMS-RC-{code}" for code in (410, 413, 430, 500, 501, 503, 504)),
    *(f"SMS-UP-{code}" for code in (410, 413, 414, 430, 431, 432, 433, 500)),
    *(f"SMS-CAR-{code}" for code in (104, 199, 400, 410, 411, 412, 413, 414)),
    *(f"SMS-CAR-{code}" for code in (430, 431, 432, 433, 434, 435, 450, 451, 452, 460, 461, 500)),
)
"""All documented values of deliveryErrorCode."""

TOO_MANY_PAGES = "TooManyPages"
"""The code of a fax with more pages than the platform sends."""

FAX_CODES = (
    *("AllLinesInUse", "Undefined", "NoFaxSendPermission", "NoInternationalPermission", "NoFaxMachine"),
    *("NoAnswer", "LineBusy", "CallerHungUp", "NotEnoughCredits", "SentPartially"),
    *("InternationalCallingDisabled", "DestinationCountryDisabled", "UnknownCountryCode", "NotAccepted"),
    *("InvalidNumber", "CallDeclined", "TooManyCallsPerLine", "CallFailed", "RenderingFailed"),
    *(TOO_MANY_PAGES, "ReturnToDBQueue", "NoCallTime", "WrongNumber", "ProhibitedNumber", "InternalError"),
    *("FaxSendingProhibited", "ThePhoneIsBlacklisted", "UserNotFound", "ConvertError", "DBGeneralError"),
    *("SkypeBillingFailed", "AccountSuspended", "ProhibitedDestination", "InternationalDisabled"),
)
"""All values of faxErrorCode."""


def _sms_number(code: str) -> str:
    _, source, digits = code.split("-")
    return f"{PREFIX}{_SOURCES[source]}{digits}"


FAILING_SMS: Mapping[str, str] = MappingProxyType({_sms_number(code): code for code in SMS_CODES})
"""deliveryErrorCode by number in E.164."""

FAILING_FAX: Mapping[str, str] = MappingProxyType(
    {f"{PREFIX}4{place:03}": code for place, code in enumerate(FAX_CODES, start=1)}
)
"""faxErrorCode by number in E.164."""
