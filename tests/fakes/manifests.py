"""Manifests of copies as texts."""

from rcfs.pull._digests import Digests


def parse(text: str) -> tuple[str, dict[str, str]] | None:
    """Account and digests by path in the manifest `text`; None if it is not a manifest of rcfs."""
    digests = Digests()
    account = digests.read(text.splitlines(keepends=True))
    return None if account is None else (account, {path: digest.hex() for path, digest in digests.below("")})


def whole(account_id: str, files: dict[str, str]) -> str:
    """The manifest of all of `files`, by path."""
    digests = Digests()
    for path, digest in files.items():
        digests.put(path, digest)
    return "".join(digests.lines(account_id))
