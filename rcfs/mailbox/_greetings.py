"""The greetings of extensions and of the company, the company's prompts, and the platform's dictionary.

They change seldom, so rcfs asks for each list on the first look, and again on a look after a day. Each list
is one note in the index. The platform names greetings only in answering rules, and tells the media type of a
recorded one only in its own record; so a list costs a request, and one for each recorded greeting. They count
for the Light and Medium groups.

Concurrency: all methods run in the trio thread.
"""

import json
import math
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, TypeVar

import attrs

from rcfs.errors import ForbiddenError, NotFoundError, PlatformError, StoreError
from rcfs.mailbox._changes import GreetingsChanged
from rcfs.mailbox._collections import Collections, Progress, State
from rcfs.mailbox._context import Context
from rcfs.mailbox._freshness import SyncPolicy
from rcfs.model import (
    COMPANY,
    DAY_S,
    GREETINGS,
    PROMPTS,
    ContentKey,
    Greeting,
    Priority,
    Prompt,
    Record,
    StandardGreeting,
    collection_of,
    greeting_with_content,
    greetings_from,
    greetings_from_json,
    greetings_to_json,
    is_usable_id,
    kind_of,
    owner_of,
    prompt_from,
    standard_greeting_from,
    text_field,
)
from rcfs.platform import (
    Request,
    is_missing_scope,
    is_new_call_handling,
    is_no_feature,
    list_answering_rules,
    list_prompts,
    list_standard_greetings,
    read_company_rule,
    read_greeting,
)
from rcfs.store import Note
from rcfs.transport import PagedList, RequestOptions

T = TypeVar("T", Greeting, Prompt, StandardGreeting)

_KINDS: tuple[Any, ...] = (Greeting, Prompt, StandardGreeting)

_STANDARD = "greetings/standard"
"""Topic of the platform's dictionary, which is loaded with the greetings of the company."""
_ASK_AGAIN_S = DAY_S
"""How long rcfs believes a list, or the refusal of one."""
_MOST_RULES = 500
"""Answering rules that are read one by one, at a request each, and recorded greetings of one owner likewise.
Real companies have a few dozen; a longer list is a server's mistake."""
_AT_HAND = 64
"""Parsed lists that are kept: listing a directory asks for the same list several times."""


@attrs.frozen
class _List:
    """A list as its note has it; either part is empty."""

    text: str
    """The values as JSON."""
    absence: str
    """Why there is no list, as part of a sentence."""
    noted_s: float
    """When rcfs asked for it, in seconds since 1970-01-01 UTC."""


