"""What `rcfs search` finds: the messages in the indices, and the paths that lead to them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path

import attrs

from rcfs.cli._output import warn
from rcfs.cli._treepaths import TreePath
from rcfs.errors import ConfigError
from rcfs.filenames import StateFiles
from rcfs.host import MountRecord
from rcfs.model import Message, extension_from, iso_time, message_from, one_line
from rcfs.store import MARKS, Hit, IndexReader, MailboxIndex, Scope
from rcfs.tree import PURGED, Root, build_root, headline, people_of


@attrs.frozen
class Query:
    """What is searched for, and where."""

    words: str
    """In the language of `rcfs.store.match_expression`."""
    place: TreePath | None
    """Only below it; None for everywhere."""
    since_s: float | None
    """Only messages from then on, in seconds since 1970 UTC; None for all."""
    types: frozenset[str]
    """Only messages of these types; empty for all."""
    limit: int
    """At most so many of each account, the newest."""


@attrs.frozen
class Match:
    """A message that was found, and its path for whoever reads it."""

    hit: Hit
    path: str

    @property
    def age(self) -> tuple[float, int]:
        """What sorts the newest first, and those without a time last."""
        found = self.hit.found
        return (0.0 if found.created_s is None else -found.created_s, -found.id)

    @property
    def parts(self) -> list[tuple[bool, str]]:
        """One line for people, in parts, each with whether it matches."""
        snippet = [(marked, part) for marked, part in self._snippet() if part]
        there = any(part.strip() for _marked, part in snippet)
        return [
            (False, headline(self._message)),
            *([(False, "  "), *snippet] if there else ()),
            (False, f"  {self.path}"),
        ]

    @property
    def document(self) -> Mapping[str, object]:
        """The same for programs."""
        message, created_s = self._message, self.hit.found.created_s
        return {
            "path": self.path,
            "id": message.id,
            "type": message.type,
            "direction": message.direction,
            "time": None if created_s is None else iso_time(created_s),
            "people": people_of(message),
            "snippet": "".join(part for _marked, part in self._snippet()).strip(),
        }

    @property
    def _message(self) -> Message:
        message = message_from(json.loads(self.hit.record))
        assert message is not None  # noqa: S101 - it was one when it was put into the index
        return message

    def _snippet(self) -> Iterator[tuple[bool, str]]:
        """The parts of the snippet on one line, each with whether it matches."""
        before, after = MARKS
        first, *others = self.hit.snippet.split(before)
        yield False, one_line(first)
        for other in others:
            matching, _, rest = other.partition(after)
            yield True, one_line(matching)
            yield False, one_line(rest)


def find(
    wanted: Query, state_dirs: Iterable[Path], own_dir: Path | None, records: Sequence[MountRecord]
) -> Iterator[Match]:
    """What each of the indices finds: in `own_dir` of all accounts, elsewhere of those that are mounted.

    Raises:
        ConfigError: There is no such place, or nothing is known there.
    """
    exists = known = False
    for state_dir in state_dirs:
        path = StateFiles(state_dir).mailboxes
        if not path.exists():
            continue
        with closing(MailboxIndex.open(path, warn)) as index:
            mounts = {record.login: record.mountpoint for record in records if record.state_dir == state_dir}
            for account in _accounts(index.reader, mounts):
                if account.mountpoint is None and state_dir != own_dir:
                    continue
                scope = account.scope(wanted)
                exists |= scope is not None
                if scope is None or not account.knows(index.reader, scope):
                    continue
                known = True
                if not index.keeps_purged:
                    scope = attrs.evolve(scope, hidden_views=frozenset({PURGED}))
                for hit in index.search.newest(wanted.words, scope, wanted.limit):
                    yield Match(hit, account.path_of(hit))
    if known:
        return
    if wanted.place is not None and not exists:
        raise ConfigError(f"there is no {wanted.place.text} in what is known")
    what = "any mailbox" if wanted.place is None else wanted.place.text
    raise ConfigError(f"nothing is known of {what} yet; look into it in a mount, or run `rcfs pull`")


@attrs.frozen
class _Account:
    """An account that is known, as a mount shows it."""

    id: str
    root: Root
    mountpoint: Path | None
    extensions: Mapping[int, str]
    """The numbers of its extensions, by id."""

    def scope(self, wanted: Query) -> Scope | None:
        """Where to search in it; None when it has no such place."""
        extension_ids: Iterable[int] = self.extensions
        parts = () if wanted.place is None else wanted.place.parts
        if parts:
            extension_ids = [each for each in self.extensions if self._is_called(each, parts[0])]
            if not extension_ids or len(parts) > len(("extension", "view", "folder")):
                return None
        view, folder = (*parts[1:], "", "")[:2]
        return Scope(self.id, tuple(extension_ids), wanted.since_s, wanted.types, view, folder)

    def _is_called(self, extension_id: int, name: str) -> bool:
        called = self.root.name_of(extension_id) or ""
        return name in (called, self.extensions[extension_id]) or fnmatchcase(called, name)

    def knows(self, index: IndexReader, scope: Scope) -> bool:
        """Whether one of the mailboxes of `scope` was loaded."""
        states = (index.mailbox(self.id, extension_id) for extension_id in scope.extension_ids)
        return any(state is not None and state.loaded for state in states)

    def path_of(self, hit: Hit) -> str:
        """Where the message is: in the mount, if there is one, else in the tree."""
        path = Path(self.root.name_of(hit.found.extension_id) or "", *hit.found.path)
        return str(path if self.mountpoint is None else self.mountpoint / path)


def _accounts(index: IndexReader, mounts: Mapping[str, Path]) -> Iterator[_Account]:
    """The accounts that an index knows; what several logins may see of one is taken together."""
    logins = index.logins()
    for account_id in sorted({seen.account_id for seen in logins.values()}):
        own = {login: seen for login, seen in logins.items() if seen.account_id == account_id}
        found = (extension_from(json.loads(raw)) for seen in own.values() for raw in seen.extensions)
        extensions = {extension.id: extension for extension in found if extension is not None}
        yield _Account(
            account_id,
            build_root(extensions.values(), fallback_s=0.0),
            next((mounts[login] for login in own if login in mounts), None),
            {extension.id: extension.number for extension in extensions.values()},
        )
