"""The keys of brief waits, see `Waits.briefly`: one for each directory that the kernel locks."""

from collections.abc import Hashable

from rcfs.tree import (
    ArchiveDirectory,
    ExportDirectory,
    ExportKindDirectory,
    MailboxDirectory,
    Node,
    SearchDirectory,
)


def lock_of(directory: Node) -> tuple[Hashable, ...]:
    """The key of all brief waits in a directory; the kernel locks the directory, not one name."""
    match directory:
        case SearchDirectory():
            return "search", directory.query
        case ArchiveDirectory():
            return "archive", directory.file.key
        case ExportDirectory():
            return "export", directory.kind, directory.name
        case ExportKindDirectory():
            return "exports", directory.kind
        case MailboxDirectory():
            return "messages", directory.owner_id
        case _:
            return ("searches",)