class Greetings:
    """All greetings and prompts of an account, and their kinds of collections."""

    def __init__(self, context: Context, collections: Collections) -> None:
        """Adds the kinds to `collections`."""
        self._context = context
        self._collections = collections
        self._readers = {kind: lru_cache(_AT_HAND)(partial(greetings_from_json, kind)) for kind in _KINDS}
        self.account_id = ""
        """Decimal account id; must be set before any other use."""
        self.fallback_s = 0.0
        """Time of greetings, whose records have none, in seconds since 1970-01-01 UTC."""
        self._seen: set[str] = set()
        """The collections that somebody looked at since the start."""
        collections.add(GREETINGS, self)
        collections.add(PROMPTS, self)

    # The lists; no method sends a request. None stands for a list that was never loaded.

    def greetings(self, owner: int) -> tuple[Greeting, ...] | None:
        """The greetings of an extension or of the company, in the order of its rules; presets included."""
        return self._values(Greeting, collection_of(GREETINGS, owner))

    def prompts(self) -> tuple[Prompt, ...] | None:
        """The prompts of the company's IVR menus."""
        return self._values(Prompt, collection_of(PROMPTS))

    def standard(self) -> tuple[StandardGreeting, ...] | None:
        """The greetings of the platform's dictionary, which is loaded with those of the company."""
        return self._values(StandardGreeting, _STANDARD)

    def learned_bytes(self, key: ContentKey) -> int | None:
        """The exact size of a content that was fetched before, in bytes; None if it never was."""
        return self._context.sizes.size(key)

    def known(self) -> tuple[int, dict[str, str]]:
        """The lists that somebody looked at: how many are loaded, and why each other one is absent."""
        states = {each: self._collections.state(each) for each in self._seen}
        absent = [each for each, state in states.items() if state is State.ABSENT]
        loaded = sum(state is State.LOADED for state in states.values())
        known = {each: self._known(each) for each in absent}
        return loaded, {each: "" if note is None else note.absence for each, note in known.items()}

    async def open(self, collection_id: str, priority: Priority = Priority.PERSON) -> None:
        """Loads a list if it was never loaded, or was absent a day ago.

        Raises:
            ForbiddenError: The login may not read it, now or within the last minute.
            PlatformError: The server failed or could not be reached.
        """
        self._seen.add(collection_id)
        self._collections.recall([collection_id])  # Another process may have loaded it.
        if self._collections.state(collection_id) not in (State.LOADED, State.ABSENT):
            await self._collections.refresh(collection_id, priority)

    def visit(self, collection_id: str, priority: Priority = Priority.METADATA) -> None:
        """Loads a list again if a person looks at it a day after its load; returns at once."""
        self._seen.add(collection_id)
        self._collections.recall([collection_id])
        if self._collections.state(collection_id) is State.LOADED:
            self._collections.visit(collection_id, priority)

    # The kind: see `rcfs.mailbox._collections.Kind`.

    def label(self, collection_id: str) -> str:
        owner = owner_of(collection_id)
        return f"{kind_of(collection_id)} of " + ("the company" if owner == COMPANY else f"extension {owner}")

    def policy(self, collection_id: str) -> SyncPolicy:  # noqa: ARG002 - the same for all
        return SyncPolicy(poll_s=_ASK_AGAIN_S, idle_poll_s=math.inf, burst=0)

    def recall(self, collection_id: str) -> tuple[State, float]:
        known = self._known(collection_id)
        if known is None:
            return State.UNKNOWN, math.inf
        age_s = self._context.age_s(known.noted_s)
        if known.absence:
            return (State.ABSENT if age_s < _ASK_AGAIN_S else State.UNKNOWN), age_s
        is_whole = (
            self._readers[Prompt if kind_of(collection_id) == PROMPTS else Greeting](known.text) is not None
        )
        return (State.LOADED if is_whole else State.UNKNOWN), age_s

    async def update(self, collection_id: str, progress: Progress, options: RequestOptions) -> State:
        before = self._known(collection_id)
        progress.is_load = True
        try:
            text = greetings_to_json(await self._load(collection_id, options))
        except ForbiddenError as exc:
            reason = _absence(exc)
            if not reason:
                raise
            await self._context.note(self._topic(collection_id), json.dumps({"absent": reason}))
            self._context.recorder.note("absent", collection=collection_id, reason=reason)
            return State.ABSENT
        await self._context.note(self._topic(collection_id), text)
        if before is not None and before.text != text:
            self._context.changes.tell(GreetingsChanged(collection_id))
        return State.LOADED

    def on_changed(self, collection_id: str) -> None:
        self._context.changes.tell(GreetingsChanged(collection_id))

    # Loading

    async def _load(
        self, collection_id: str, options: RequestOptions
    ) -> tuple[Greeting | Prompt | StandardGreeting, ...]:
        if kind_of(collection_id) == PROMPTS:
            return await self._list(list_prompts(), prompt_from, options)
        owner = owner_of(collection_id)
        return await (self._company(options) if owner == COMPANY else self._extension(owner, options))

    async def _list(
        self, first: Request, value_from: Callable[[object], T | None], options: RequestOptions
    ) -> tuple[T, ...]:
        """The values of all pages, each id once."""
        found: dict[str, T] = {}
        for record in await self._records(first, options):
            value = value_from(record)
            if value is not None:
                found.setdefault(value.id, value)
        return tuple(found.values())

    async def _records(self, first: Request, options: RequestOptions) -> list[Record]:
        records: list[Record] = []
        pages = PagedList(self._context.requester, first, options)
        while (page := await pages.page()) is not None:
            records += page
        return records

    async def _extension(self, owner: int, options: RequestOptions) -> tuple[Greeting, ...]:
        rules = await self._records(list_answering_rules(owner), options)
        found = _each_once(greeting for rule in rules for greeting in greetings_from(rule))
        described: dict[str, Greeting] = {}
        for greeting in found:
            if not greeting.preset and greeting.id not in described and len(described) < _MOST_RULES:
                described[greeting.id] = await self._described(owner, greeting, options)
        return tuple(
            greeting
            if greeting.preset or greeting.id not in described
            else attrs.evolve(described[greeting.id], rule=greeting.rule, type=greeting.type)
            for greeting in found
        )

    async def _described(self, owner: int, greeting: Greeting, options: RequestOptions) -> Greeting:
        """`greeting` with the media type and URI of its own record; without them if that cannot be read."""
        request = read_greeting(owner, greeting.id)
        try:
            return await self._context.requester.read(
                request, lambda record: greeting_with_content(greeting, record), options
            )
        except (ForbiddenError, NotFoundError):
            return greeting

    async def _company(self, options: RequestOptions) -> tuple[Greeting, ...]:
        found: list[Greeting] = []
        for rule in (await self._records(list_answering_rules(None), options))[:_MOST_RULES]:
            rule_id = text_field(rule, "id")
            if is_usable_id(rule_id):  # The list of the company's rules does not tell their greetings.
                found += await self._rule(rule_id, options)
        standard = await self._list(list_standard_greetings(), standard_greeting_from, options)
        await self._context.note(self._topic(_STANDARD), greetings_to_json(standard))
        return tuple(_each_once(found))

    async def _rule(self, rule_id: str, options: RequestOptions) -> tuple[Greeting, ...]:
        try:
            return await self._context.requester.read(read_company_rule(rule_id), greetings_from, options)
        except NotFoundError:
            return ()  # It was removed since the list.

    # Notes

    def _topic(self, collection_id: str) -> str:
        # The login comes last, by which `rcfs forget` finds the note.
        return f"{collection_id} {self._context.login}"

    def _known(self, collection_id: str) -> _List | None:
        try:
            note = self._context.index.reader.noted(self._topic(collection_id))
        except StoreError as exc:
            self._context.recorder.fault(kind_of(collection_id), str(exc))
            return None
        return None if note is None else _list_of(note)

    def _values(self, kind: type[T], collection_id: str) -> tuple[T, ...] | None:
        known = self._known(collection_id)
        if known is None:
            return None
        if known.absence:
            return ()
        values: tuple[T, ...] | None = self._readers[kind](known.text)
        return values


def _list_of(note: Note) -> _List:
    if note.text.startswith("{"):
        try:
            reason = json.loads(note.text)["absent"]
        except (ValueError, KeyError):
            reason = ""
        return _List("", reason if isinstance(reason, str) and reason else "unknown", note.noted_s)
    return _List(note.text, "", note.noted_s)


def _absence(exc: PlatformError) -> str:
    """Why the platform never shows this list, as part of a sentence; empty for refusals that may end."""
    if is_new_call_handling(exc):
        return f"the account has the new call handling, and the API does not tell its greetings ({exc.code})"
    if is_missing_scope(exc):
        return f"the app lacks a scope ({exc.code})"
    if is_no_feature(exc):
        return f"the platform has none for an extension of this type ({exc.code})"
    return ""


def _each_once(greetings: Iterable[Greeting]) -> list[Greeting]:
    """`greetings` without those of the same rule, type and id as an earlier one."""
    return list({(each.rule, each.type, each.id, each.preset): each for each in greetings}.values())
