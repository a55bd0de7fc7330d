"""The directories of greetings and prompts.

    <extension>/Greetings/<rule>/       the greetings of an answering rule
    Company/Greetings/<rule>/           likewise
    Company/Greetings/Standard/         the presets of the platform, to which rules link
    Company/IVR Prompts/                the recorded prompts of the company's menus

A login that may see nothing of the company has no ``Company``. Presets are files in its rules then. With
`GreetingShelf.drops`, people can put files into the directories of rules and prompts.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Generic, Protocol, TypeVar

import attrs

from rcfs.model import (
    COMPANY,
    GREETINGS,
    PROMPTS,
    CompanyGreetingKey,
    ContentKey,
    Greeting,
    GreetingKey,
    Prompt,
    PromptKey,
    StandardGreeting,
    StandardGreetingKey,
    Wanted,
    collection_of,
)
from rcfs.tree._drop_nodes import dropped_node
from rcfs.tree._drop_values import Dropped, Path
from rcfs.tree._drops import Drops
from rcfs.tree._extension_names import COMPANY_DIRECTORY
from rcfs.tree._facts import named_facts
from rcfs.tree._greeting_names import greetings_by_rule, prompt_names, standard_name, standard_names
from rcfs.tree._media import LEAST_BYTES
from rcfs.tree._nodes import ContentFile, Directory, Entry, Link, Node
from rcfs.tree._shelving import GREETINGS_VIEW
from rcfs.tree._times import Times

PROMPTS_VIEW = "IVR Prompts"
STANDARD_DIRECTORY = "Standard"
"""Directories of the company."""
_DROPS_CURSOR = 1 << 32
"""Cursors of dropped files are above this, and those of greetings below it."""

T = TypeVar("T")
Given = TypeVar("Given")
Made = TypeVar("Made")
Rules = dict[str, dict[str, Greeting]]
"""The greetings of one owner, by the names of the rule's directory and of the file."""


class GreetingCatalogue(Protocol):
    """The greetings and prompts of an account, as they are at the time of each call; for the event loop.

    A method returns the same tuple until something has changed. None means "not loaded".
    """

    account_id: str
    """Decimal account id."""
    fallback_s: float
    """Time of all nodes, in seconds since 1970-01-01 UTC: records of greetings have no times."""

    def greetings(self, owner: int) -> tuple[Greeting, ...] | None:
        """The greetings of an extension, or of `COMPANY`: collection ``greetings/<owner>``."""
        ...

    def standard(self) -> tuple[StandardGreeting, ...] | None:
        """The presets of the platform, which are loaded with ``greetings/company``."""
        ...

    def prompts(self) -> tuple[Prompt, ...] | None:
        """The prompts of the company: collection ``prompts/company``."""
        ...

    def learned_bytes(self, key: ContentKey) -> int | None:
        """The exact size of a content that was fetched before, in bytes; None if it never was."""
        ...


@attrs.define
class _Memo(Generic[Given, Made]):
    """The result of a function for the last argument, compared by identity; None for None."""

    _make: Callable[[Given], Made]
    _last: tuple[Given, Made] | None = None

    def __call__(self, given: Given | None) -> Made | None:
        if given is None:
            return None
        if self._last is None or self._last[0] is not given:
            self._last = given, self._make(given)
        return self._last[1]


def _company_rules(greetings: tuple[Greeting, ...]) -> Rules:
    return greetings_by_rule(greetings, (STANDARD_DIRECTORY,))


