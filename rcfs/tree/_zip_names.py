"""Paths of members of a zip archive, made harmless: an archive may hold any bytes as a name."""

from rcfs.tree._names import clean, fit

_MOST_DEPTH = 16
"""Most directories of a path, itself included; the documented layouts have eight. Programs that walk a tree
recurse, and each level of a hostile one costs them memory."""
_MOST_BYTES = 2000
"""Longest path in bytes: with the path of a mount point it stays below PATH_MAX, 4096 in <linux/limits.h>."""
_KNOWN = 4096
"""Names to remember: most members share all names but the last two with the member before."""


class MemberNames:
    """Makes the paths of one archive's members."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def path(self, name: bytes, *, is_utf8: bool) -> tuple[tuple[str, ...], bool]:
        """The path that the tree shows for the member `name`, and whether the member is a directory.

        It never leads out of the archive: ``..`` becomes ``_``; empty names and ``.`` are dropped, so an
        absolute path begins at the top. Each name is as in `rcfs.tree._names`. A path that is too deep or too
        long becomes one name at the top. The path may be empty, as that of ``/``; such a member has no place.

        Args:
            name: The bytes in the archive.
            is_utf8: Whether the archive says that they are UTF-8; else they are UTF-8 or code page 437.
        """
        text = _decoded(name, is_utf8=is_utf8)
        parts = tuple(self._clean(part) for part in text.split("/") if part not in ("", "."))
        if len(parts) > _MOST_DEPTH or sum(len(part.encode()) + 1 for part in parts) > _MOST_BYTES:
            parts = (fit(clean("_".join(parts)) or "_"),)
        return parts, text.endswith("/")

    def _clean(self, part: str) -> str:
        known = self._known.get(part)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            known = self._known[part] = fit(clean(part) or "_")
        return known


def _decoded(name: bytes, *, is_utf8: bool) -> str:
    """Source: APPNOTE.TXT of PKWARE, appendix D; many programs write UTF-8 without the flag for it."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("utf-8", "replace") if is_utf8 else name.decode("cp437")
