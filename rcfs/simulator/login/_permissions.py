"""Who may do what: the scopes of the app and the permissions of the person who is logged in.

Two gates, as the documentation has them: an operation asks for a scope of the app (else CMN-401) and for a
permission of the user (else CMN-408). Which ones follows from the tables here, so a new endpoint needs
nothing but its line.

Source: ``x-app-permission``, ``x-user-permission`` and ``x-feature`` of the official description.
"""

from collections.abc import Callable, Collection

import attrs

from rcfs.simulator._wire import ApiError
from rcfs.simulator.account._people import SimExtension

REQUIREMENTS = {
    "authWsToken": ("WebSocket", ""),
    "readAccountInfo": ("ReadAccounts", "ReadCompanyInfo"),
    "listCompanyAnsweringRules": ("ReadAccounts", "ReadCompanyAnsweringRules"),
    "readCompanyAnsweringRule": ("ReadAccounts", "ReadCompanyAnsweringRules"),
    "readCompanyCallLog": ("ReadCallLog", "FullCompanyCallLog"),
    "syncAccountCallLog": ("ReadCallLog", "ReadCallLog"),
    "readCompanyCallRecord": ("ReadCallLog", "FullCompanyCallLog"),
    "listExtensions": ("ReadAccounts", "ReadExtensions"),
    "readExtension": ("ReadAccounts", "ReadExtensions"),
    "listAnsweringRules": ("ReadAccounts", "ReadUserAnsweringRules"),
    "readAnsweringRule": ("ReadAccounts", "ReadUserAnsweringRules"),
    "deleteUserCallLog": ("EditCallLog", "EditCallLog"),
    "readUserCallLog": ("ReadCallLog", "ReadCallLog"),
    "syncUserCallLog": ("ReadCallLog", "ReadCallLog"),
    "readUserCallRecord": ("ReadCallLog", "ReadCallLog"),
    "createInternalTextMessage": ("InternalMessages", "InternalSMS"),
    "createFaxMessage": ("Faxes", "OutboundFaxes"),
    "readExtensionFeatures": ("ReadAccounts", "ReadExtensions"),
    "readCustomGreeting": ("ReadAccounts", "ReadUserInfo"),
    "readGreetingContent": ("ReadAccounts", ""),
    "deleteMessageByFilter": ("EditMessages", "EditMessages"),
    "listMessages": ("ReadMessages", "ReadMessages"),
    "deleteMessage": ("EditMessages", "EditMessages"),
    "readMessage": ("ReadMessages", "ReadMessages"),
    "patchMessage": ("EditMessages", "EditMessages"),
    "updateMessage": ("EditMessages", "EditMessages"),
    "readMessageContent": ("ReadMessages", ""),
    "syncMessages": ("ReadMessages", "ReadMessages"),
    "createMMS": ("SMS", "OutboundSMS"),
    "createSMSMessage": ("SMS", "OutboundSMS"),
    "readAccountGreetingContent": ("ReadAccounts", ""),
    "readMessageStoreConfiguration": ("EditAccounts", "AccountAdministration"),
    "updateMessageStoreConfiguration": ("EditAccounts", "AccountAdministration"),
    "createMessageStoreReport": ("ReadMessages", "Users"),
    "readMessageStoreReportTask": ("ReadMessages", "Users"),
    "readMessageStoreReportArchive": ("ReadMessages", "Users"),
    "messageStoreReportArchiveContent": ("ReadMessages", "Users"),
    "readCallRecording": ("ReadCallRecording", "ReadCallRecording"),
    "readCallRecordingContent": ("ReadCallRecording", ""),
    "listDataExportTasksNew": ("TeamMessaging", "Glip"),
    "createDataExportTaskNew": ("TeamMessaging", "Glip"),
    "readDataExportTaskNew": ("TeamMessaging", "Glip"),
    "dataExportDataset": ("TeamMessaging", "Glip"),
}
"""Scope and user permission of each ``operationId``; empty where none is needed. Others need neither.

The description leaves out two operations: they need what the list needs that leads to them.
"""

FEATURES = {
    "AccountAdministration": "AccountAdministration",
    "EditMessages": "EditMessages",
    "EditUsers": "Users",
    "FaxSending": "OutboundFaxes",
    "PagesSending": "InternalSMS",
    "ReadAccountAnsweringRules": "ReadCompanyAnsweringRules",
    "ReadAccountCallLog": "FullCompanyCallLog",
    "ReadAccountCallRecordings": "ReadCallRecording",
    "ReadCompanyInfo": "ReadCompanyInfo",
    "ReadExtensionAnsweringRules": "ReadUserAnsweringRules",
    "ReadExtensionCallLog": "ReadCallLog",
    "ReadExtensionInfo": "ReadUserInfo",
    "ReadExtensionPhoneNumbers": "ReadUserPhoneNumbers",
    "ReadExtensions": "ReadExtensions",
    "ReadMessages": "ReadMessages",
    "SMSSending": "OutboundSMS",
}
"""The user permission on which each feature depends."""

MAILBOX_PERMISSIONS = frozenset({"EditMessages", "ReadMessageContent", "ReadMessages"})
"""Permissions about a mailbox: for another's they also need access to that extension."""

ADMIN_PERMISSIONS = frozenset(
    {"AccountAdministration", "FullCompanyCallLog", "ReadCompanyAnsweringRules", "Users"}
)
"""Permissions that a standard user has not."""

SCOPES = frozenset(scope for scope, _ in REQUIREMENTS.values())
"""All scopes that an app can have here."""

PERMISSIONS = (
    frozenset(name for _, name in REQUIREMENTS.values() if name)
    | frozenset(FEATURES.values())
    | MAILBOX_PERMISSIONS
)
"""All permissions that a user can have here."""


def _names_of(known: Collection[str]) -> Callable[[object, object, frozenset[str]], None]:
    """A validator: every name is one of `known`."""

    def check(_instance: object, _attribute: object, names: frozenset[str]) -> None:
        unknown = sorted(names.difference(known))
        if unknown:
            raise ValueError(f"{unknown[0]} is none of {', '.join(sorted(known))}")

    return check


@attrs.frozen
class Permissions:
    """What the app and its users are allowed: all that they could be, without some."""

    missing_scopes: frozenset[str] = attrs.field(default=frozenset(), validator=_names_of(SCOPES))
    """Scopes that the app has not."""
    missing: frozenset[str] = attrs.field(default=frozenset(), validator=_names_of(PERMISSIONS))
    """Permissions that no user has."""

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes of the app."""
        return SCOPES - self.missing_scopes

    def of(self, user: SimExtension) -> frozenset[str]:
        """The permissions of `user`."""
        return PERMISSIONS - self.missing - (frozenset() if user.is_admin else ADMIN_PERMISSIONS)

    def check(self, operation_id: str, user: SimExtension, scopes: Collection[str]) -> None:
        """Return if `user` may ask for the operation with a login that has these `scopes`.

        Raises:
            ApiError: 403 CMN-401, the login has not the scope; 403 CMN-408, the user not the permission.
        """
        scope, permission = REQUIREMENTS.get(operation_id, ("", ""))
        if scope and scope not in scopes:
            raise _forbidden("CMN-401", scope, f"application needs to have [{scope}] permission")
        if permission and permission not in self.of(user):
            raise _forbidden(
                "CMN-408", permission, f"user needs to have [{permission}] permission for requested resource."
            )


def _forbidden(code: str, name: str, need: str) -> ApiError:
    """A refusal in the words of real ones, which name what is missing in a field of its own."""
    return ApiError(403, code, f"In order to call this API endpoint, {need}", permission=name)
