"""Account and extensions."""

from rcfs.simulator._backend import ACCOUNT_PATH, EXTENSION_PATH, LIGHT, MEDIUM, Call, Operation
from rcfs.simulator._params import make_page
from rcfs.simulator._wire import Answer, json_answer
from rcfs.simulator.account._people import EXTENSION_TYPES

STATUSES = ("Enabled", "Disabled", "Frozen", "NotActivated", "Unassigned")
"""Values of ``status`` (schema ExtensionStatusEnumFull)."""


def read_account(call: Call) -> Answer:
    """The account."""
    call.check_account()
    record = call.backend.account.account_record(call.backend.endpoints.platform_url)
    return json_answer(record | {"id": call.account_id})


def list_extensions(call: Call) -> Answer:
    """A page of the account's extensions, in their order."""
    call.check_account()
    statuses = call.query.choices("status", STATUSES)
    types = call.query.choices("type", EXTENSION_TYPES)
    number, emails = call.query.text("extensionNumber"), call.query.texts("email")
    account, platform_url = call.backend.account, call.backend.endpoints.platform_url
    wanted = [
        extension
        for extension in account.extensions
        if (not statuses or extension.status in statuses)
        and (not types or extension.type in types)
        and (not number or extension.number == number)
        and (not emails or (extension.type == "User" and extension.email in emails))
    ]
    uri = f"{platform_url}/restapi/v1.0/account/{account.account_id}/extension"
    page = make_page(wanted, call.query, uri, {})
    records = [account.extension_record(extension.id, platform_url) for extension in page.items]
    return json_answer(
        {"uri": page.uri, "records": records, "paging": page.paging, "navigation": page.navigation}
    )


def read_extension(call: Call) -> Answer:
    """One extension; every user may read this, but not its mailbox."""
    extension = call.extension()
    return json_answer(
        call.backend.account.extension_record(extension.id, call.backend.endpoints.platform_url)
    )


OPERATIONS = (
    Operation("readAccountInfo", "GET", ACCOUNT_PATH, LIGHT, read_account),
    Operation("listExtensions", "GET", ACCOUNT_PATH + "/extension", MEDIUM, list_extensions),
    Operation("readExtension", "GET", EXTENSION_PATH, LIGHT, read_extension),
)
"""Operations of this module."""
