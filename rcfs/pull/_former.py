"""Files of a copy that an earlier version of rcfs gave other names, such as ``voicemail.wav``. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from rcfs.pull._choice import Entry, Parts
from rcfs.tree import AttachmentFile, MessageDirectory

_Group = tuple[Parts, str]
"""A directory and the extension of a name in it."""


def former_paths(copied: Iterable[str], entries: Iterable[Entry]) -> dict[Parts, Parts]:
    """Where attachments of `entries` may lie in a copy under another name, by their paths.

    The directory of a message has the message's id in its name, so a file in there that the message does not
    have now was one of its attachments. Which one is certain when there is one such file of a kind, and one
    attachment: of two pictures, the one that was not copied yet may be either.

    Args:
        copied: The paths of the files in the copy.
        entries: What was chosen from the tree, with the directories above it.
    """
    entries = list(entries)
    names: dict[Parts, set[str]] = {}
    for entry in entries:
        if isinstance(entry.node, MessageDirectory):
            names[entry.parts] = set(entry.node.entries())
    strangers: dict[_Group, list[Parts]] = defaultdict(list)
    known: set[Parts] = set()
    for path in copied:
        parts = tuple(path.split("/"))
        known.add(parts)
        if parts[:-1] in names and parts[-1] not in names[parts[:-1]]:
            strangers[parts[:-1], _kind(parts[-1])].append(parts)
    found = {}
    for entry in entries:
        above, kind = entry.parts[:-1], _kind(entry.parts[-1])
        olds = strangers.get((above, kind), ())
        if not isinstance(entry.node, AttachmentFile) or entry.parts in known or len(olds) != 1:
            continue
        if sum(_kind(name) == kind for name in names[above]) == 1:
            found[entry.parts] = olds[0]
    return found


def _kind(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
