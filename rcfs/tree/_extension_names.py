"""The names of the directories of extensions."""

from collections import Counter
from collections.abc import Callable, Iterable

from rcfs.model import CallContext, Extension
from rcfs.tree._names import Names, clean, fit, folded

LIVE_DIRECTORY = ".rcfs"
"""Directory of the files about the program; no directory of an extension has a name with a leading dot.

It can be looked up, but is listed on request only: a program that copies or compares the tree would take it
for a part of the account.
"""

SEARCH_DIRECTORY = "Search"
"""Directory of the searches in the root; no extension gets this name."""

COMPANY_DIRECTORY = "Company"
"""Directory in the root for all that belongs to the whole company; no extension gets this name."""

EXPORTS_DIRECTORY = "Exports"
"""Directory of the exports in the root; no extension gets this name."""

COPY_MANIFEST = "SHA256SUMS"
"""File of digests at the top of a copy; no extension gets this name."""


def extension_names(extensions: Iterable[Extension]) -> dict[int, str]:
    """The name of the directory of each extension, by id and in the order of the ids.

    It is ``<number> <name>``, or one of the two if the other is missing, or ``extension <id>`` if both are.
    If two names were equal without regard to case, both get an ``[id]``.

    Args:
        extensions: All extensions that the root shows; the last record of an id counts.
    """
    stems = {extension.id: _stem(extension) for extension in extensions}
    equal = Counter(folded(fit(stem)) for stem in stems.values())
    taken = Names((LIVE_DIRECTORY, SEARCH_DIRECTORY, COMPANY_DIRECTORY, EXPORTS_DIRECTORY, COPY_MANIFEST))
    return {
        extension_id: taken.unique(stem, f" [{extension_id}]" if equal[folded(fit(stem))] > 1 else "")
        for extension_id, stem in sorted(stems.items())
    }


def shown_extensions(
    extensions: Iterable[Extension], message_path: Callable[[int, int], str | None]
) -> CallContext:
    """The context of calls while the root shows `extensions`; `message_path` as in `CallContext`."""
    by_id = {extension.id: extension for extension in extensions}
    numbers = {extension.id: extension.number for extension in by_id.values()}
    return CallContext(extension_names(by_id.values()), numbers, message_path)


def _stem(extension: Extension) -> str:
    parts = filter(None, (clean(extension.number), clean(extension.name)))
    return " ".join(parts) or f"extension {extension.id}"
