"""Uploads of greetings and prompts: each is one request, made at once, while a person waits.

An upload that is repeated after a lost answer replaces a greeting by the same one. A prompt would be there
twice, so rcfs repeats nothing, and the person decides.
"""

import re
import secrets
from collections.abc import Awaitable, Sequence
from difflib import get_close_matches
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
    MOST_GREETING_BYTES,
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

_MP3_BEGIN = re.compile(rb"ID3|\xff[\xe2-\xff]")
"""Begin of an MP3 file: its tag, or its first frame."""
_LOOK_BYTES = 4096
"""Bytes in which an MP3 file must begin: some have zeros before the first frame."""
_WAV_HEAD_BYTES = 8
"""Bytes of a WAV file that its own length does not count."""
_UNTOLD_BYTES = (0, 0xFFFFFFFF)
"""Lengths in the head of a WAV file whose writer did not know the length, as of a pipe."""


@attrs.frozen
class AnsweringRule:
    """A rule that plays greetings, such as the one for business hours."""

    id: str
    name: str
    """Its name, or its id if it has no name; the directory of its greetings is called after it."""


def greeting_kind(name: str, *, company: bool) -> str:
    """The type of the greeting in a file called `name`, such as ``Voicemail [25123004].mp3``.

    A name that begins with no type stands for the usual one, as in `rcfs greeting set`.
    """
    kinds = COMPANY_GREETINGS if company else USER_GREETINGS
    stem = name.rpartition(".")[0].partition(" [")[0].strip().casefold()
    usual = "Company" if company else "Voicemail"
    return next((each for each in kinds if each.casefold() == stem), usual)


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

    async def set_greeting(
        self, rule: str, kind: str, path: Path, *, company: bool = False, name: str = ""
    ) -> str:
        """Makes the rule with that name or id play the file at `path`; the id of the new greeting.

        `kind` is one of `USER_GREETINGS`, or of `COMPANY_GREETINGS` for the company, in any case. The file is
        sent under `name`; without one it keeps its own.

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
            hint = _closest(kind, kinds)
            raise ValueError(f"{kind!r} is no greeting that can be set{hint}; these are: {', '.join(kinds)}")
        file = await trio.to_thread.run_sync(_sound, path, name)
        rules = await self.rules(company=company)
        found = [each for each in rules if rule.casefold() in (each.name.casefold(), each.id.casefold())]
        if len(found) != 1:
            names = [each.name for each in rules]
            what = "several rules are" if found else "no rule is"
            listed = ", ".join(map(repr, names)) or "none"
            raise ValueError(f"{what} called {rule!r}{_closest(rule, names)}; there are {listed}")
        make = set_company_greeting if company else set_greeting
        request = make(found_kind, found[0].id, file, path, _boundary())
        scope = "EditAccounts" if company else "EditExtensions"
        new_id = await self._upload(request, scope, "repeat it: that replaces the greeting by the same one")
        owner = COMPANY if company else self._account.own_id
        if owner is not None and self._account.greetings.greetings(owner) is not None:
            await self._refresh(collection_of(GREETINGS, owner))
        return new_id

    async def add_prompt(self, name: str, path: Path, *, file_name: str = "") -> str:
        """Adds the file at `path` to the company's IVR prompts; the id of the new prompt.

        The file is sent under `file_name`; without one it keeps its own.

        Raises: As `set_greeting`.
        """
        file = await trio.to_thread.run_sync(_sound, path, file_name)
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
        raise ForbiddenError(
            f"RingCentral does not permit your user to do this ({exc.code}); ask your administrator",
            code=exc.code,
        ) from exc


def _boundary() -> str:
    return f"rcfs-{secrets.token_hex(8)}"


def _closest(word: str, known: Sequence[str]) -> str:
    """A question that names the closest of the known words; empty if none is close."""
    words = {each.casefold(): each for each in known}
    close = get_close_matches(word.casefold(), words, n=1)
    return f" (did you mean {words[close[0]]!r}?)" if close else ""


def _sound(path: Path, name: str) -> SendFile:
    """The file at `path`, under `name` if that is not empty; for a worker thread."""
    shown = name or path.name
    file = described_sound(path, GREETING_TYPES)
    if not file.size_bytes:
        raise ValueError(f"{shown} is empty")
    if file.size_bytes > MOST_GREETING_BYTES:
        raise ValueError(f"{shown} is larger than {MOST_GREETING_BYTES // 1_000_000} MB")
    with path.open("rb") as stream:
        begin = stream.read(_LOOK_BYTES)
    if begin[:4] == b"RIFF" and begin[8:12] == b"WAVE":
        told_bytes = int.from_bytes(begin[4:8], "little")
        if told_bytes not in _UNTOLD_BYTES and told_bytes + _WAV_HEAD_BYTES > file.size_bytes:
            raise ValueError(f"{shown} is not whole: its end is missing")
    elif _MP3_BEGIN.search(begin) is None:
        raise ValueError(f"{shown} is neither a WAV nor an MP3 file, whatever its name says")
    return attrs.evolve(file, name=shown)
