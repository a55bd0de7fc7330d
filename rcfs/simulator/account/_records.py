"""The JSON records of the simulated account, as the platform sends them.

Source: schemas GetAccountInfoResponse, GetExtensionListInfoResponse, GetMessageInfoResponse and
MessageAttachmentInfo of the official description.
"""

from typing import Any

from rcfs.simulator._params import iso_time
from rcfs.simulator.account._drafts import Draft, Part
from rcfs.simulator.account._people import COMPANY, MAIN_NUMBER, SimExtension
from rcfs.simulator.account._plan import SimMessage

Json = dict[str, Any]
"""A JSON object."""


def account_uri(origin: str, account_id: int) -> str:
    """URI of the account below `origin`, which has no slash at its end."""
    return f"{origin}/restapi/v1.0/account/{account_id}"


def account_record(platform_url: str, account_id: int, operator: SimExtension) -> Json:
    """The answer to ``GET /account/~``."""
    uri = account_uri(platform_url, account_id)
    return {
        "uri": uri,
        "id": account_id,
        "mainNumber": MAIN_NUMBER,
        "operator": {
            "uri": f"{uri}/extension/{operator.id}",
            "id": operator.id,
            "extensionNumber": operator.number,
        },
        "serviceInfo": {"uri": f"{uri}/service-info", "brand": {"id": "1210", "name": "RingCentral"}},
        "setupWizardState": "Completed",
        "status": "Confirmed",
        "limits": {"maxExtensionNumberLength": 6, "shortExtensionNumberLength": 3},
    }


def extension_record(platform_url: str, account_id: int, extension: SimExtension) -> Json:
    """An extension in the list of extensions, and the answer to ``GET /account/~/extension/{id}``."""
    uri = f"{account_uri(platform_url, account_id)}/extension/{extension.id}"
    record: Json = {
        "uri": uri,
        "id": extension.id,
        "name": extension.name,
        "type": extension.type,
        "status": extension.status,
        "hidden": False,
        "permissions": {"admin": {"enabled": extension.is_admin}, "internationalCalling": {"enabled": False}},
        "profileImage": {"uri": f"{uri}/profile-image"},
    }
    if extension.number:
        record["extensionNumber"] = extension.number
    if extension.type == "User":
        first, _, last = extension.name.partition(" ")
        record["contact"] = {
            "firstName": first,
            "lastName": last,
            "company": COMPANY,
            "email": extension.email,
            "businessPhone": extension.phone_number,
        }
    return record


def message_record(
    platform_url: str, media_url: str, account_id: int, message: SimMessage, draft: Draft
) -> Json:
    """A message in a list, and the answer to reading one message.

    A purged message has no attachments.
    """
    mailbox = f"{account_uri('', account_id)}/extension/{message.extension_id}/message-store"
    record: Json = {
        "uri": f"{platform_url}{mailbox}/{message.id}",
        "id": message.id,
        "type": message.type,
        "readStatus": message.read_status,
        "priority": "Normal",
        "direction": message.direction,
        "availability": message.availability,
        "lastModifiedTime": iso_time(message.last_modified),
    }
    if message.created_s is not None:
        record["creationTime"] = iso_time(message.created_s)
    if message.availability != "Purged":
        record["attachments"] = [
            _attachment(f"{media_url if part.on_media_host else platform_url}{mailbox}", message.id, part)
            for part in draft.parts
        ]
    conversation = draft.fields.get("conversation")
    record |= draft.fields
    if isinstance(conversation, dict):
        link = f"{platform_url}/restapi/v1.0/conversation/{conversation['id']}"
        record["conversation"] = {**conversation, "uri": link}
    for name in message.fixture.absent if message.fixture else ():
        record.pop(name, None)
    return record


def _attachment(mailbox_url: str, message_id: int, part: Part) -> Json:
    record: Json = {
        "id": part.id,
        "uri": f"{mailbox_url}/{message_id}/content/{part.id}",
        "type": part.kind,
        "contentType": part.media.content_type,
        **part.fields,
    }
    return {name: value for name, value in record.items() if name not in part.absent}
