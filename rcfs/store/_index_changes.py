"""Values that a change to the index of mailboxes keeps in memory until they are written."""

import attrs

Path = tuple[str, ...]
"""A path relative to the extension's directory."""
ChangedPaths = set[Path]
"""Paths to invalidate: the listing, times and texts of a view or folder, everything below a message in a
folder, and the whole mailbox if the path is empty."""


@attrs.define
class PartyName:
    """The name of a party of a folder."""

    name: str
    """Empty if no message has told it."""
    since_s: float
    """Creation time of the message that told it."""


@attrs.define
class ChangedFolder:
    """A folder with its changes; the first seven fields are those of `rcfs.model.FolderRow`."""

    number: int
    view: str
    key: str
    name: str
    created_s: float | None = None
    modified_s: float | None = None
    spoken_bytes: int = 0
    parties: dict[str, PartyName] | None = None
    """By identity; None until they are read."""
    changed_parties: set[str] = attrs.field(factory=set)
    """Identities of the parties that are to be written."""

    @property
    def path(self) -> Path:
        """Its path."""
        return (self.view, self.name) if self.name else (self.view,)


@attrs.frozen
class ShownEntry:
    """A message or a recording as a folder shows it, or has shown it until now."""

    number: int
    name: str
    created_s: float | None
    modified_s: float | None
    spoken_bytes: int = 0


def later(one_s: float | None, other_s: float | None) -> float | None:
    """The later of two times, of which one or both may be missing."""
    if one_s is None or other_s is None:
        return one_s if other_s is None else other_s
    return max(one_s, other_s)


def became_earlier(before_s: float | None, after_s: float | None) -> bool:
    """Whether a time became earlier, so that another message of a folder may be its newest now."""
    return before_s is not None and (after_s is None or after_s < before_s)
