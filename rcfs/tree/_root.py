"""The root of the tree: a directory for each extension, and ``.rcfs``."""

from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from rcfs.model import Extension
from rcfs.tree._extension import ExtensionDirectory
from rcfs.tree._names import clean, fit, folded, unique
from rcfs.tree._nodes import LIVE_TOPICS, FixedDirectory, LiveFile, Node
from rcfs.tree._times import Times

LIVE_DIRECTORY = ".rcfs"
"""The directory of the files that tell about the program; no extension's name begins with a dot."""


@attrs.define(eq=False, kw_only=True)
class Root(FixedDirectory):
    """The root directory; its entries stay as long as the mount."""

    _extensions: Mapping[int, ExtensionDirectory]

    def extension(self, extension_id: int) -> ExtensionDirectory:
        """The directory of the extension with that internal id.

        Raises:
            KeyError: There is none.
        """
        return self._extensions[extension_id]


def build_root(extensions: Iterable[Extension], *, fallback_s: float) -> Root:
    """The root with a directory for each of `extensions`, and ``.rcfs``.

    Extension directories are called ``<number> <name>``, one of the two where the other is missing,
    ``extension <id>`` where both are; ``[id]`` is appended where two would be equal, whatever the case.

    Args:
        extensions: The extensions that the user may read; of records with the same id the last counts.
        fallback_s: The time of everything that has none, in seconds since 1970-01-01 UTC.
    """
    by_id = {extension.id: extension for extension in extensions}
    stems = {extension.id: _stem(extension) for extension in by_id.values()}
    equal = Counter(folded(fit(stem)) for stem in stems.values())
    taken = {folded(LIVE_DIRECTORY)}
    directories: dict[int, ExtensionDirectory] = {}
    named: dict[str, Node] = {}
    for extension_id, extension in sorted(by_id.items()):
        stem = stems[extension_id]
        suffix = f" [{extension_id}]" if equal[folded(fit(stem))] > 1 else ""
        directory = ExtensionDirectory.unfilled(extension, fallback_s)
        directories[extension_id] = named[unique(stem, suffix, taken)] = directory
    times = Times(fallback_s, fallback_s)
    live = {topic: LiveFile(times=times, topic=topic) for topic in LIVE_TOPICS}
    entries = dict(sorted(named.items())) | {LIVE_DIRECTORY: FixedDirectory(times=times, entries=live)}
    return Root(times=times, entries=entries, extensions=directories)


def _stem(extension: Extension) -> str:
    parts = filter(None, (clean(extension.number), clean(extension.name)))
    return " ".join(parts) or f"extension {extension.id}"