@attrs.define(eq=False)
class GreetingShelf:
    """The state that all nodes of greetings and prompts of one tree share: their names are made once."""

    catalogue: GreetingCatalogue
    """The greetings and prompts."""
    has_company: bool = False
    """Whether the root shows the company."""
    drops: Drops | None = None
    """The files that people drop into directories of greetings; None if they cannot."""
    _rules: _Memo[tuple[Greeting, ...], Rules] = attrs.field(factory=lambda: _Memo(greetings_by_rule))
    _company: _Memo[tuple[Greeting, ...], Rules] = attrs.field(factory=lambda: _Memo(_company_rules))
    _standard: _Memo[tuple[StandardGreeting, ...], dict[str, StandardGreeting]] = attrs.field(
        factory=lambda: _Memo(standard_names)
    )
    _prompts: _Memo[tuple[Prompt, ...], dict[str, Prompt]] = attrs.field(factory=lambda: _Memo(prompt_names))

    def rules(self, owner: int) -> Rules | None:
        """The greetings of an owner by rule and name; None if they are not loaded."""
        return (self._company if owner == COMPANY else self._rules)(self.catalogue.greetings(owner))

    def standard(self) -> dict[str, StandardGreeting] | None:
        """The presets by name; None if they are not loaded."""
        return self._standard(self.catalogue.standard())

    def prompts(self) -> dict[str, Prompt] | None:
        """The prompts by name; None if they are not loaded."""
        return self._prompts(self.catalogue.prompts())

    def file(self, key: ContentKey) -> "GreetingFile | None":
        """The file of a greeting or prompt; None if the catalogue does not have it, or `key` is another."""
        match key:
            case GreetingKey() | CompanyGreetingKey():
                owner = key.extension_id if isinstance(key, GreetingKey) else COMPANY
                found = self.catalogue.greetings(owner) or ()
                recorded = (each for each in found if not each.preset and each.id == key.greeting_id)
                greeting = next(recorded, None)
                return None if greeting is None else greeting_file(self, owner, greeting)
            case StandardGreetingKey():
                presets = self.catalogue.standard() or ()
                preset = next((each for each in presets if each.id == key.greeting_id), None)
                return None if preset is None else standard_file(self, preset)
            case PromptKey():
                prompts = self.catalogue.prompts() or ()
                prompt = next((each for each in prompts if each.id == key.prompt_id), None)
                return None if prompt is None else prompt_file(self, prompt)
            case _:
                return None

    def takes(self, owner: int) -> bool:
        """Whether people can drop greetings of an owner: of the company, or of the login's extension."""
        return self.drops is not None and owner in (COMPANY, self.drops.owner_id())

    def times(self) -> Times:
        """The times of all nodes."""
        return Times(self.catalogue.fallback_s, self.catalogue.fallback_s)


@attrs.define(eq=False, kw_only=True)
class GreetingDirectory(Directory):
    """A directory of greetings or prompts of one collection."""

    _shelf: GreetingShelf
    _owner: int = COMPANY

    @property
    def collection_id(self) -> str:
        return collection_of(GREETINGS, self._owner)

    @property
    def is_known(self) -> bool:
        return self._shelf.catalogue.greetings(self._owner) is not None

    def times(self) -> Times:
        return self._shelf.times()

    @property
    def drops(self) -> Drops | None:
        """The files that people drop into it; None if it takes none."""
        return None

    @property
    def drop_path(self) -> Path:
        """Its path in `drops`."""
        return ()

    def find(self, name: str) -> Node | None:
        make = self._nodes().get(name)
        if make is not None:
            return make()
        found = None if self.drops is None else self.drops.find((*self.drop_path, name))
        return None if found is None or isinstance(found, Dropped) else dropped_node(found)

    def page(self, after: int, limit: int) -> list[Entry]:
        chosen = list(self._nodes().items())[after : after + limit]
        page = [Entry(cursor, name, make()) for cursor, (name, make) in enumerate(chosen, start=after + 1)]
        if len(page) < limit and self.drops is not None:
            dropped = self.drops.listed(self.drop_path, max(0, after - _DROPS_CURSOR), limit - len(page))
            page += [
                Entry(_DROPS_CURSOR + number, name, dropped_node(found))
                for number, name, found in dropped
                if not isinstance(found, Dropped)
            ]
        return page

    def _nodes(self) -> dict[str, Callable[[], Node]]:
        """By name, a function that makes the node.

        Raises:
            RuntimeError: The collection has not been loaded.
        """
        raise NotImplementedError

    def _require(self, loaded: T | None) -> T:
        if loaded is None:
            raise RuntimeError(f"{self.collection_id} has not been loaded")
        return loaded


@attrs.define(eq=False, kw_only=True)
class GreetingsDirectory(GreetingDirectory):
    """``Greetings``: a directory for each answering rule, and one for the presets in that of the company."""

    def _nodes(self) -> dict[str, Callable[[], Node]]:
        rules = self._require(self._shelf.rules(self._owner))
        nodes: dict[str, Callable[[], Node]] = {rule: partial(self._rule, rule) for rule in rules}
        if self._owner == COMPANY:
            nodes[STANDARD_DIRECTORY] = partial(StandardDirectory, shelf=self._shelf)
        return nodes

    def _rule(self, rule: str) -> Node:
        return RuleDirectory(shelf=self._shelf, owner=self._owner, rule=rule)


