"""Directories that a pull passes over, because nothing has changed since an earlier pull completed them.

The index has a revision for a mailbox and for a month of calls, and a fingerprint tells the state of the copy
or of the cache. When both are as they were, no file is missing; deleting a file by hand changes the
fingerprint. A pull notes no directory in which something failed, and none when it was interrupted.

In a copy these are the directories of extensions and of the company. Without a copy they are mailboxes only,
because the cache has a fingerprint for each of those.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b

import attrs
import trio

from rcfs import __version__
from rcfs.engine import Engine
from rcfs.errors import StoreError
from rcfs.model import COMPANY, Filter
from rcfs.pull._copy import Copy
from rcfs.pull._facts import FACTS_EDITION
from rcfs.pull._fingerprint import Found
from rcfs.pull._manifest import Complete
from rcfs.pull._needs import OwnerDirectory, owner_of_directory
from rcfs.pull._survey import Survey
from rcfs.tree import SHELVING_EDITION, ExtensionDirectory


class CompleteMailboxes:
    """The notes of earlier pulls: in the copy, or in the index for a pull into the cache."""

    def __init__(
        self,
        engine: Engine,
        copy: Copy | None,
        wanted: Filter,
        owners: Mapping[str, OwnerDirectory],
        now_s: Callable[[], float],
    ) -> None:
        """For pulls of what is `wanted` below `owners`, by name; `copy` is None for the cache.

        An extension whose mailbox is needed, but could not be loaded, is never complete.
        """
        self._engine = engine
        self._copy = copy
        self._wanted = wanted
        self._now_s = now_s
        self._owners = {name: each for name, each in owners.items() if self._can_be_complete(each)}
        self._states = {name: self._state_of(each) for name, each in self._owners.items()}
        self._found: dict[str, Found | None] = {}

    async def pass_over(self, survey: Survey, *, trust: bool) -> None:
        """Adds the directories that are complete to `survey`; none of them unless notes are to be trusted."""
        for name, directory in self._owners.items():
            noted = self._noted(name, directory)
            is_wanted = trust and noted is not None and noted.state == self._states[name]
            if self._copy is not None and not is_wanted:
                continue  # The copy is looked at when the pull ends.
            looked = survey.looked
            self._found[name] = found = await self._look(name, directory, survey)
            survey.looked = looked
            if noted is not None and is_wanted and found and noted.fingerprint == found.fingerprint:
                survey.looked += noted.files
                survey.present += noted.files
                survey.unchanged.add(name)

    async def note(self, survey: Survey, failed: Iterable[str]) -> None:
        """Notes the directories that are complete after a pull, unless something in them has failed."""
        for name in self._owners.keys() - survey.unchanged - survey.lacking - set(failed):
            found = await self._look(name, self._owners[name], survey)
            if found is None:
                continue
            if self._copy is None:
                # The cache may have dropped a content since the survey looked at it.
                is_complete = found == self._found[name]
            else:
                # A user may have deleted a file since the survey looked at it.
                is_complete = found.confirmed == survey.files_in[name]
            if is_complete:
                complete = Complete(self._states[name], survey.files_in[name], found.fingerprint)
                with suppress(StoreError):  # Then the next pull looks at everything.
                    await trio.to_thread.run_sync(self._note, name, complete)

    def _can_be_complete(self, directory: OwnerDirectory) -> bool:
        if not isinstance(directory, ExtensionDirectory):
            return self._copy is not None
        return directory.is_filled or (self._copy is not None and not self._wanted.takes_messages)

    def _state_of(self, directory: OwnerDirectory) -> str:
        """A digest of the wanted state of a directory; it changes whenever a file may have to change."""
        owner = owner_of_directory(directory)
        facts: tuple[object, ...] = (
            (__version__, SHELVING_EDITION),  # How rcfs names and renders messages.
            _conditions(self._wanted),
        )
        if isinstance(directory, ExtensionDirectory):
            catalogue = self._engine.account.mailboxes.catalogue(owner)
            facts += (directory.extension.raw, None if catalogue is None else catalogue.revision)
        if self._copy is not None:
            facts += self._state_of_calls(owner), self._state_of_greetings(owner), FACTS_EDITION
        return blake2b(ascii(facts).encode(), digest_size=16).hexdigest()

    def _state_of_calls(self, owner: int) -> list[tuple[object, ...]]:
        """The revision of each month of calls that a walk gives."""
        calls = self._engine.account.calls.catalogue
        states: list[tuple[object, ...]] = []
        for month in calls.months_to_show(owner) if calls.has_calls else ():
            known = calls.month(owner, month)
            revision = None if known is None else known.revision
            states.append((month, calls.is_loaded(owner, month), revision))
        return states

    def _state_of_greetings(self, owner: int) -> list[object]:
        greetings = self._engine.account.greetings
        lists: list[object] = [greetings.greetings(owner), greetings.standard()]
        return [*lists, greetings.prompts()] if owner == COMPANY else lists

    async def _look(self, name: str, directory: OwnerDirectory, survey: Survey) -> Found | None:
        """The present state of a mailbox; None when it cannot be told."""

        def looked(count: int) -> None:
            survey.looked += count
            with suppress(RuntimeError):  # Not in a thread of trio.
                trio.from_thread.check_cancelled()

        def look() -> Found | None:
            if self._copy is not None:
                return self._copy.found(name, looked)
            fingerprint = self._engine.cache.fingerprint(
                self._engine.account.id, owner_of_directory(directory)
            )
            return None if fingerprint is None else Found(fingerprint, 0)

        return await trio.to_thread.run_sync(look)

    def _noted(self, name: str, directory: OwnerDirectory) -> Complete | None:
        if self._copy is not None:
            return self._copy.complete(name)
        note = self._engine.index.reader.noted(self._topic(directory))
        try:
            state, files, fingerprint = json.loads("null" if note is None else note.text)
            return Complete(str(state), int(files), str(fingerprint))
        except (ValueError, TypeError):
            return None

    def _note(self, name: str, complete: Complete) -> None:
        if self._copy is not None:
            self._copy.note_complete(name, complete)
            return
        text = json.dumps([complete.state, complete.files, complete.fingerprint])
        topic = self._topic(self._owners[name])
        self._engine.index.writer.note(topic, text, self._now_s())

    def _topic(self, directory: OwnerDirectory) -> str:
        # The index forgets such a topic together with the account.
        return f"mailbox {self._engine.account.id}/{owner_of_directory(directory)} pulled"


def _conditions(wanted: Filter) -> tuple[object, ...]:
    """The conditions of a filter, in one order."""
    return tuple(
        sorted(value) if isinstance(value, frozenset) else value
        for value in attrs.astuple(wanted, recurse=False)
    )
