"""The phone numbers of an extension."""

from typing import Any

from rcfs.simulator._backend import EXTENSION_PATH, LIGHT, Call, Operation
from rcfs.simulator._params import make_page
from rcfs.simulator._wire import Answer, json_answer
from rcfs.simulator.account._numbers import SimNumber, numbers_of
from rcfs.simulator.account._people import SimExtension
from rcfs.simulator.account._records import account_uri

USAGE_TYPES = (
    *("MainCompanyNumber", "AdditionalCompanyNumber", "CompanyNumber", "DirectNumber", "CompanyFaxNumber"),
    *("FmcBusinessMobileNumber", "InventoryFmcBusinessMobileNumber", "ForwardedNumber"),
    *("ForwardedCompanyNumber", "ContactCenterNumber", "ConferencingNumber", "MeetingsNumber", "NumberPool"),
    *("BusinessMobileNumber", "ELIN", "PartnerBusinessMobileNumber", "NumberStorage", "IntegrationNumber"),
    *("NumberPoolPartnerBusinessMobileNumber", "InventoryMobileNumber"),
)
"""Values of ``usageType`` (schema PhoneNumberUsageType)."""

STATUSES = ("Normal", "Pending", "PortedIn", "Temporary", "Unknown")
"""Values of ``status`` (schema PhoneNumberStatus); the simulated numbers are normal."""


def list_numbers(call: Call) -> Answer:
    """A page of the numbers that an extension uses."""
    extension = call.mailbox()
    usages, statuses = call.query.choices("usageType", USAGE_TYPES), call.query.choices("status", STATUSES)
    wanted = [
        number
        for number in numbers_of(extension)
        if (not usages or number.usage in usages) and (not statuses or "Normal" in statuses)
    ]
    uri = account_uri(call.backend.endpoints.platform_url, call.backend.account.account_id)
    page = make_page(wanted, call.query, f"{uri}/extension/{extension.id}/phone-number", {})
    records = [_record(uri, extension, number) for number in page.items]
    return json_answer(
        {"uri": page.uri, "records": records, "paging": page.paging, "navigation": page.navigation}
    )


def _record(base_uri: str, extension: SimExtension, number: SimNumber) -> dict[str, Any]:
    record: dict[str, Any] = {
        "uri": f"{base_uri}/phone-number/{number.id}",
        "id": number.id,
        "phoneNumber": number.number,
        "paymentType": number.payment,
        "type": "VoiceFax",
        "usageType": number.usage,
        "status": "Normal",
        "features": list(number.features),
        "country": {"id": "1", "name": "United States", "isoCode": "US"},
    }
    if number.label:
        record["label"] = number.label
    if number.usage == "DirectNumber":
        record["extension"] = {
            "uri": f"{base_uri}/extension/{extension.id}",
            "id": extension.id,
            "extensionNumber": extension.number,
        }
    return record


OPERATIONS = (
    Operation("listExtensionPhoneNumbers", "GET", EXTENSION_PATH + "/phone-number", LIGHT, list_numbers),
)
"""Operations of this module."""
