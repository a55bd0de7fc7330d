"""The manifest of a copy: which files are done, and the SHA-256 of each, as sha256sum(1) writes it.

    # rcfs pull, account 400123; verify with: sha256sum -c SHA256SUMS
    2cf24dba…  101 Jane Smith/Voicemail/2026-11/…/voicemail 2026-11-20T01.26.19Z from Bob Ray.wav

The first line is a comment to sha256sum, and to rcfs the mark of a directory that it may write to. Lines are
appended as files are done, so a copy that was killed knows them; a line that a crash tore is passed over.
"""

import re
from collections.abc import Mapping

from rcfs.tree import COPY_MANIFEST

MANIFEST = COPY_MANIFEST
"""Its name, at the top of the copy."""

_HEADER = re.compile(r"# rcfs pull, account (?P<account>[0-9]+);.*")
_LINE = re.compile(r"(?P<escaped>\\?)(?P<digest>[0-9a-f]{64}) [ *](?P<path>.+)")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_ESCAPED = re.compile(r"\\(.)")
_UNESCAPES = {"\\": "\\", "n": "\n", "r": "\r"}


def line(path: str, digest: str) -> str:
    """The line of the file at `path`, whose SHA-256 is `digest` in hexadecimal.

    Source: "md5sum invocation" in the manual of GNU coreutils: a line begins with a backslash when the name
    is escaped.
    """
    escaped = "".join(_ESCAPES.get(character, character) for character in path)
    return f"{'' if escaped == path else chr(92)}{digest}  {escaped}\n"


def parse(text: str) -> tuple[str, dict[str, str]] | None:
    """Account and digests by path of the manifest `text`; None when it is not one of rcfs.

    Of several lines for one path the last counts.
    """
    first, *lines = text.split("\n")
    head = _HEADER.fullmatch(first)
    if head is None:
        return None
    digests = {}
    for each in lines[:-1]:  # What follows the last newline was torn off.
        match = _LINE.fullmatch(each)
        if match is not None:
            path = match["path"]
            if match["escaped"]:
                path = _ESCAPED.sub(lambda found: _UNESCAPES.get(found[1], found[0]), path)
            digests[path] = match["digest"]
    return head["account"], digests


def whole(account_id: str, digests: Mapping[str, str]) -> str:
    """The manifest of all of `digests`, in the order of the paths."""
    header = f"# rcfs pull, account {account_id}; verify with: sha256sum -c {MANIFEST}\n"
    return header + "".join(line(path, digests[path]) for path in sorted(digests))
