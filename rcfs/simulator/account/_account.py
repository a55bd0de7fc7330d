"""The generated account: a whole office's messages from one seed.

Nothing generated is stored, so a large account costs no memory. The specification determines the people, the
plans of the mailboxes determine the messages, a message's id determines its text and attachments, and the
bytes of an attachment are made when somebody reads them. Only later changes are stored: messages that were
changed, added or removed (`_mailbox`), and the text and files of those that clients sent. The message store
(`_message_store`) decides which changes may happen, and when.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.metadata import version

import attrs

from rcfs.simulator.account import _records as records
from rcfs.simulator.account._drafts import Draft, Part
from rcfs.simulator.account._fixtures import Fixture, documented, hostile, large_fax
from rcfs.simulator.account._mailbox import Mailbox
from rcfs.simulator.account._people import COMPANY, SimExtension, extensions_of
from rcfs.simulator.account._plan import DAY_S, ID_STEP, MailboxPlan, SimMessage, first_free_id
from rcfs.simulator.account._writer import Writer
from rcfs.simulator.media._content import MediaBases, SimContent

__all__ = ["AccountSpec", "SimAccount", "SimContent", "SimExtension", "SimMessage", "TruthRow"]

_GENERATOR = 2
"""Version of the generator: increase it whenever a specification generates something else than before."""
_BLOCKS_AT_HAND = 64
"""Planned blocks kept in memory, 60 KB each: enough to list a mailbox of 12,000 messages repeatedly."""
_WRITERS_AT_HAND = 16
"""Writers kept in memory; each knows up to 400 contacts of its mailbox, some 200 KB."""
_MONTH_S = 365.25 / 12 * DAY_S
_HOSTILE_FROM = 200
"""Smallest account, in messages, that contains the hostile ones."""
_LARGE_FROM = 1000
"""Smallest account, in messages, that contains the large fax."""
_DOCUMENTED_FROM = 20
"""Smallest account, in messages, that contains the documentation's examples."""


_WEEK_S = 7 * DAY_S
_REFERENCE_S = 1_795_176_000.0
"""2026-11-20T12:00:00Z, a Friday: the present of an account unless its specification names another."""


def latest_present_s(now_s: float) -> float:
    """The latest Friday noon in UTC at `now_s` or before it, in seconds since 1970 UTC.

    It suits as ``end_s`` of an account that is to look recent: all runs within a week get the same account,
    and the accounts of two weeks differ only in times, all by whole weeks.
    """
    return now_s - (now_s - _REFERENCE_S) % _WEEK_S


@attrs.frozen
class AccountSpec:
    """The parameters that determine a whole account."""

    seed: int = 1
    """Any integer; each gives a different office."""
    messages: int = attrs.field(default=3000, validator=attrs.validators.ge(0))
    """Messages of all mailboxes together, at least 0; a few more if a mailbox's share is smaller than its
    number of fixtures."""
    extensions: int = attrs.field(default=6, validator=attrs.validators.ge(1))
    """Number of extensions, at least 1; 6 or more include all kinds."""
    months: int = attrs.field(default=24, validator=attrs.validators.ge(1))
    """How many months the messages reach back, at least 1."""
    end_s: float = _REFERENCE_S
    """The end of the generated period, seconds since 1970 UTC; 2026-11-20T12:00:00Z by default."""
    menus: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    """Number of additional IVR menus, which have no mailbox, at least 0."""


@attrs.frozen
class TruthRow:
    """The expected content of one attachment."""

    extension_id: int
    """The owner of the mailbox."""
    message_id: int
    attachment_id: int
    """Unique within the message."""
    kind: str
    """``type`` of the attachment's record."""
    content_type: str
    """Media type that the content is served with."""
    size_bytes: int
    """Exact size."""
    sha256: str
    """Checksum of the content, hexadecimal."""


