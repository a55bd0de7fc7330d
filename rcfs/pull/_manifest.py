"""The manifest of a copy: which files are done, and the SHA-256 of each, as sha256sum(1) writes it.

    # rcfs pull, account 400123; verify with: sha256sum -c SHA256SUMS
    # complete 0f31… 12 5e0c… 101 Jane Smith
    2cf24dba…  101 Jane Smith/Voicemail/2026-11/…/voicemail 2026-11-20T01.26.19Z from Bob Ray.wav

The first line is a comment to sha256sum, and to rcfs the mark of a directory that it may write to. Lines are
appended as files are done, so a copy that was killed knows them; a line that a crash tore is passed over.
Further comments tell which directories were complete at the end of a pull, and what they looked like then.
"""

import re

import attrs

from rcfs.tree import COPY_MANIFEST

MANIFEST = COPY_MANIFEST
"""Its name, at the top of the copy."""

_HEADER = re.compile(r"# rcfs pull, account (?P<account>[0-9]+);.*")
_COMPLETE = re.compile(
    r"# complete (?P<state>[0-9a-f]+) (?P<files>[0-9]+) (?P<fingerprint>[0-9a-f]+) (?P<name>.+)"
)
_LINE = re.compile(r"(?P<escaped>\\?)(?P<digest>[0-9a-f]{64}) [ *](?P<path>.+)")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_ESCAPED = re.compile(r"\\(.)")
_UNESCAPES = {"\\": "\\", "n": "\n", "r": "\r"}


@attrs.frozen
class Complete:
    """What the directory of an extension was when a pull of all of it had ended without a failure."""

    state: str
    """What was to be there: a digest of the mailbox's revision, the filter, and how rcfs shows messages."""
    files: int
    """How many files that is."""
    fingerprint: str
    """What was there: a digest of names and sizes on the disk, and of what is noted of them."""


def header(account_id: str) -> str:
    """The first line."""
    return f"# rcfs pull, account {account_id}; verify with: sha256sum -c {MANIFEST}\n"


def account_of(first: str) -> str | None:
    """The account of the manifest whose first line is `first`; None when it is not one of rcfs."""
    match = _HEADER.fullmatch(first.removesuffix("\n"))
    return None if match is None else match["account"]


def line(path: str, digest: str) -> str:
    """The line of the file at `path`, whose SHA-256 is `digest` in hexadecimal.

    Source: "md5sum invocation" in the manual of GNU coreutils: a line begins with a backslash when the name
    is escaped.
    """
    escaped = "".join(_ESCAPES.get(character, character) for character in path)
    return f"{'' if escaped == path else chr(92)}{digest}  {escaped}\n"


def parse_line(text: str) -> tuple[str, str] | None:
    """(path, digest) that a line tells; None when it is torn, or tells something else."""
    match = _LINE.fullmatch(text[:-1]) if text.endswith("\n") else None
    if match is None:
        return None
    path = match["path"]
    if match["escaped"]:
        path = _ESCAPED.sub(lambda found: _UNESCAPES.get(found[1], found[0]), path)
    return path, match["digest"]


def complete_line(name: str, complete: Complete) -> str:
    """The line that tells that the directory `name`, in whose name no line ends, was complete."""
    return f"# complete {complete.state} {complete.files} {complete.fingerprint} {name}\n"


def parse_complete(text: str) -> tuple[str, Complete] | None:
    """(name of a directory, what it was when it was complete) that a line tells; None when it does not."""
    match = _COMPLETE.fullmatch(text[:-1]) if text.endswith("\n") else None
    return match and (match["name"], Complete(match["state"], int(match["files"]), match["fingerprint"]))
