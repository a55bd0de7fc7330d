"""Authorization: the scopes of the app, and the permissions of the user.

As documented, an operation requires a scope of the app (else CMN-401) and a permission of the user (else
CMN-408). The tables here say which, so a new endpoint needs only a line in them.

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
    "listExtensionPhoneNumbers": ("ReadAccounts", "ReadUserPhoneNumbers"),
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
    "createCustomUserGreeting": ("EditExtensions", "EditUserAnsweringRules"),
    "createCompanyGreeting": ("EditAccounts", "ReadUserInfo"),
    "createIVRPrompt": ("EditAccounts", "EditCompanyGreetings"),
    "deleteIVRPrompt": ("EditAccounts", "EditCompanyGreetings"),
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
    "listIVRPrompts": ("ReadAccounts", "ReadCompanyGreetings"),
    "readIVRPrompt": ("ReadAccounts", "ReadCompanyGreetings"),
    "readIVRPromptContent": ("ReadAccounts", ""),
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
"""Scope and user permission of each ``operationId``; empty if none is required. Others require neither.

The description lacks two operations: they require the same as the list that refers to them.
"""

EVENT_REQUIREMENTS = {
    "accountTelephonySessionsEvent": ("CallControl", "FullCompanyCallLog"),
    "telephonySessionsEvent": ("CallControl", ""),
}
"""The same for events about calls, by names of our own; others need what a list of messages needs.

The documentation names only the scope. I: the events of a whole account need an administrator.
"""

FEATURES = {
    "AccountAdministration": "AccountAdministration",
    "EditExtensionAnsweringRules": "EditUserAnsweringRules",
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
"""Permissions for a mailbox; for the mailbox of another user, access to that extension is required, too."""

ADMIN_PERMISSIONS = frozenset(
    {"AccountAdministration", "FullCompanyCallLog", "ReadCompanyAnsweringRules"}
    | {"EditCompanyGreetings", "ReadCompanyGreetings", "Users"}
)
"""Permissions that a standard user lacks."""

SCOPES = frozenset(scope for scope, _ in (*REQUIREMENTS.values(), *EVENT_REQUIREMENTS.values()))
"""All scopes that an app can have in the simulator."""

PERMISSIONS = (
    frozenset(name for _, name in REQUIREMENTS.values() if name)
    | frozenset(FEATURES.values())
    | MAILBOX_PERMISSIONS
)
"""All permissions that a user can have in the simulator."""


def _names_of(known: Collection[str]) -> Callable[[object, object, frozenset[str]], None]:
    """A validator that allows only names in `known`."""

    def check(_instance: object, _attribute: object, names: frozenset[str]) -> None:
        unknown = sorted(names.difference(known))
        if unknown:
            raise ValueError(f"{unknown[0]} is not one of {', '.join(sorted(known))}")

    return check


@attrs.frozen
class Permissions:
    """The rights of the app and its users: all that exist, except the missing ones."""

    missing_scopes: frozenset[str] = attrs.field(default=frozenset(), validator=_names_of(SCOPES))
    """Scopes that the app lacks."""
    missing: frozenset[str] = attrs.field(default=frozenset(), validator=_names_of(PERMISSIONS))
    """Permissions that every user lacks."""

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes of the app."""
        return SCOPES - self.missing_scopes

    def of(self, user: SimExtension) -> frozenset[str]:
        """The permissions of `user`."""
        return PERMISSIONS - self.missing - (frozenset() if user.is_admin else ADMIN_PERMISSIONS)

    def check(self, operation_id: str, user: SimExtension, scopes: Collection[str]) -> None:
        """Return if `user` may use the operation, or hear the event, with a login that has these `scopes`.

        Raises:
            ApiError: 403 CMN-401, the login lacks the scope; 403 CMN-408, the user lacks the permission.
        """
        scope, permission = (REQUIREMENTS | EVENT_REQUIREMENTS).get(operation_id, ("", ""))
        if scope and scope not in scopes:
            raise _forbidden("CMN-401", scope, f"application needs to have [{scope}] permission")
        if permission and permission not in self.of(user):
            raise _forbidden(
                "CMN-408", permission, f"user needs to have [{permission}] permission for requested resource."
            )


def _forbidden(code: str, name: str, need: str) -> ApiError:
    """A refusal with the platform's text and fields, which name the missing right."""
    return ApiError(403, code, f"In order to call this API endpoint, {need}", permission=name)
