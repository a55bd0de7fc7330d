"""Files of a copy that an earlier version of rcfs gave other names, such as ``voicemail.wav``. Pure."""

from collections.abc import Collection
from pathlib import PurePosixPath


def former_name(name: str, shown: Collection[str], copied: Collection[str]) -> str | None:
    """What the attachment `name` of a message may be called in a copy; None where that is not certain.

    The directory of a message has the message's id in its name, so a file in there that the message does not
    have now was one of its attachments. Which one is certain when there is one such file of a kind, and one
    attachment: of two pictures, the one that was not copied yet may be either.

    Args:
        name: What it is called in the tree.
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


def _kind(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
