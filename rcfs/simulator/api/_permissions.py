"""The rights of the login: its permissions, a check of one permission, and the resulting features."""

from typing import Any

from rcfs.simulator._backend import EXTENSION_PATH, LIGHT, MEDIUM, Call, Operation, may_read
from rcfs.simulator._wire import Answer, bad_parameter, json_answer
from rcfs.simulator.account._people import SimExtension
from rcfs.simulator.login._permissions import FEATURES, MAILBOX_PERMISSIONS

PROFILE_PATH = EXTENSION_PATH + "/authz-profile"

_ADMIN_ROLE, _STANDARD_ROLE = "1", "3"
"""Ids of the predefined roles; 3 is that of a standard user in published answers."""


def read_profile(call: Call) -> Answer:
    """All permissions that the extension of the path has for ``targetExtensionId``."""
    extension, target = call.extension(), _target(call)
    held = sorted(call.backend.permissions.of(extension))
    return json_answer(
        {
            "uri": call.backend.endpoints.platform_url + call.target,
            "permissions": [
                _permission(call, name, extension) for name in held if _reaches(extension, target, name)
            ],
        }
    )


def check_permission(call: Call) -> Answer:
    """Whether the extension of the path has a certain permission for ``targetExtensionId``."""
    extension, target = call.extension(), _target(call)
    name = call.query.text("permissionId")
    if not name:
        raise bad_parameter("permissionId", name)
    holds = name in call.backend.permissions.of(extension) and _reaches(extension, target, name)
    return json_answer(
        {
            "uri": call.backend.endpoints.platform_url + call.target,
            "successful": holds,
            "details": _permission(call, name, extension),
        }
    )


def read_features(call: Call) -> Answer:
    """The features of the extension in the path; for unavailable ones, the missing permission."""
    held = call.backend.permissions.of(call.extension())
    wanted = call.query.choices("featureId", FEATURES) or FEATURES
    available_only = call.query.choices("availableOnly", ("true", "false")) == {"true"}
    records: list[dict[str, Any]] = []
    for feature, permission in FEATURES.items():
        if feature in wanted and permission in held:
            records.append({"id": feature, "available": True})
        elif feature in wanted and not available_only:
            message = f"[{permission}] permission is required"
            reason = {"code": "InsufficientPermissions", "message": message, "permission": permission}
            records.append({"id": feature, "available": False, "reason": reason})
    return json_answer({"records": records})


def _target(call: Call) -> SimExtension:
    """The extension of ``targetExtensionId``, or that of the path.

    Raises:
        ApiError: 400, no such extension exists.
    """
    extension = call.extension()
    wanted = call.query.text("targetExtensionId", str(extension.id))
    for candidate in call.backend.account.extensions:
        if str(candidate.id) == wanted:
            return candidate
    raise bad_parameter("targetExtensionId", wanted)


def _reaches(extension: SimExtension, target: SimExtension, permission: str) -> bool:
    """Whether a permission of `extension` extends to `target`."""
    if permission in MAILBOX_PERMISSIONS:
        return may_read(extension, target)
    return extension.is_admin or extension.id == target.id


def _permission(call: Call, name: str, extension: SimExtension) -> dict[str, Any]:
    dictionary = f"{call.backend.endpoints.platform_url}/restapi/v1.0/dictionary"
    role = _ADMIN_ROLE if extension.is_admin else _STANDARD_ROLE
    return {
        "permission": {
            "uri": f"{dictionary}/permission/{name}",
            "id": name,
            "assignable": True,
            "readOnly": False,
            "siteCompatible": "Independent",
        },
        "effectiveRole": {"uri": f"{dictionary}/user-role/{role}", "id": role},
        "scopes": ["AllExtensions" if extension.is_admin else "Self"],
    }


OPERATIONS = (
    Operation("readAuthorizationProfile", "GET", PROFILE_PATH, MEDIUM, read_profile),
    Operation("checkUserPermission", "GET", PROFILE_PATH + "/check", LIGHT, check_permission),
    Operation("readExtensionFeatures", "GET", EXTENSION_PATH + "/features", MEDIUM, read_features),
)
"""Operations of this module."""