class SimAccount:
    """The account that `spec` determines; equal specifications give equal accounts.

    Any thread may read; only one thread may change messages.
    """

    def __init__(self, spec: AccountSpec) -> None:
        self.spec = spec
        self.account_id = _account_id(spec)
        self.name = COMPANY
        self.extensions = extensions_of(self.account_id, spec.extensions, spec.menus)
        self._by_id = {extension.id: extension for extension in self.extensions}
        self._renamed: dict[int, str] = {}
        self._mailboxes: dict[int, Mailbox] = {}
        self._read = lru_cache(_BLOCKS_AT_HAND)(MailboxPlan.messages)
        self._writer = lru_cache(_WRITERS_AT_HAND)(self._new_writer)
        self._drafts: dict[int, Draft] = {}
        self._newest_id = first_free_id(spec.messages, len(self.extensions))
        self._bases = MediaBases()

    def account_record(self, platform_url: str) -> records.Json:
        """The record of the account; `platform_url` is an origin without a slash at its end."""
        return records.account_record(platform_url, self.account_id, self.extensions[0])

    def extension_record(self, extension_id: int, platform_url: str) -> records.Json:
        """The record of one extension.

        Raises:
            KeyError: There is no such extension.
        """
        extension = self._by_id[extension_id]
        shown = attrs.evolve(extension, name=self._renamed.get(extension_id, extension.name))
        return records.extension_record(platform_url, self.account_id, shown)

    def rename(self, extension_id: int, name: str) -> None:
        """Give an extension another display name; messages keep the old one.

        Raises:
            KeyError: There is no such extension.
        """
        self._renamed[self._by_id[extension_id].id] = name

    def mailbox(self, extension_id: int) -> Mailbox:
        """The messages of an extension.

        Raises:
            KeyError: There is no such extension.
        """
        if extension_id not in self._mailboxes:
            made = Mailbox(self._plan(self._by_id[extension_id]), self._read)
            # Two threads may both make one; setdefault makes them share the first.
            self._mailboxes.setdefault(extension_id, made)
        return self._mailboxes[extension_id]

    def message_ids(self, extension_id: int) -> Sequence[int]:
        """Ids of the messages of a mailbox, newest first, whatever their availability.

        This reads every message, some 6 µs each. Handlers use `mailbox` instead.

        Raises:
            KeyError: There is no such extension.
        """
        return [message.id for message in self.mailbox(extension_id).newest_first()]

    def message(self, extension_id: int, message_id: int) -> SimMessage | None:
        """The message with this id; None if it does not exist.

        Raises:
            KeyError: There is no such extension.
        """
        return self.mailbox(extension_id).find(message_id)

    def new_message_id(self) -> int:
        """A new message id, larger than all others."""
        self._newest_id += ID_STEP
        return self._newest_id

    def add(self, message: SimMessage, draft: Draft | None = None) -> None:
        """Add `message` as the newest of its mailbox; `draft` as in `revise`.

        Raises:
            KeyError: There is no such extension.
        """
        self.mailbox(message.extension_id).add(message)
        self.revise(message.id, draft)

    def remove(self, message: SimMessage) -> None:
        """Remove `message` completely.

        Raises:
            KeyError: The mailbox does not contain it.
        """
        self.mailbox(message.extension_id).remove(message)
        self.revise(message.id, None)

    def draft(self, message: SimMessage) -> Draft:
        """The text and attachments of `message`."""
        return self._drafts.get(message.id) or self.writer(message.extension_id).draft(message)

    def conversation_of(self, message: SimMessage) -> str:
        """Decimal id of the conversation of `message`, exact; empty if it belongs to none."""
        draft = self._drafts.get(message.id)
        return draft.conversation if draft else self.writer(message.extension_id).conversation_of(message)

    def revise(self, message_id: int, draft: Draft | None) -> None:
        """Set the text and attachments of a message; None restores the generated ones."""
        if draft is None:
            self._drafts.pop(message_id, None)
        else:
            self._drafts[message_id] = draft

    def revised(self) -> Mapping[int, Draft]:
        """The drafts set by `revise`, by message id."""
        return dict(self._drafts)

    def writer(self, extension_id: int) -> Writer:
        """The writer of a mailbox's messages.

        Raises:
            KeyError: There is no such extension.
        """
        return self._writer(extension_id)

    def message_record(
        self, extension_id: int, message_id: int, platform_url: str, media_url: str
    ) -> records.Json:
        """The record of one message, with absolute URIs under the two origins.

        Text, voicemail and old faxes point to the platform, MMS files and newer faxes to the media host,
        as real payloads do.

        Raises:
            KeyError: There is no such extension or message.
        """
        message = self.message(extension_id, message_id)
        if message is None:
            raise KeyError(message_id)
        return self.record(message, platform_url, media_url)

    def record(self, message: SimMessage, platform_url: str, media_url: str) -> records.Json:
        """The record of `message`, as `message_record` gives it."""
        draft = self.draft(message)
        return records.message_record(platform_url, media_url, self.account_id, message, draft)

    def content(self, extension_id: int, message_id: int, attachment_id: int) -> SimContent | None:
        """The content of an attachment; None if it does not exist, or its message is purged.

        Raises:
            KeyError: There is no such extension.
        """
        message = self.message(extension_id, message_id)
        for part in self._parts(message) if message else ():
            if part.id == attachment_id:
                return SimContent(part.media, self._bases, part.file_name)
        return None

    def truth(self) -> Iterator[TruthRow]:
        """Every attachment that the admin can fetch now, mailbox by mailbox, newest message first.

        This makes every content once: about 3 ms each, so some 10 s for 3,000 messages.
        """
        for extension in self.extensions:
            if extension.mailbox_refused:
                continue
            for message in self.mailbox(extension.id).newest_first():
                for part in self._parts(message):
                    content = SimContent(part.media, self._bases)
                    yield TruthRow(
                        extension.id,
                        message.id,
                        part.id,
                        part.kind,
                        content.content_type,
                        content.size_bytes,
                        content.sha256(),
                    )

    def _new_writer(self, extension_id: int) -> Writer:
        return Writer(self.spec.seed, self._by_id[extension_id], self.extensions, self.spec.end_s)

    def _plan(self, extension: SimExtension) -> MailboxPlan:
        spec, slot = self.spec, extension.slot
        # Rounding the running sums makes the shares add up to the whole.
        before = sum(other.share for other in self.extensions[:slot])
        whole = sum(other.share for other in self.extensions)
        first = round(spec.messages * before / whole)
        last = round(spec.messages * (before + extension.share) / whole)
        fixtures = self._fixtures(slot)
        return MailboxPlan(
            seed=spec.seed,
            slot=slot,
            slots=spec.extensions + spec.menus,
            extension_id=extension.id,
            derived=max(0, last - first - len(fixtures)),
            start_s=spec.end_s - spec.months * _MONTH_S,
            end_s=spec.end_s,
            fixtures=fixtures,
        )

    def _fixtures(self, slot: int) -> tuple[Fixture, ...]:
        """The fixtures of a mailbox: the first has the examples, the second the hostile messages."""
        fixtures: tuple[Fixture, ...] = ()
        if slot == 0 and self.spec.messages >= _DOCUMENTED_FROM:
            fixtures += documented()
        if slot == 0 and self.spec.messages >= _LARGE_FROM:
            fixtures += (large_fax(),)
        if slot == min(1, self.spec.extensions - 1) and self.spec.messages >= _HOSTILE_FROM:
            fixtures += hostile()
        return fixtures

    def _parts(self, message: SimMessage) -> tuple[Part, ...]:
        """The attachments of `message` that a client can fetch: those whose record has an id."""
        if message.availability == "Purged":
            return ()
        return tuple(part for part in self.draft(message).parts if "id" not in part.absent)


@cache
def _version_of(library: str) -> str:
    """The version of an installed library, whose metadata is read only once: that takes 3 ms."""
    return version(library)


def _account_id(spec: AccountSpec) -> int:
    """An id of ten to thirteen digits that differs between accounts with different contents.

    It depends on the versions of the libraries that draw pictures and set pages: another version may make
    other bytes, and a client's cache of the older account must not be used for the newer one.
    """
    libraries = [f"{name} {_version_of(name)}" for name in ("pillow", "reportlab")]
    # Menus count only if there are any, so that accounts without menus keep their ids.
    facts = attrs.astuple(spec, filter=lambda field, value: field.name != "menus" or value > 0)
    text = repr((_GENERATOR, libraries, facts))
    digest = hashlib.blake2b(text.encode(), digest_size=4).digest()
    # Real ids end with the number of a data centre, here 004, and leave room for the ids of extensions.
    return int.from_bytes(digest, "big") * 1_000 + 4
