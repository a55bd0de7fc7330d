"""The matches of `rcfs search`: messages in the local indices, and their paths."""

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
from rcfs.model import (
    CALL_LOG,
    COMPANY,
    FILTER_TYPES,
    GREETING,
    RECORDING,
    Call,
    Filter,
    FoundRow,
    Leg,
    Message,
    call_from,
    extension_from,
    iso_time,
    message_from,
    one_line,
)
from rcfs.store import MARKS, Hit, IndexReader, MailboxIndex, Scope
from rcfs.tree import COMPANY_DIRECTORY, PURGED, Root, build_root, call_headline, headline, people_of

_MESSAGES = frozenset(FILTER_TYPES) - {CALL_LOG, GREETING, RECORDING}
"""The types of messages."""


@attrs.frozen
class Query:
    """A search."""

    words: str
    """The query, in the language of `rcfs.store.match_expression`."""
    place: TreePath | None
    """The place to search below; None to search everywhere."""
    wanted: Filter
    """The choice of messages to find."""
    limit: int
    """Largest number of matches of each account; older ones are left out."""

    def fits(self, found: FoundRow, record: str) -> bool:
        """Whether the filter takes a match, by its record as JSON text."""
        if self.wanted.is_everything:
            return True
        if found.id:
            return self.wanted.fits(message_from(json.loads(record)))
        call = call_from(json.loads(record))
        if call is None:
            return False
        # A call with recordings is found by those.
        leg = _leg_of(found, call)
        return self.wanted.fits_call(call) or (leg.recording is not None and self.wanted.fits_recording(leg))


@attrs.frozen
class Match:
    """A message, recording or call that matches, and its path."""

    hit: Hit
    path: str

    @property
    def age(self) -> tuple[float, int]:
        """A sort key: newest first, messages without a time last."""
        found = self.hit.found
        return (0.0 if found.created_s is None else -found.created_s, -found.id)

    @property
    def parts(self) -> list[tuple[bool, str]]:
        """A line for people, in parts; True marks the parts that match."""
        snippet = [(marked, part) for marked, part in self._snippet() if part]
        there = any(part.strip() for _marked, part in snippet)
        return [
            (False, self._headline()),
            *([(False, "  "), *snippet] if there else ()),
            (False, f"  {self.path}"),
        ]

    @property
    def document(self) -> Mapping[str, object]:
        """The match as a JSON object for programs."""
        created_s = self.hit.found.created_s
        if not self.hit.found.id:
            return self._call_document(created_s)
        message = self._message
        return {
            "path": self.path,
            "id": message.id,
            "type": message.type,
            "direction": message.direction,
            "time": None if created_s is None else iso_time(created_s),
            "people": people_of(message),
            "snippet": "".join(part for _marked, part in self._snippet()).strip(),
        }

    def _call_document(self, created_s: float | None) -> Mapping[str, object]:
        call = self._call
        leg = _leg_of(self.hit.found, call)
        return {
            "path": self.path,
            "id": call.id,
            "type": "Call" if leg.recording is None else "Recording",
            "direction": leg.direction,
            "time": None if created_s is None else iso_time(created_s),
            "people": people_of(leg),
            "snippet": "",
        }

    def _headline(self) -> str:
        if self.hit.found.id:
            return headline(self._message)
        return call_headline(_leg_of(self.hit.found, self._call), self.hit.found.created_s)

    @property
    def _call(self) -> Call:
        call = call_from(json.loads(self.hit.record))
        assert call is not None  # noqa: S101 - the index holds only records of calls
        return call

    @property
    def _message(self) -> Message:
        message = message_from(json.loads(self.hit.record))
        assert message is not None  # noqa: S101 - the index holds only records of messages
        return message

    def _snippet(self) -> Iterator[tuple[bool, str]]:
        """The parts of the snippet, without line breaks; True marks the parts that match."""
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
    """The matches in the indices of `state_dirs`: in `own_dir` of all accounts, elsewhere of mounted ones.

    Raises:
        ConfigError: The place to search does not exist, or none of its mailboxes is in an index.
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
                for hit in index.search.newest(wanted.words, scope, wanted.limit, wanted.fits):
                    yield Match(hit, account.path_of(hit))
    if known:
        return
    if wanted.place is not None and not exists:
        raise ConfigError(f"'{wanted.place.text}' is not in the local index; check the path")
    what = "no mailbox" if wanted.place is None else f"no message of '{wanted.place.text}'"
    raise ConfigError(f"{what} is in the local index yet; list a mailbox in a mount, or run `rcfs pull`")


@attrs.frozen
class _Account:
    """An account in an index, as a mount shows it."""

    id: str
    root: Root
    mountpoint: Path | None
    extensions: Mapping[int, str]
    """The numbers of its extensions, by id."""

    def scope(self, wanted: Query) -> Scope | None:
        """The part of this account to search; None if the place is not in it."""
        extension_ids = [*self.extensions, COMPANY]
        parts = () if wanted.place is None else wanted.place.parts
        if parts:
            extension_ids = [each for each in self.extensions if self._is_called(each, parts[0])]
            if fnmatchcase(COMPANY_DIRECTORY, parts[0]):
                extension_ids.append(COMPANY)
            if not extension_ids or len(parts) > len(("extension", "view", "folder")):
                return None
        view, folder = (*parts[1:], "", "")[:2]
        chosen = wanted.wanted
        # The index knows these conditions as well, and need not read the records of what it leaves out.
        types = chosen.message_types if chosen.kinds <= _MESSAGES else frozenset[str]()
        return Scope(self.id, tuple(extension_ids), chosen.since_s, types, view=view, folder=folder)

    def _is_called(self, extension_id: int, name: str) -> bool:
        called = self.root.name_of(extension_id) or ""
        return name in (called, self.extensions[extension_id]) or fnmatchcase(called, name)

    def knows(self, index: IndexReader, scope: Scope) -> bool:
        """Whether at least one mailbox of `scope`, or a month of calls, is loaded."""
        states = (index.mailbox(self.id, extension_id) for extension_id in scope.extension_ids)
        if any(state is not None and state.loaded for state in states):
            return True
        return any(index.calls.months(self.id, owner) for owner in scope.extension_ids)

    def path_of(self, hit: Hit) -> str:
        """The path of the message: in the mount, if the account is mounted, else in the tree."""
        owner = hit.found.extension_id
        name = COMPANY_DIRECTORY if owner == COMPANY else self.root.name_of(owner) or ""
        path = Path(name, *hit.found.path)
        return str(path if self.mountpoint is None else self.mountpoint / path)


def _accounts(index: IndexReader, mounts: Mapping[str, Path]) -> Iterator[_Account]:
    """The accounts in an index, each with the extensions that any of its logins may see."""
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


def _leg_of(found: FoundRow, call: Call) -> Leg:
    """The leg whose recording was found, by the id in its name; of a call without one, the whole call."""
    legs = (leg for leg in call.recorded_legs if leg.recording and f"[{leg.recording.id}]" in found.name)
    return next(legs, attrs.evolve(call.whole, recording=None))
