"""The owners, messages and files that an audit looks at, by the paths and the filter of its command. Pure."""

from collections.abc import Sequence

import attrs

from rcfs.errors import ConfigError
from rcfs.model import (
    CALL_LOG,
    CALLS_VIEW,
    GREETING,
    RECORDING,
    RECORDINGS_VIEW,
    Filter,
    Message,
    is_month,
)
from rcfs.pull import (
    BESIDES,
    KINDS,
    NO_MONTH,
    OwnerDirectory,
    Parts,
    PullNote,
    filter_of,
    kind_of_message,
    matches,
    month_of_time,
    owner_of_directory,
    owner_paths,
)
from rcfs.tree import GREETINGS_VIEW, LINK_VIEWS, SEARCH_DIRECTORY, Root, shelve

_KINDS_OF_TYPES = {
    "sms": "SMS",
    "pager": "Pager",
    "voicemail": "Voicemail",
    "fax": "Fax",
    RECORDING: RECORDINGS_VIEW,
    GREETING: GREETINGS_VIEW,
    CALL_LOG: CALLS_VIEW,
}
"""Kinds by the types of a filter; a manifest does not tell MMS from SMS."""


def check_paths(paths: Sequence[Parts]) -> None:
    """Checks that `paths` lead to messages and not to links.

    Raises:
        ConfigError: One of them leads to a search, or into a directory of links.
    """
    for path in paths:
        if path[:1] == (SEARCH_DIRECTORY,) or "".join(path[1:2]) in LINK_VIEWS:
            raise ConfigError(
                f"'{'/'.join(path)}' holds only links; name the directory of the messages, such as SMS or"
                " Voicemail"
            )


def pulled_scope(pulls: Sequence[PullNote]) -> tuple[tuple[Parts, ...], Filter]:
    """The paths and the filter that the pulls of a copy were asked for.

    It is everything if one of them was to copy the whole account, or if the last one does not say what it was
    to copy; else the scope of the last one.
    """
    last = pulls[-1] if pulls else None
    wanted = None if last is None else filter_of(last.wanted)
    if last is None or wanted is None or not last.paths or any(note.is_everything for note in pulls):
        return ((),), Filter()
    return tuple(parts_of(path) for path in last.paths), wanted


def parts_of(path: str) -> Parts:
    """The names in a path of the tree; none for the root."""
    return tuple(filter(None, path.split("/")))


@attrs.define
class OwnerSelection:
    """The part of one owner that is audited."""

    owner: int
    """Internal id of the extension, or `rcfs.model.COMPANY`."""
    name: str
    """Name of its directory."""
    directory: OwnerDirectory
    """The directory."""
    paths: tuple[Parts, ...]
    """The paths below the directory; an empty one selects all of it."""
    wanted: Filter
    """The filter."""
    is_known: bool = True
    """Whether it is known which messages there are."""
    used: set[Parts] = attrs.field(factory=set)
    """Those of `paths` that have selected something."""

    @property
    def is_whole(self) -> bool:
        """Whether all of the owner is audited."""
        return () in self.paths and self.wanted.is_everything

    @property
    def takes_messages(self) -> bool:
        """Whether it may take a message, and not only calls, recordings or greetings."""
        return self.wanted.takes_messages and any("".join(path[:1]) not in BESIDES for path in self.paths)

    def path_of(self, message: Message) -> str | None:
        """Path of a message in the tree, if it is audited; None otherwise."""
        shelved = shelve(message, keep_purged=True)
        if shelved is None or not self.wanted.fits(message):
            return None
        parts = tuple(filter(None, (shelved.home.view, shelved.home.key, shelved.name)))
        for path in self.paths:
            # A path may name one of the files of the message.
            if len(path) <= len(parts) + 1 and _fits(parts, path):
                self.used.add(path)
                return "/".join((self.name, *parts))
        return None

    def note_used(self, parts: Parts) -> None:
        """Notes that the paths that fit `parts`, below the owner's directory, have selected something."""
        self.used.update(path for path in self.paths if _fits(parts, path))

    def below(self, view: str) -> list[Parts]:
        """The paths, with the name of the owner, that lead into `view`, which is not part of a mailbox."""
        found = {
            (self.name, *(path or (view,))): path for path in self.paths if not path or matches(view, path[0])
        }
        return list(found)


