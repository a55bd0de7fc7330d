"""Further logins: other users, or other apps, of the same account, with rights and limits of their own."""

import attrs

from rcfs.simulator._config import Credentials
from rcfs.simulator.login._permissions import Permissions


@attrs.frozen
class Login:
    """A login that the simulator accepts besides the first."""

    credentials: Credentials
    """Its app, and the JWT of its user."""
    user: int
    """Extension id of the user."""
    permissions: Permissions
    """The rights of the app and the user."""
    is_admin: bool = True
    """Whether the user is an administrator, whatever the extension says."""
    closed: frozenset[int] = frozenset()
    """Extension ids of the mailboxes and recordings that the user may not read."""
    hides: bool = False
    """Whether what it may not read does not exist for it (404), instead of being refused (403)."""
    account_id: int | None = None
    """The account that it belongs to, if that is another one."""