@attrs.define(eq=False, kw_only=True)
class RuleDirectory(GreetingDirectory):
    """``Greetings/<rule>``: the greetings that callers hear while the rule applies."""

    _rule: str

    @property
    def owner(self) -> int:
        """The extension to which the rule belongs, or `COMPANY`."""
        return self._owner

    @property
    def drops(self) -> Drops | None:
        return self._shelf.drops if self._shelf.takes(self._owner) else None

    @property
    def drop_path(self) -> Path:
        return (f"{self._owner}/{self._rule}",)

    def _nodes(self) -> dict[str, Callable[[], Node]]:
        greetings = self._require(self._shelf.rules(self._owner)).get(self._rule, {})
        found = {name: self._node(greeting) for name, greeting in greetings.items()}
        return {name: make for name, make in found.items() if make is not None}

    def _node(self, greeting: Greeting) -> Callable[[], Node] | None:
        if not greeting.preset:
            return partial(greeting_file, self._shelf, self._owner, greeting)
        presets = self._shelf.standard()
        target = standard_name(greeting)
        if presets is not None:
            target = next((name for name, preset in presets.items() if preset.id == greeting.id), "")
        if not target:
            return None  # It is silence, which has no content.
        if self._shelf.has_company:
            return partial(self._link, target)
        preset = StandardGreeting(greeting.id, greeting.name, greeting.type, uri=greeting.uri)
        return partial(standard_file, self._shelf, preset if presets is None else presets[target])

    def _link(self, name: str) -> Node:
        target = "/".join(("../../..", COMPANY_DIRECTORY, GREETINGS_VIEW, STANDARD_DIRECTORY, name))
        return Link(times=self.times(), target=target)


@attrs.define(eq=False, kw_only=True)
class StandardDirectory(GreetingDirectory):
    """``Greetings/Standard``: the presets of the platform."""

    @property
    def is_known(self) -> bool:
        return self._shelf.catalogue.standard() is not None

    def _nodes(self) -> dict[str, Callable[[], Node]]:
        presets = self._require(self._shelf.standard())
        return {name: partial(standard_file, self._shelf, preset) for name, preset in presets.items()}


@attrs.define(eq=False, kw_only=True)
class PromptsDirectory(GreetingDirectory):
    """``IVR Prompts``: the recorded prompts of the menus."""

    @property
    def drops(self) -> Drops | None:
        return self._shelf.drops

    @property
    def drop_path(self) -> Path:
        return (PROMPTS_VIEW,)

    @property
    def collection_id(self) -> str:
        return collection_of(PROMPTS)

    @property
    def is_known(self) -> bool:
        return self._shelf.catalogue.prompts() is not None

    def _nodes(self) -> dict[str, Callable[[], Node]]:
        prompts = self._require(self._shelf.prompts())
        return {name: partial(prompt_file, self._shelf, prompt) for name, prompt in prompts.items()}


@attrs.define(eq=False, kw_only=True)
class GreetingFile(ContentFile):
    """A greeting or a prompt."""

    uri: str
    """Absolute URI of the content; empty when the record has none."""
    content_type: str
    """Media type; empty when the record has none."""
    owner: int
    """Internal id of the extension that it belongs to, or `COMPANY`."""
    facts: Mapping[str, str]
    """Its extended attributes, without the prefix of their names."""
    _shelf: GreetingShelf

    @property
    def place(self) -> tuple[object, ...]:
        return self.owner, self.key.kind

    def wanted(self) -> Wanted:
        return Wanted(self.key, self.uri, self.content_type, size_known=self.size_is_exact)

    def xattrs(self) -> dict[str, str]:
        return named_facts(**self.facts, key=self.key)

    def _stored_bytes(self) -> int | None:
        return self._shelf.catalogue.learned_bytes(self.key)


def greeting_file(shelf: GreetingShelf, owner: int, greeting: Greeting) -> GreetingFile:
    """The file of a greeting that an extension or the company has recorded."""
    account_id = shelf.catalogue.account_id
    key = (
        CompanyGreetingKey(account_id, greeting.id)
        if owner == COMPANY
        else GreetingKey(account_id, owner, greeting.id)
    )
    facts = {"greeting_id": greeting.id, "type": greeting.type}
    return _file(shelf, key, greeting, owner, facts)


def standard_file(shelf: GreetingShelf, preset: StandardGreeting) -> GreetingFile:
    """The file of a preset."""
    key = StandardGreetingKey(shelf.catalogue.account_id, preset.id)
    facts = {"greeting_id": preset.id, "type": preset.type}
    return _file(shelf, key, preset, COMPANY, facts)


def prompt_file(shelf: GreetingShelf, prompt: Prompt) -> GreetingFile:
    """The file of a prompt."""
    key = PromptKey(shelf.catalogue.account_id, prompt.id)
    return _file(shelf, key, prompt, COMPANY, {"prompt_id": prompt.id})


def _file(
    shelf: GreetingShelf,
    key: ContentKey,
    record: Greeting | StandardGreeting | Prompt,
    owner: int,
    facts: Mapping[str, str],
) -> GreetingFile:
    return GreetingFile(
        times=shelf.times(),
        key=key,
        estimate_bytes=LEAST_BYTES,
        uri=record.uri,
        content_type=record.content_type,
        owner=owner,
        facts=facts,
        shelf=shelf,
    )
