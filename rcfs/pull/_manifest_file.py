"""Opens the manifest of a copy, which may be anything that somebody has put there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from rcfs.errors import StoreError
from rcfs.pull._disk import open_regular
from rcfs.pull._facts import LONGEST_LINE
from rcfs.pull._manifest import account_of, header
from rcfs.tree import COPY_MANIFEST


@attrs.frozen
class OpenManifest:
    """A manifest that is being read."""

    account_id: str
    """The account that it belongs to."""
    is_usual: bool
    """Whether its first line is as this version writes it."""
    lines: Iterator[str]
    """The lines after the first one, read when they are needed; a line that is too long comes in pieces."""


@contextmanager
def open_manifest(
    directory_fd: int, path: Path, account_id: str = "", name: str = COPY_MANIFEST
) -> Iterator[OpenManifest | None]:
    """The manifest in a directory; None if the directory has none.

    Args:
        directory_fd: A descriptor of the directory.
        path: Its path, for messages.
        account_id: The account that it must belong to; empty for any.
        name: Its name in the directory.

    Raises:
        StoreError: It cannot be read, rcfs did not write it, or it is that of another account.
    """
    try:
        file = open_regular(name, directory_fd)
    except FileNotFoundError:
        yield None
        return
    except OSError as exc:
        raise StoreError(f"{path / name} cannot be read: {exc.strerror}") from exc
    with os.fdopen(file, encoding="utf-8", errors="surrogateescape", newline="\n") as reading:

        def lines() -> Iterator[str]:
            try:
                while text := reading.readline(LONGEST_LINE):
                    yield text
            except OSError as exc:
                raise StoreError(f"{path / name} cannot be read: {exc.strerror}") from exc

        rest = lines()
        first = next(rest, "")
        account = account_of(first)
        if account is None:
            raise StoreError(f"{path / name} was not made by rcfs pull; choose another directory")
        if account_id not in ("", account):
            raise StoreError(f"{path} is the copy of another account ({account}); choose another directory")
        yield OpenManifest(account, first == header(account), rest)
