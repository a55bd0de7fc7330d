"""Mailboxes that a pull passes over, because nothing has changed since an earlier pull completed them.

The index has a revision for what a mailbox shows, and a fingerprint tells the state of the copy or of the
cache. When both are as they were, no file is missing; deleting a file by hand changes the fingerprint. A pull
notes no mailbox in which something failed, and none when it was interrupted.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b

import trio

from rcfs import __version__
from rcfs.engine import Engine
from rcfs.errors import StoreError
from rcfs.pull._copy import Copy
from rcfs.pull._filter import Filter
from rcfs.pull._fingerprint import Found
from rcfs.pull._manifest import Complete
from rcfs.pull._survey import Survey
from rcfs.tree import SHELVING_EDITION, ExtensionDirectory


class CompleteMailboxes:
    """The notes of earlier pulls about mailboxes: in the copy, or in the index for a pull into the cache."""

    def __init__(
        self,
        engine: Engine,
        copy: Copy | None,
        wanted: Filter,
        mailboxes: Mapping[str, ExtensionDirectory],
        now_s: Callable[[], float],
    ) -> None:
        """For pulls of the `wanted` messages of `mailboxes`, by name; `copy` is None for the cache."""
        self._engine = engine
        self._copy = copy
        self._wanted = wanted
        self._mailboxes = mailboxes
        self._now_s = now_s
        self._states = {name: self._state_of(extension) for name, extension in mailboxes.items()}
        self._found: dict[str, Found | None] = {}

    async def pass_over(self, survey: Survey, *, trust: bool) -> None:
        """Adds the mailboxes that are complete to `survey`; none of them unless notes are to be trusted."""
        for name, extension in self._mailboxes.items():
            noted = self._noted(name, extension)
            is_wanted = trust and noted is not None and noted.state == self._states[name]
            if self._copy is not None and not is_wanted:
                continue  # The copy is looked at when the pull ends.
            looked = survey.looked
            self._found[name] = found = await self._look(name, extension, survey)
            survey.looked = looked
            if noted is not None and is_wanted and found and noted.fingerprint == found.fingerprint:
                survey.looked += noted.files
                survey.present += noted.files
                survey.unchanged.add(name)

    async def note(self, survey: Survey, failed: Iterable[str]) -> None:
        """Notes the mailboxes that are complete after a pull, except those in which something has failed."""
        for name in self._mailboxes.keys() - survey.unchanged - survey.lacking - set(failed):
            found = await self._look(name, self._mailboxes[name], survey)
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

    def _state_of(self, extension: ExtensionDirectory) -> str:
        """A digest of the wanted state of a mailbox; it changes whenever a file may have to change."""
        catalogue = self._engine.account.mailboxes.catalogue(extension.extension.id)
        facts = (
            (__version__, SHELVING_EDITION),  # How rcfs names and renders messages.
            (self._wanted.since_s, sorted(self._wanted.types)),
            extension.extension.raw,
            None if catalogue is None else catalogue.revision,
        )
        return blake2b(ascii(facts).encode(), digest_size=16).hexdigest()

    async def _look(self, name: str, extension: ExtensionDirectory, survey: Survey) -> Found | None:
        """The present state of a mailbox; None when it cannot be told."""

        def looked(count: int) -> None:
            survey.looked += count
            with suppress(RuntimeError):  # Not in a thread of trio.
                trio.from_thread.check_cancelled()

        def look() -> Found | None:
            if self._copy is not None:
                return self._copy.found(name, looked)
            fingerprint = self._engine.cache.fingerprint(self._engine.account.id, extension.extension.id)
            return None if fingerprint is None else Found(fingerprint, 0)

        return await trio.to_thread.run_sync(look)

    def _noted(self, name: str, extension: ExtensionDirectory) -> Complete | None:
        if self._copy is not None:
            return self._copy.complete(name)
        note = self._engine.index.reader.noted(self._topic(extension))
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
        topic = self._topic(self._mailboxes[name])
        self._engine.index.writer.note(topic, text, self._now_s())

    def _topic(self, extension: ExtensionDirectory) -> str:
        # The index forgets such a topic together with the account.
        return f"mailbox {self._engine.account.id}/{extension.extension.id} pulled"
