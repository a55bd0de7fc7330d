"""The event that exports have changed."""

import attrs

from rcfs.model import Export


@attrs.frozen
class ExportsChanged:
    """Exports that are new, have changed or are forgotten, by this process or another."""

    changed: tuple[Export, ...] = ()
    """Exports that are new or have changed, as they are now."""
    forgotten: tuple[Export, ...] = ()
    """Exports that are forgotten, as they were."""
