"""Uploads of greetings and prompts: each is one request, made at once, while a person waits.

An upload that is repeated after a lost answer replaces a greeting by the same one. A prompt would be there
twice, so rcfs repeats nothing, and the person decides.
"""

import secrets
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import attrs
import trio

from rcfs.errors import BadRequestError, ForbiddenError, PlatformError, UncertainError, UndecidedError
from rcfs.mailbox import Account
from rcfs.model import (
    COMPANY,
    GREETING_TYPES,
    GREETINGS,
    PROMPTS,
    Priority,
    Record,
    SendFile,
    collection_of,
    id_field,
    text_field,
)
from rcfs.outbox._send_files import described_sound
from rcfs.platform import (
    COMPANY_GREETINGS,
    USER_GREETINGS,
    Request,
    add_prompt,
    is_missing_scope,
    is_new_call_handling,
    list_answering_rules,
    records_of,
    set_company_greeting,
    set_greeting,
)
from rcfs.transport import Requester, RequestOptions

T = TypeVar("T")

MOST_UPLOAD_BYTES = 20_000_000
"""Largest greeting or prompt, in bytes. Source: ``x-request-max-body-size`` of createCustomUserGreeting."""


@attrs.frozen
class AnsweringRule:
    """A rule that plays greetings, such as the one for business hours."""

    id: str
    name: str
    """Its name, or its id if it has no name; the directory of its greetings is called after it."""


class Uploads:
    """Uploads greetings and prompts of one login."""

    def __init__(self, account: Account, requester: Requester) -> None:
        self._account = account
        self._requester = requester

    async def rules(self, *, company: bool = False) -> tuple[AnsweringRule, ...]:
        """The answering rules of the login's own extension, or of the company; one request.

        Raises:
            ForbiddenError: The login may not read them, or the account has none.
            PlatformError: The server failed or could not be reached.
        """
        owner = None if company else self._account.own_id
        if owner is None and not company:
            raise PlatformError("rcfs does not know your extension yet")

        def rules_in(document: Record) -> tuple[AnsweringRule, ...]:
            ids = ((id_field(record), text_field(record, "name")) for record in records_of(document))
            return tuple(AnsweringRule(rule_id, name or rule_id) for rule_id, name in ids if rule_id)

        request = list_answering_rules(owner)
        return await _spoken(self._requester.read(request, rules_in, _options()), "ReadAccounts")

    async def set_greeting(self, rule: str, kind: str, path: Path, *, company: bool = False) -> str:
        """Makes the rule with that name or id play the file at `path`; the id of the new greeting.

        `kind` is one of `USER_GREETINGS`, or of `COMPANY_GREETINGS` for the company, in any case.

        Raises:
            ValueError: There is no such rule or kind, or the file is no WAV or MP3 of at most 20 MB.
            ConfigError: The file cannot be read.
            UndecidedError: The answer is lost.
            ForbiddenError: The login may not do this.
            PlatformError: The server refused, failed or could not be reached.
        """
        kinds = COMPANY_GREETINGS if company else USER_GREETINGS
        found_kind = next((each for each in kinds if each.lower() == kind.lower()), None)
        if found_kind is None:
            raise ValueError(f"{kind!r} is no greeting that can be set; these are: {', '.join(kinds)}")
        rules = await self.rules(company=company)
        found = [each for each in rules if rule.casefold() in (each.name.casefold(), each.id.casefold())]
        if len(found) != 1:
            names = ", ".join(repr(each.name) for each in rules)
            what = "several rules are" if found else "no rule is"
            raise ValueError(f"{what} called {rule!r}; there are {names or 'none'}")
        file = await trio.to_thread.run_sync(_sound, path)
        make = set_company_greeting if company else set_greeting
        request = make(found_kind, found[0].id, file, path, _boundary())
        scope = "EditAccounts" if company else "EditExtensions"
        new_id = await self._upload(request, scope, "repeat it: that replaces the greeting by the same one")
        owner = COMPANY if company else self._account.own_id
        if owner is not None and self._account.greetings.greetings(owner) is not None:
            await self._refresh(collection_of(GREETINGS, owner))
        return new_id

    async def add_prompt(self, name: str, path: Path) -> str:
        """Adds the file at `path` to the company's IVR prompts; the id of the new prompt.

        Raises: As `set_greeting`.
        """
        file = await trio.to_thread.run_sync(_sound, path)
        request = add_prompt(name or file.name, file, path, _boundary())
        new_id = await self._upload(request, "EditAccounts", "look at the prompts before you repeat it")
        if self._account.greetings.prompts() is not None:
            await self._refresh(collection_of(PROMPTS))
        return new_id

    async def _upload(self, request: Request, scope: str, advice: str) -> str:
        try:
            return await _spoken(self._requester.read(request, id_field, _options()), scope)
        except UncertainError as exc:
            raise UndecidedError(f"the answer to the upload is lost; {advice} ({exc})") from exc

    async def _refresh(self, collection_id: str) -> None:
        """Lets a list that was loaded show the new greeting; a failure only delays that."""
        try:
            await self._account.refresh_collection(collection_id)
        except PlatformError:
            return


def _options() -> RequestOptions:
    return RequestOptions(Priority.PERSON, label="upload")


async def _spoken(answer: Awaitable[T], scope: str) -> T:
    """The result of `answer`, with refusals in words."""
    try:
        return await answer
    except ForbiddenError as exc:
        if is_missing_scope(exc):
            raise ForbiddenError(f"the app lacks the scope {scope} ({exc.code})", code=exc.code) from exc
        if is_new_call_handling(exc):
            raise BadRequestError(
                "the account has new call handling, whose greetings cannot be set this way", code=exc.code
            ) from exc
        raise


def _boundary() -> str:
    return f"rcfs-{secrets.token_hex(8)}"


def _sound(path: Path) -> SendFile:
    """The file at `path`; for a worker thread."""
    file = described_sound(path, GREETING_TYPES)
    if not 0 < file.size_bytes <= MOST_UPLOAD_BYTES:
        raise ValueError(f"{path} is empty, or larger than {MOST_UPLOAD_BYTES // 1_000_000} MB")
    return file
