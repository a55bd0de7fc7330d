"""Tells a copy what its files are and what the platform has: by that an audit proves the copy complete."""

from collections.abc import Callable, Sequence

import attrs

from rcfs import __version__
from rcfs.engine import Engine
from rcfs.model import RECORDINGS_VIEW, AttachmentKey, Filter
from rcfs.pull._conditions import conditions_of
from rcfs.pull._copy import Copy
from rcfs.pull._facts import (
    MOST_REASONS,
    NO_MONTH,
    Fact,
    PullNote,
    kind_of_message,
    month_of_time,
    record_key,
)
from rcfs.pull._needs import OwnerDirectory, Parts, owner_of_directory
from rcfs.pull._survey import Failure, Survey
from rcfs.pull._walk import Item
from rcfs.tree import GREETINGS_VIEW, RECORD_FILE, ContentFile, GreetingFile, RecordingFile, Root, TextFile

_LONGEST_REASON = 300
"""Characters of a reason in the manifest."""


class FactTeller:
    """Tells a copy of each item what it is; for one thread at a time."""

    def __init__(self, copy: Copy, account_id: str, root: Root) -> None:
        """For items of the tree `root`."""
        self._copy = copy
        self._account_id = account_id
        self._root = root
        self.owners: dict[int, str] = {}
        """The directories of the owners of which the copy was told something."""

    def tell(self, item: Item) -> None:
        """Tells what `item` is, if it is a content or the record of a message; nothing else is counted."""
        owner = self._owner_of(item.parts[0])
        fact = None if owner is None else self._fact_of(item, owner)
        if owner is None or fact is None:
            return
        self.owners[owner] = item.parts[0]
        node = item.node
        is_content = isinstance(node, ContentFile)
        gone = isinstance(node, ContentFile) and node.purged
        self._copy.know(item.parts, fact, is_message=not is_content, gone=gone)

    def _fact_of(self, item: Item, owner: int) -> Fact | None:
        node = item.node
        if isinstance(node, RecordingFile):
            return Fact(str(node.key), owner, RECORDINGS_VIEW, month_of_time(node.row.started_s))
        if isinstance(node, GreetingFile):
            return Fact(str(node.key), owner, GREETINGS_VIEW, NO_MONTH)
        is_record = isinstance(node, TextFile) and item.parts[-1] == RECORD_FILE
        if not (is_record or isinstance(node, ContentFile)):
            return None
        message = item.message or node.message()
        if message is None:
            return None
        key = record_key(self._account_id, owner, message.id)
        if isinstance(node, ContentFile):
            if not isinstance(node.key, AttachmentKey):
                return None
            key = str(node.key)
        return Fact(key, owner, kind_of_message(message), month_of_time(message.created_s))

    def _owner_of(self, name: str) -> int | None:
        directory = self._root.find(name)
        return owner_of_directory(directory) if isinstance(directory, OwnerDirectory) else None


class PullRecord:
    """The note of one pull in the manifest of its copy."""

    def __init__(
        self,
        engine: Engine,
        copy: Copy,
        paths: Sequence[Parts],
        wanted: Filter,
        wall_clock: Callable[[], float],
    ) -> None:
        """For a pull of what is `wanted` at `paths`; `wall_clock` gives seconds since 1970 UTC."""
        self._copy = copy
        self._clock = wall_clock
        account, server = engine.account, engine.client.hosts.server_url
        self._own_id = account.own_id
        self._note = PullNote(
            at_s=wall_clock(),
            version=__version__,
            account=account.name,
            server=server,
            paths=tuple("/".join(path) for path in paths),
            wanted=conditions_of(wanted),
        )

    def begin(self, survey: Survey, teller: FactTeller) -> None:
        """Notes what the platform has, before anything is copied. Until `end` the pull counts as interrupted.

        Raises:
            StoreError: The disk of the copy fails.
        """
        own = None if self._own_id is None else survey.root.name_of(self._own_id)
        self._note = attrs.evolve(self._note, login=own or "", closed=_reasons(survey.closed))
        owners = dict(teller.owners)
        for name in survey.unchanged:
            directory = survey.root.find(name)
            if isinstance(directory, OwnerDirectory):
                owners[owner_of_directory(directory)] = name
        self._copy.note_pull(self._note, owners)

    def end(self, failures: Sequence[Failure]) -> None:
        """Notes that the pull has ended, with these failures.

        Raises:
            StoreError: The disk of the copy fails.
        """
        note = attrs.evolve(
            self._note,
            ended_s=self._clock(),
            outcome="partial" if failures else "done",
            failed=len(failures),
            reasons=_reasons(failures),
        )
        self._copy.note_pull(note, {})


def _reasons(failures: Sequence[Failure]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (failure.path, (str(failure.error) or type(failure.error).__name__)[:_LONGEST_REASON])
        for failure in failures[:MOST_REASONS]
    )
