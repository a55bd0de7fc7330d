"""The manifest of a copy: which files are done, and the SHA-256 of each, as sha256sum(1) writes it.

    # rcfs pull, account 400123; verify with: sha256sum -c SHA256SUMS
    # complete 0f31… 12 5e0c… 101 Jane Smith
    2cf24dba…  101 Jane Smith/Voicemail/2026-11/…/voicemail 2026-11-20T01.26.19Z from Bob Ray.wav

The first line is a comment for sha256sum; by it rcfs recognises a directory that it may write to. rcfs
appends a line for each finished file, so a killed pull loses none, and ignores a line that a crash cut short.
Further comments note which top-level directories a pull has completed, and their state at that time.
"""

import re

import attrs

from rcfs.tree import COPY_MANIFEST

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
    """A note that a pull has completed the directory of an extension, that is without a failure."""

    state: str
    """A digest of the wanted state: the mailbox's revision, the filter, and how rcfs shows messages."""
    files: int
    """Number of its files."""
    fingerprint: str
    """A digest of the actual state: names and sizes on the disk, and their lines in the manifest."""


def header(account_id: str) -> str:
    """The first line."""
    return f"# rcfs pull, account {account_id}; verify with: sha256sum -c {COPY_MANIFEST}\n"


def account_of(first: str) -> str | None:
    """The account of the manifest whose first line is `first`; None when rcfs did not write it."""
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
    """(path, digest) of the line of a file; None for a line that is cut short, or of another kind."""
    match = _LINE.fullmatch(text[:-1]) if text.endswith("\n") else None
    if match is None:
        return None
    path = match["path"]
    if match["escaped"]:
        path = _ESCAPED.sub(lambda found: _UNESCAPES.get(found[1], found[0]), path)
    return path, match["digest"]


def complete_line(name: str, complete: Complete) -> str:
    """The line that notes that the directory `name` is complete; the name holds no line break."""
    return f"# complete {complete.state} {complete.files} {complete.fingerprint} {name}\n"


def parse_complete(text: str) -> tuple[str, Complete] | None:
    """(name of the directory, note) of such a line; None for any other line."""
    match = _COMPLETE.fullmatch(text[:-1]) if text.endswith("\n") else None
    return match and (match["name"], Complete(match["state"], int(match["files"]), match["fingerprint"]))
