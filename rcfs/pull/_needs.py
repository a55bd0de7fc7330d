"""The collections that a pull needs: those that its paths lead into and whose entries its filter can take.

Pure. So a pull of a week's recordings loads no mailbox, and no month of calls before that week.
"""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import attrs

from rcfs.model import (
    CALL_LOG,
    CALLS_VIEW,
    COMPANY,
    GREETINGS,
    LOG_ENDINGS,
    PROMPTS,
    RECORDING,
    RECORDINGS_VIEW,
    Filter,
    collection_of,
    is_month,
)
from rcfs.tree import (
    BY_CONTACT,
    GREETINGS_VIEW,
    PROMPTS_VIEW,
    CallCatalogue,
    CompanyDirectory,
    ExtensionDirectory,
    Root,
)

Parts = tuple[str, ...]
BESIDES: Final = (CALLS_VIEW, RECORDINGS_VIEW, GREETINGS_VIEW)
"""Directories of an extension that are no part of its mailbox."""
OwnerDirectory = ExtensionDirectory | CompanyDirectory


@attrs.frozen
class Needs:
    """The collections to load or sync."""

    mailboxes: Mapping[str, ExtensionDirectory]
    """The extensions whose mailboxes are needed, by name."""
    months: Sequence[tuple[int, str]]
    """(owner, month) of the call logs, the newest months first."""
    lists: Sequence[str]
    """Ids of the collections of greetings and prompts."""


def owner_of_directory(directory: OwnerDirectory) -> int:
    """The extension that a directory in the root belongs to, or `COMPANY`."""
    return directory.extension.id if isinstance(directory, ExtensionDirectory) else COMPANY


def owners_of(root: Root, paths: Sequence[Parts]) -> dict[str, OwnerDirectory]:
    """The directories of extensions and of the company that `paths` lead into, by name."""
    return {name: directory for name, directory, _path in owner_paths(root, paths)}


def needs_of(root: Root, paths: Sequence[Parts], wanted: Filter, calls: CallCatalogue) -> Needs:
    """The collections that a walk of `paths` needs."""
    mailboxes: dict[str, ExtensionDirectory] = {}
    months: set[tuple[int, str]] = set()
    lists: dict[str, None] = {}
    for name, directory, path in owner_paths(root, paths):
        view = path[1] if len(path) > 1 else "*"
        owner = owner_of_directory(directory)
        takes_any = wanted.takes_messages or _links_to_recordings(path, wanted)
        if isinstance(directory, ExtensionDirectory) and takes_any and view not in BESIDES:
            mailboxes[name] = directory
        if calls.has_calls:
            months.update((owner, month) for month in _months(path, owner, wanted, calls))
        shows_greetings = wanted.fits_greetings and directory.find(GREETINGS_VIEW) is not None
        if shows_greetings and matches(GREETINGS_VIEW, view):
            lists[collection_of(GREETINGS, owner)] = None
            # Presets are links into the company.
            lists[collection_of(GREETINGS)] = None
        if shows_greetings and owner == COMPANY and matches(PROMPTS_VIEW, view):
            lists[collection_of(PROMPTS)] = None
    if root.name_of(COMPANY) is None:
        lists.pop(collection_of(GREETINGS), None)
    newest_first = sorted(months, key=lambda each: each[1], reverse=True)
    return Needs(mailboxes, newest_first, tuple(lists))


def matches(name: str, pattern: str) -> bool:
    """Whether `pattern` selects `name`: it is the name, or a shell pattern, in which ``[`` may be itself."""
    return name == pattern or fnmatchcase(name, pattern) or fnmatchcase(name, pattern.replace("[", "[[]"))


def owner_paths(root: Root, paths: Sequence[Parts]) -> Iterator[tuple[str, OwnerDirectory, Parts]]:
    """The directories in the root that `paths` lead into, each with its name and the path."""
    for path in paths:
        pattern = path[0] if path else "*"
        exact = root.find(pattern)
        if isinstance(exact, (ExtensionDirectory, CompanyDirectory)):
            yield root.listed_as(pattern), exact, path
            continue
        for name, node in root.entries().items():
            if isinstance(node, (ExtensionDirectory, CompanyDirectory)) and matches(name, pattern):
                yield name, node, path


def _links_to_recordings(path: Parts, wanted: Filter) -> bool:
    """Whether `path` names links to recordings, and not the recordings as well."""
    if RECORDING not in wanted.kinds or len(path) < 2:
        return False
    return matches(BY_CONTACT, path[1]) and not matches(RECORDINGS_VIEW, path[1])


def _months(path: Parts, owner: int, wanted: Filter, calls: CallCatalogue) -> Iterator[str]:
    view, entry = (*path[1:], "*", "*")[:2]
    if _links_to_recordings(path, wanted):
        view, entry = RECORDINGS_VIEW, "*"
    logs = CALL_LOG in wanted.kinds and matches(CALLS_VIEW, view)
    recordings = RECORDING in wanted.kinds and matches(RECORDINGS_VIEW, view)
    if not (logs or recordings):
        return
    # An older month is not listed, but its log can be named.
    named = {entry.partition(".")[0]} if logs else set[str]()
    for month in {*calls.months_to_show(owner), *named}:
        names = (month + ending for ending in ("", *LOG_ENDINGS))
        if is_month(month) and wanted.fits_month(month) and any(matches(name, entry) for name in names):
            yield month
