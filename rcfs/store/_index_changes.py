"""What a change to the index of mailboxes keeps in memory, until it is written."""

import attrs

Path = tuple[str, ...]
"""A path relative to the extension's directory."""


@attrs.define
class PartyName:
    """What a party of a folder is called."""

    name: str
    """Empty when no message has told."""
    since_s: float
    """When the message was created that told it."""


@attrs.define
class ChangedFolder:
    """A folder as it will be; the first seven as in `rcfs.model.FolderRow`."""

    number: int
    view: str
    key: str
    name: str
    created_s: float | None = None
    modified_s: float | None = None
    spoken_bytes: int = 0
    parties: dict[str, PartyName] | None = None
    """By identity; None when they have not been read."""
    learned: set[str] = attrs.field(factory=set)
    """Identities of the parties that are to be written."""

    @property
    def path(self) -> Path:
        """Where it is."""
        return (self.view, self.name) if self.name else (self.view,)


@attrs.frozen
class ShownMessage:
    """A message as it was shown until now."""

    number: int
    name: str
    created_s: float | None
    modified_s: float | None
    spoken_bytes: int


def later(one_s: float | None, other_s: float | None) -> float | None:
    """The later of two times, of which one or both may be missing."""
    if one_s is None or other_s is None:
        return one_s if other_s is None else other_s
    return max(one_s, other_s)


def fell(before_s: float | None, after_s: float | None) -> bool:
    """Whether a time became earlier, so that a folder's newest may not be its newest any more."""
    return before_s is not None and (after_s is None or after_s < before_s)
