"""The phone numbers of an extension, and what each may be used for."""

import attrs

from rcfs.simulator.account._people import MAIN_NUMBER, SimExtension

CALLER_ID, SMS_SENDER, MMS_SENDER = "CallerId", "SmsSender", "MmsSender"
"""Features of a number (schema UserPhoneNumberInfo)."""


@attrs.frozen
class SimNumber:
    """A phone number that an extension uses."""

    id: int
    """Internal id, unique within the account."""
    number: str
    """The number in E.164."""
    usage: str
    """``usageType``: ``DirectNumber`` or ``MainCompanyNumber``."""
    payment: str
    """``paymentType``: ``Local`` or ``TollFree``."""
    features: tuple[str, ...]
    """The uses that the extension has for it."""
    label: str = ""
    """Name that its owner gave it; empty for none."""


def numbers_of(extension: SimExtension) -> list[SimNumber]:
    """The numbers of `extension`, its direct number first; none if nobody is assigned to it.

    Users send texts and files from their direct number. The administrator has a toll-free number, too, which
    sends texts but no files. Everyone may show the company's number to those they call.

    Source: "Requirements for SMS Enabling" of RingCentral's API documentation.
    """
    if extension.status != "Enabled":
        return []
    may_text = (SMS_SENDER, MMS_SENDER) if extension.type == "User" else ()
    numbers = [
        SimNumber(extension.id + 1, extension.phone_number, "DirectNumber", "Local", (CALLER_ID, *may_text))
    ]
    if extension.is_admin:
        features = CALLER_ID, SMS_SENDER
        free = f"+1888555{8300 + extension.slot:04}"
        numbers.append(SimNumber(extension.id + 2, free, "DirectNumber", "TollFree", features, "Hotline"))
    return [*numbers, SimNumber(1, MAIN_NUMBER, "MainCompanyNumber", "Local", (CALLER_ID,))]
