"""Which call logs a login may read, and which month of which log shows an extension its calls.

One list of the company's log has the calls of everybody, and lists are scarce. So rcfs reads the company's
log if the login may, and otherwise those of the extensions. rcfs assumes that an administrator may until the
platform refuses, and remembers that for a day. Any other login sees one extension, so its own log is enough.

Concurrency: all methods run in the trio thread.
"""

import json
from collections.abc import Mapping

from rcfs.errors import ForbiddenError
from rcfs.mailbox._context import Context
from rcfs.mailbox._rights import READ_CALL_LOG, Rights
from rcfs.model import CALLS, COMPANY, Extension, collection_of, is_admin
from rcfs.platform import is_missing_scope, is_no_feature

_ALL = "calls"
_COMPANY = "calls/company"
"""Subjects of refusals; of the log of an extension it is ``calls/<id>``."""


class CallAccess:
    """The access of a login to the call logs of its account."""

    def __init__(self, context: Context, rights: Rights) -> None:
        self._context = context
        self._rights = rights
        self._is_admin: bool | None = None
        self.account_id = ""
        """Decimal account id; must be set before any other use."""

    def see(self, extensions: Mapping[int, Extension], own_id: int | None) -> None:
        """Takes over the extensions that the login may see, with the id of its own."""
        own = None if own_id is None else extensions.get(own_id)
        self._is_admin = None if own is None else is_admin(json.loads(own.raw))

    @property
    def may_see_company(self) -> bool:
        """Whether the login may see something of the company; True while that is not known."""
        return self._is_admin is not False

    @property
    def missing(self) -> str:
        """Why the login may read no call log at all, as part of a sentence; empty if it may, or may be."""
        if self._context.shelving.calls is None:
            return "this program shows no calls"
        return self._rights.refusal(_ALL, READ_CALL_LOG)

    @property
    def company_refusal(self) -> str:
        """Why the login may not read the company's log, as part of a sentence; empty if it may, or may be."""
        if self._is_admin is False:
            return "the login is no administrator"
        return self._rights.refusal(_COMPANY)

    def absence(self, owner: int) -> str:
        """Why there is no log of that owner, as part of a sentence; empty if there is one, or may be."""
        refusal = self.company_refusal if owner == COMPANY else self._rights.refusal(f"{_ALL}/{owner}")
        return self.missing or refusal

    def scope(self, owner: int) -> int:
        """The owner of the log that has the calls of `owner`: the company, or the same."""
        return owner if self.company_refusal else COMPANY

    def collection(self, owner: int, month: str) -> str:
        """Id of the collection to load for a month of `owner`."""
        return collection_of(CALLS, self.scope(owner), month)

    def is_loaded(self, owner: int, month: str) -> bool:
        """Whether the index has the log of a month, or the platform has no such log.

        A log that was loaded for the whole company is shown even if the login may no longer read that.
        """
        month_of = self._context.index.reader.calls.month
        for each in dict.fromkeys((COMPANY, owner)):
            state = month_of(self.account_id, each, month)
            if state is not None and state.loaded:
                return True
        return owner != COMPANY and bool(self._rights.refusal(f"{_ALL}/{owner}"))

    async def take_refusal(self, owner: int, error: ForbiddenError) -> bool:
        """Remembers that the platform refused the log of `owner`; False if that may change within a day."""
        code = f" ({error.code})" if error.code else ""
        if is_missing_scope(error):
            await self._rights.note_refusal(_ALL, f"the app lacks the scope {READ_CALL_LOG}{code}")
        elif not error.code:
            return False  # A proxy refuses without a code of the platform.
        elif owner == COMPANY:
            await self._rights.note_refusal(_COMPANY, f"the user may not read the company's call log{code}")
        elif is_no_feature(error):
            reason = f"the platform has no call log for an extension of this type{code}"
            await self._rights.note_refusal(f"{_ALL}/{owner}", reason)
        else:
            return False
        return True
