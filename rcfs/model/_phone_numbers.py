"""Phone numbers that people write, and the numbers from which an extension sends.

Source: schema UserPhoneNumberInfo of the official description; E.164 by the library phonenumbers, which knows
the numbering plan of every country.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from rcfs.model._fields import Record, object_field, text_field

SMS_SENDER: Final = "SmsSender"
MMS_SENDER: Final = "MmsSender"
"""Features of a number from which texts, and texts with files, can be sent."""
_EXTENSION: Final = re.compile(r"[0-9]{1,8}")
"""Number of an extension; RingCentral's have 3 to 8 digits, and the main one may have one."""


@attrs.frozen
class OwnNumber:
    """A phone number that belongs to an extension, or that the company lets it use."""

    number: str
    """The number in E.164, such as ``+12125557464``."""
    features: frozenset[str] = frozenset()
    """The permissions that it has, such as `SMS_SENDER`."""
    country: str = ""
    """Its country as two capital letters; empty when the record does not tell."""
    label: str = ""
    """The name that its user gave it; empty when it has none."""
    is_primary: bool = False
    """Whether it is the main number of its owner."""


def own_number_from(record: Record) -> OwnNumber | None:
    """The number of one record; None if the record has none in E.164."""
    number = text_field(record, "phoneNumber")
    if not re.fullmatch(r"\+[0-9]{7,15}", number):
        return None
    features = record.get("features")
    return OwnNumber(
        number,
        frozenset(str(each) for each in features) if isinstance(features, list) else frozenset(),
        text_field(object_field(record, "country"), "isoCode").upper()[:2],
        text_field(record, "label"),
        record.get("primary") is True,
    )


def country_of(numbers: Sequence[OwnNumber]) -> str:
    """The country in which a number without a country code is meant; empty if nothing tells it."""
    return next((each.country for each in _best_first(numbers) if each.country), "")


def sender_among(numbers: Sequence[OwnNumber], feature: str, wanted: str = "") -> str:
    """The number to send from: `wanted`, in any notation, or else the best one with `feature`.

    Raises:
        ValueError: There is no such number; the text says which ones there are.
    """
    able = [each for each in _best_first(numbers) if feature in each.features]
    files = " with files" if feature == MMS_SENDER else ""
    if not able:
        raise ValueError(f"no number of yours can send texts{files}; an administrator can add that feature")
    if not wanted:
        return able[0].number
    number = e164(wanted, country_of(numbers))
    if number not in [each.number for each in able]:
        listed = ", ".join(each.number for each in able)
        is_own = number in [each.number for each in numbers]
        because = f"cannot send texts{files}" if is_own else "is not a number of yours"
        raise ValueError(f"{number} {because}; send from {listed}")
    return number


def load_numbers() -> None:
    """Loads what `e164` needs; only what sends needs it, and it takes a tenth of a second."""
    import phonenumbers  # noqa: F401, PLC0415


def e164(text: str, country: str = "") -> str:
    """The phone number that a person means by `text`, in E.164, such as ``+12125557464``.

    Args:
        text: The number in any usual notation.
        country: Two letters; where a number without ``+`` is meant. Empty if that is not known.

    Raises:
        ValueError: It is no number that can exist; the text says why, as a sentence without a full stop.
    """
    import phonenumbers  # noqa: PLC0415 - see `load_numbers`

    if not text.strip():
        raise ValueError("a phone number is empty")
    try:
        parsed = phonenumbers.parse(text, country or None)
    except phonenumbers.NumberParseException:
        hint = "" if country or text.strip().startswith("+") else "; write it with + and the country code"
        raise ValueError(f"{text!r} is no phone number{hint}") from None
    if parsed.extension:
        raise ValueError(f"{text!r} has an extension, to which nothing can be sent")
    if not phonenumbers.is_possible_number(parsed):
        raise ValueError(f"{text!r} has too few or too many digits for a phone number")
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def extension_number(text: str) -> str:
    """The number of an extension, in digits.

    Raises:
        ValueError: `text` is no such number.
    """
    if not _EXTENSION.fullmatch(text):
        raise ValueError(f"{text!r} is no extension number; a page goes to colleagues, such as 102")
    return text


def _best_first(numbers: Iterable[OwnNumber]) -> list[OwnNumber]:
    return sorted(numbers, key=lambda each: not each.is_primary)
