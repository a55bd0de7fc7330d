"""Manifests of copies as texts."""

from rcfs.pull._digests import Digests
from rcfs.pull._manifest import account_of
from rcfs.pull._manifest_file import OpenManifest


def parse(text: str) -> tuple[str, dict[str, str]] | None:
    """Account and digests by path in the manifest `text`; None if it is not a manifest of rcfs."""
    lines = iter(text.splitlines(keepends=True))
    account = account_of(next(lines, ""))
    if account is None:
        return None
    digests = Digests()
    digests.read(OpenManifest(account, is_usual=True, lines=lines))
    return account, {path: digest.hex() for path, digest in digests.below("")}


def whole(account_id: str, files: dict[str, str]) -> str:
    """The manifest of all of `files`, by path."""
    digests = Digests()
    for path, digest in files.items():
        digests.put(path, digest, 0)
    return "".join(digests.lines(account_id))
