"""`rcfs search`: full text over everything that is known.

Only the indices are read: of the state directory, and of the mounts that are up. Nothing is sent, no
mount is touched, and no login is needed.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path

import attrs
import click

from rcfs.cli._options import TreePathText, examples, json_option, state_dir_option
from rcfs.cli._output import say_json, say_marked, tell, warn
from rcfs.cli._pull import TYPES, since_of
from rcfs.cli._settings import read_settings
from rcfs.cli._treepaths import TreePath, locate
from rcfs.errors import ConfigError
from rcfs.filenames import StateFiles
from rcfs.host import MountRecord, Registry, as_typed
from rcfs.model import Message, extension_from, iso_time, message_from, one_line
from rcfs.store import MARKS, Hit, MailboxIndex, Scope, match_expression
from rcfs.tree import PURGED, Root, build_root, headline, people_of

_LIMIT = 50
"""Matches that are shown unless asked otherwise: what a person reads through; the newest come first."""


@click.command(
    "search",
    epilog=examples(
        "rcfs search invoice                          in texts, transcripts, names, numbers, names of files",
        "rcfs search 'invoice bob'                    both",
        "rcfs search '\"credit note\" OR refund -spam'   a phrase, or a word, without another",
        "rcfs search 'appoint*'                       words that begin so",
        "rcfs search '+1 (555) 010-0123'              a number, however it is written",
        "rcfs search --in '101 *' --type fax --since 30d order",
        "rcfs search --json invoice | jq -r '.[].path'",
    ),
)
@click.argument("words", nargs=-1, required=True, metavar="QUERY")
@click.option("--in", "where", type=TreePathText(), metavar="PATH", help="Only an extension, or below PATH.")
@click.option(
    "--since", metavar="DATE", help="Only messages from then on: 2026-11-01 (UTC), an ISO time, or 30d."
)
@click.option(
    "--type", "types", multiple=True, type=click.Choice(tuple(TYPES)), help="Only this type. Repeatable."
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=_LIMIT, show_default=True, help="Show so many, the newest."
)
@json_option
@state_dir_option
@click.pass_context
def search(
    context: click.Context,
    /,
    words: tuple[str, ...],
    *,
    where: str | None,
    since: str | None,
    types: tuple[str, ...],
    limit: int,
    as_json: bool,
    state_dir: Path | None,
) -> None:
    """Finds messages in the mailboxes that were loaded, the newest first; asks the server nothing.

    Exits with 1 when nothing matches. In a mount `mkdir Search/QUERY` makes a directory of what matches.
    """
    query = as_typed(" ".join(words))
    try:
        match_expression(query)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="QUERY") from exc
    since_s = None if since is None else since_of(since, time.time())
    settings = read_settings({"state_dir": state_dir}, login=False)
    records = Registry(settings.state_dir).live()
    place = None if where is None else locate(where, records)
    if place is not None and place.mount is not None:
        records, own_dir = (place.mount,), None
        state_dirs = {place.mount.state_dir or settings.state_dir}
    else:
        own_dir = settings.state_dir
        state_dirs = {settings.state_dir, *(record.state_dir for record in records if record.state_dir)}
    wanted = _Wanted(query, place, since_s, frozenset(TYPES[each] for each in types), limit + 1)
    matches = sorted(_matches(wanted, sorted(state_dirs), own_dir, records), key=lambda match: match.age)
    shown = matches[:limit]
    if as_json:
        say_json(json.dumps([match.document for match in shown], indent=2, ensure_ascii=False))
    else:
        for match in shown:
            say_marked(match.parts)
    if len(matches) > limit:
        tell(f"these are the newest {limit}; --limit shows more")
    if not matches:
        context.exit(1)


@attrs.frozen
class _Wanted:
    query: str
    place: TreePath | None
    since_s: float | None
    types: frozenset[str]
    limit: int


@attrs.frozen
class _Match:
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


def _matches(
    wanted: _Wanted, state_dirs: Iterable[Path], own_dir: Path | None, records: Sequence[MountRecord]
) -> Iterator[_Match]:
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
            for account in _accounts(index, mounts):
                if account.mountpoint is None and state_dir != own_dir:
                    continue
                scope = account.scope(wanted)
                exists |= scope is not None
                if scope is None or not account.knows(index, scope):
                    continue
                known = True
                if not index.keeps_purged:
                    scope = attrs.evolve(scope, hidden_views=frozenset({PURGED}))
                for hit in index.search.newest(wanted.query, scope, wanted.limit):
                    yield _Match(hit, account.path_of(hit))
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

    def scope(self, wanted: _Wanted) -> Scope | None:
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

    def knows(self, index: MailboxIndex, scope: Scope) -> bool:
        """Whether one of the mailboxes of `scope` was loaded."""
        states = (index.mailbox(self.id, extension_id) for extension_id in scope.extension_ids)
        return any(state is not None and state.loaded for state in states)

    def path_of(self, hit: Hit) -> str:
        """Where the message is: in the mount, if there is one, else in the tree."""
        path = Path(self.root.name_of(hit.found.extension_id) or "", *hit.found.path)
        return str(path if self.mountpoint is None else self.mountpoint / path)


def _accounts(index: MailboxIndex, mounts: Mapping[str, Path]) -> Iterator[_Account]:
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
