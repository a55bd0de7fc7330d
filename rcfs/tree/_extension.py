"""One extension: the directories that it always has, and the mailbox that fills them."""

from collections.abc import Iterable, Mapping
from operator import attrgetter
from types import MappingProxyType

import attrs

from rcfs.model import Availability, ContentKey, Extension, Mailbox, Message
from rcfs.tree._conversations import ConversationsDirectory
from rcfs.tree._message import TEXTUAL_TYPES, MessagesDirectory, TypeDirectory, pretty_json
from rcfs.tree._names import clean, folded, unique
from rcfs.tree._nodes import Change, Directory, Node, Shelf, TextFile, differences
from rcfs.tree._times import Times, created_order, month_name, newest_times

_TYPE_NAMES: Mapping[str, str] = MappingProxyType(
    {"SMS": "SMS", "VoiceMail": "Voicemail", "Fax": "Fax", "Pager": "Pager"}
)
"""The directories of the types that every mailbox can hold. Source: ``messageType`` of listMessages."""

_UNTYPED = "Other"
"""The directory of messages that do not say what they are."""


@attrs.define(eq=False, kw_only=True)
class ExtensionDirectory(Directory):
    """The directory of one extension.

    SMS, Voicemail, Fax, Pager, Conversations, Trash and extension.json are there from the beginning, so
    they can be looked up before the mailbox is loaded. Directories of further types come with `fill`.
    """

    extension: Extension
    """Its record."""
    is_filled: bool = attrs.field(default=False, init=False)
    """Whether the mailbox has been loaded; until then a name may be missing from `entries`."""
    _shelf: Shelf
    _record: TextFile
    _types: dict[str, TypeDirectory]
    _conversations: ConversationsDirectory
    _trash: MessagesDirectory
    _entries: dict[str, Node] | None = attrs.field(default=None, init=False)

    @classmethod
    def unfilled(cls, extension: Extension, fallback_s: float) -> "ExtensionDirectory":
        """The directory of `extension` before its mailbox is loaded.

        Args:
            extension: Whose directory it is.
            fallback_s: The time of what has none, in seconds since 1970-01-01 UTC.
        """
        times = Times(fallback_s, fallback_s)
        shelf = Shelf(extension_id=extension.id, fallback_s=fallback_s)
        return cls(
            extension=extension,
            times=times,
            shelf=shelf,
            record=TextFile(times=times, source=extension.raw, render=pretty_json),
            types={kind: TypeDirectory(times=times, shelf=shelf) for kind in _TYPE_NAMES},
            conversations=ConversationsDirectory(times=times, shelf=shelf),
            trash=MessagesDirectory(times=times, shelf=shelf),
        )

    @property
    def mailbox_id(self) -> int | None:
        return self.extension.id

    def entries(self) -> Mapping[str, Node]:
        if self._entries is None:
            self._entries = self._named()
        return self._entries

    def fill(self, mailbox: Mailbox) -> list[Change]:
        """Show `mailbox` from now on, whatever was shown before.

        Directories that somebody has looked into stay the same nodes and are brought up to date at once;
        all others are made when they are looked into. Fifty thousand messages take 0.25 s, and
        0.7 s when every directory has been looked into (measured 2026-11, 2 cores).

        Returns:
            What changed in directories that somebody has looked into: the names that a cache of names, such
            as the kernel's, must forget.
        """
        kinds: dict[str, dict[str, list[Message]]] = {kind: {} for kind in _TYPE_NAMES}
        trash: list[Message] = []
        # By id, so that equal mailboxes give equal sources, in whatever order they list their messages.
        for message in sorted(mailbox.messages, key=attrgetter("id")):
            if message.availability == Availability.DELETED:
                trash.append(message)
            elif message.availability != Availability.PURGED:
                month = month_name(message.created_s)
                kinds.setdefault(message.type, {}).setdefault(month, []).append(message)
        self._shelf.account_id = mailbox.account_id
        self._shelf.learned.update(mailbox.known_sizes)
        changes: list[Change] = []
        types: dict[str, TypeDirectory] = {}
        for kind, months in kinds.items():
            messages = [message for of_month in months.values() for message in of_month]
            times = self._times_of(messages)
            types[kind] = self._types.get(kind) or TypeDirectory(times=times, shelf=self._shelf)
            types[kind].refill({month: tuple(of_month) for month, of_month in months.items()}, times, changes)
        self._types = types
        conversing = [m for kind in TEXTUAL_TYPES for of_month in kinds[kind].values() for m in of_month]
        conversing.sort(key=created_order)
        self._conversations.refill(tuple(conversing), self._times_of(conversing), changes)
        self._trash.refill(tuple(trash), self._times_of(trash), changes)
        self.times = self._times_of(mailbox.messages)
        if self._entries is not None:
            old, self._entries = self._entries, self._named()
            changes.extend(differences(self, old, self._entries))
        self.is_filled = True  # last: from now on a name that is missing does not exist
        return changes

    def learn(self, key: ContentKey, size_bytes: int) -> None:
        """Show `size_bytes` as the exact size of an attachment, also if its node is yet to be made."""
        self._shelf.learned[key] = size_bytes

    def _times_of(self, messages: Iterable[Message]) -> Times:
        return newest_times(messages, self._shelf.fallback_s)

    def _named(self) -> dict[str, Node]:
        """The entries, in the order to list them."""
        fixed = {
            "Conversations": self._conversations,
            "Trash": self._trash,
            "extension.json": self._record,
        }
        entries: dict[str, Node] = {name: self._types[kind] for kind, name in _TYPE_NAMES.items()}
        taken = {folded(name) for name in (*entries, *fixed)}
        for kind in sorted(self._types.keys() - _TYPE_NAMES.keys()):
            entries[unique(clean(kind) or _UNTYPED, "", taken)] = self._types[kind]
        return entries | fixed