def selections(root: Root, paths: Sequence[Parts], wanted: Filter) -> list[OwnerSelection]:
    """The selections of all owners that `paths` lead to, in the order of the root."""
    found: dict[str, OwnerSelection] = {}
    for name, directory, path in owner_paths(root, paths):
        known = found.get(name)
        if known is None:
            owner = owner_of_directory(directory)
            found[name] = OwnerSelection(owner, name, directory, (path[1:],), wanted)
        else:
            known.paths += (path[1:],)
    return list(found.values())


def unknown_paths(root: Root, paths: Sequence[Parts], chosen: Sequence[OwnerSelection]) -> list[Parts]:
    """Those of `paths` that lead to nothing, after the audit of the owners `chosen`."""
    named = {each.name: each for each in chosen}
    unknown = []
    for path in paths:
        owners = [named[name] for name, _directory, _path in owner_paths(root, [path])]
        if path and not any(not path[1:] or path[1:] in each.used or not each.is_known for each in owners):
            unknown.append(path)
    return unknown


def _fits(parts: Parts, path: Parts) -> bool:
    return all(matches(part, pattern) for part, pattern in zip(parts, path, strict=False))


@attrs.frozen
class ArchiveSelection:
    """The part of a copy that is audited by its manifest alone."""

    paths: Sequence[Parts]
    """The paths; an empty one selects everything."""
    wanted: Filter
    """Types, and times that are rounded to whole months."""

    def __attrs_post_init__(self) -> None:
        """Checks the filter.

        Raises:
            ConfigError: The manifest cannot answer for one of its conditions.
        """
        usable = Filter(types=self.wanted.types, since_s=self.wanted.since_s, until_s=self.wanted.until_s)
        if self.wanted != usable or not self.wanted.types <= _KINDS_OF_TYPES.keys():
            raise ConfigError(
                "offline, a copy can be audited by --type (except mms), --since and --until only; leave out"
                " the other conditions, or --offline"
            )

    @property
    def is_everything(self) -> bool:
        """Whether the whole copy is audited."""
        return () in self.paths and self.wanted.is_everything

    @property
    def may_lack_rows(self) -> bool:
        """Whether one of the paths is deeper than the numbers in a manifest, which are by month."""
        return any(len(path) > 3 or (len(path) > 1 and not _names_kind(path[1])) for path in self.paths)

    def takes_file(self, path: str, kind: str, month: str) -> bool:
        """Whether it takes the file at `path`; kind and month as the manifest has them, or empty."""
        parts = tuple(path.split("/"))
        is_inside = any(_fits(parts, each) and len(each) <= len(parts) for each in self.paths)
        if kind and not is_inside:
            is_inside = self._takes_place(parts[0], kind, month)
        return is_inside and self._takes(*_kind_in(parts, kind, month))

    def takes_closed(self, path: str) -> bool:
        """Whether it takes something at `path`, which the login could not read: a mailbox, or a view."""
        parts = parts_of(path)
        view = parts[1] if len(parts) > 1 else ""
        is_wanted = view in self._kinds if view else self.wanted.takes_messages
        return is_wanted and any(_fits(parts, each) for each in self.paths)

    def takes_row(self, name: str, kind: str, month: str) -> bool:
        """Whether it takes the numbers of a kind and month of the owner whose directory is `name`."""
        return self._takes_place(name, kind, month) and self._takes(kind, month)

    def _takes_place(self, name: str, kind: str, month: str) -> bool:
        place = (name, kind, month)
        return any(len(path) <= len(place) and _fits(place, path) for path in self.paths)

    def _takes(self, kind: str, month: str) -> bool:
        if self.wanted.is_everything:
            return True
        if self.wanted.since_s is not None and month in ("", NO_MONTH):
            return False
        return kind in self._kinds and (not is_month(month) or self.wanted.fits_month(month))

    @property
    def _kinds(self) -> set[str]:
        return {_KINDS_OF_TYPES[each] for each in self.wanted.types} or set(KINDS)


def _names_kind(pattern: str) -> bool:
    return any(matches(kind, pattern) for kind in KINDS)


def _kind_in(parts: Parts, kind: str, month: str) -> tuple[str, str]:
    """Kind and month of a file, by its path if the manifest does not say."""
    if kind:
        return kind, month
    view, folder = (*parts[1:], "", "")[:2]
    return view, folder[:7] if is_month(folder[:7]) else ""


def of_message(message: Message) -> tuple[str, str]:
    """Kind and month of a message."""
    return kind_of_message(message), month_of_time(message.created_s)
