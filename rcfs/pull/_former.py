"""Former names of the files of a copy. Pure.

An earlier version of rcfs named attachments otherwise, such as ``voicemail.wav``; and a recording gets
another name when the platform changes the record of its call.
"""

from collections.abc import Collection
from pathlib import PurePosixPath

from rcfs.tree import call_id_of


def former_name(name: str, shown: Collection[str], copied: Collection[str]) -> str | None:
    """The earlier name of the attachment `name` of a message in a copy; None when it is not certain.

    The name of a message's directory holds the message's id. So a file in that directory which the tree does
    not show was an attachment of the message. It is certain which one when the copy has one such file with
    this extension, and the message one attachment; of two pictures it could be either.

    Args:
        name: Its name in the tree.
        shown: All names in the directory of the message in the tree.
        copied: All names in the same directory of the copy.
    """
    if name in copied:
        return None
    kind = _kind(name)
    strangers = [each for each in copied if each not in shown and _kind(each) == kind]
    if len(strangers) != 1 or sum(_kind(each) == kind for each in shown) != 1:
        return None
    return strangers[0]


def recordings_by_id(copied: Collection[str]) -> dict[str, str]:
    """The names of recordings in a directory of a copy, by id, which stays when the record changes."""
    return {recording_id: name for name in copied if (recording_id := call_id_of(name)) is not None}


def _kind(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
