"""The manifest of a copy: which files are done, and the SHA-256 of each, as sha256sum(1) writes it.

    # rcfs pull, account 400123; verify with: sha256sum -c SHA256SUMS
    # complete 0f31… 12 5e0c… 101 Jane Smith
    # of 400123/101/6424569004/6424569004 48213 101 Voicemail 2026-11
    2cf24dba…  101 Jane Smith/Voicemail/2026-11/…/voicemail 2026-11-20T01.26.19Z from Bob Ray.wav

The first line is a comment for sha256sum; by it rcfs recognises a directory that it may write to. rcfs
appends a line for each finished file, so a killed pull loses none, and ignores a line that a crash cut short.
Further comments note which top-level directories a pull has completed, and their state at that time; those in
`rcfs.pull._facts` tell what each file is, and what the platform had. A manifest without them is valid, too.
"""

import re
from collections.abc import Iterable, Iterator

import attrs

from rcfs.pull._facts import Fact, Had, PullNote, parse_fact, parse_had, parse_pull
from rcfs.tree import COPY_MANIFEST

_HEADER = re.compile(r"# rcfs pull, account (?P<account>[0-9]+);.*")
_COMPLETE = re.compile(
    r"# complete (?P<state>[0-9a-f]+) (?P<files>[0-9]{1,18}) (?P<fingerprint>[0-9a-f]+) (?P<name>.+)"
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


@attrs.frozen
class CompleteEntry:
    """The line of such a note."""

    name: str
    """Name of the directory."""
    complete: Complete
    """The note."""


@attrs.frozen
class FileEntry:
    """The line of a file, with the fact that stands before it."""

    path: str
    """Path below the copy, as the manifest has it: untrusted."""
    digest: str
    """SHA-256 in hexadecimal."""
    fact: Fact | None = None
    """The identity of the file; None if the manifest does not say."""
    size_bytes: int | None = None
    """Its size; None if the manifest does not say."""


@attrs.frozen
class UnknownEntry:
    """A line that makes no sense."""


Entry = CompleteEntry | FileEntry | Had | PullNote | UnknownEntry


def header(account_id: str) -> str:
    """The first line."""
    return f"# rcfs pull, account {account_id}; verify with: sha256sum -c {COPY_MANIFEST}\n"


def account_of(first: str) -> str | None:
    """The account of the manifest whose first line is `first`; None when rcfs did not write it."""
    match = _HEADER.fullmatch(first.removesuffix("\n"))
    return None if match is None else match["account"]


def entries(lines: Iterable[str]) -> Iterator[Entry]:
    """The entries of the lines after the first one, in their order; never raises for what a line holds."""
    fact: tuple[Fact, int] | None = None
    for text in lines:
        parsed = parse_line(text)
        if parsed is not None:
            path, digest = parsed
            yield FileEntry(path, digest, *(fact or (None, None)))
            fact = None
            continue
        fact = parse_fact(text)
        if fact is not None:
            continue
        complete = parse_complete(text)
        if complete is not None:
            yield CompleteEntry(*complete)
        else:
            yield parse_had(text) or parse_pull(text) or UnknownEntry()


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
