"""Message store reports: the records of all mailboxes, and the contents of their attachments.

Source: "Message Store Exports" of the API's documentation, its pictures included. It does not show the inner
JSON; this module assumes that of a message list.
"""

import json
from collections.abc import Collection, Iterator, Mapping

import attrs

from rcfs.model import Availability
from rcfs.simulator._archives import Archive, PackedFile, Packing, SizedFile
from rcfs.simulator._quirks import Quirk, archives_with_quirks
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._drafts import Draft
from rcfs.simulator.account._mailbox import Mailbox
from rcfs.simulator.account._message_filter import created_s
from rcfs.simulator.account._plan import SimMessage
from rcfs.simulator.account._records import message_record
from rcfs.simulator.media._content import MediaBases, SimContent

SUFFIXES = {
    "application/pdf": "pdf",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "image/gif": "gif",
    "image/jpeg": "jpg",
    "image/tiff": "tif",
    "text/plain": "txt",
    "text/vcard": "vcf",
    "video/mp4": "mp4",
}
"""File name extensions of contents in archives; ``bin`` for any other content."""

STRANGE_RECORDS = b'null, 7, "text", [], {}, {"id": "1"}, {"id": -1, "attachments": 5, "type": []}, '
"""Records that `Quirk.BAD_RECORDS` puts before the others."""


@attrs.frozen
class Report:
    """The messages of an account as they were at one moment.

    It stores only the changes up to that moment, not each message, so a large account costs no memory.
    """

    account: SimAccount
    platform_url: str
    """Origin of the platform."""
    media_url: str
    """Origin of the media host."""
    date_from: float
    """Earliest creation time, seconds since 1970 UTC."""
    date_to: float
    """Latest creation time."""
    types: frozenset[str]
    """Types of messages; empty for all."""
    mailboxes: Mapping[int, Mailbox]
    """The mailboxes at that moment, by extension, without purged messages."""
    revised: Mapping[int, Draft]
    """The drafts at that moment that the generator does not determine, by message id."""

    @classmethod
    def of(
        cls,
        account: SimAccount,
        urls: tuple[str, str],
        date_from: float,
        date_to: float,
        types: frozenset[str],
    ) -> "Report":
        """A report on the messages created in ``[date_from, date_to]`` that are neither purged nor secret.

        Args:
            account: The account.
            urls: Origins of the platform and of the media host.
            date_from: Seconds since 1970 UTC.
            date_to: Seconds since 1970 UTC.
            types: Types of messages; empty for all.
        """
        open_to_admins = (extension.id for extension in account.extensions if not extension.mailbox_refused)
        mailboxes = {
            extension_id: account.mailbox(extension_id).snapshot() for extension_id in open_to_admins
        }
        return cls(account, *urls, date_from, date_to, types, mailboxes, account.revised())

    def archives(self, most_bytes: int, quirks: Collection[Quirk]) -> Iterator[Archive]:
        """The archive of the records, then those of the contents, each of at most `most_bytes`."""
        yield Archive(self._record_files(quirks), Packing.DEFLATED)
        contents = self._content_files(in_prose=Quirk.PROSE_PATHS in quirks)
        yield from archives_with_quirks(contents, most_bytes, quirks)

    def _record_files(self, quirks: Collection[Quirk]) -> Iterator[PackedFile]:
        """A list of records for each mailbox with messages."""
        if Quirk.BAD_RECORDS in quirks:
            yield SizedFile.of(f"{self._place(1)}/message-store.json", self.date_to, b'{"records": [')
        for extension_id, mailbox in self.mailboxes.items():
            newest = next(self._chosen(mailbox), None)
            if newest is not None:
                name = f"{self._place(extension_id)}/message-store.json"
                yield PackedFile(name, created_s(newest), self._record_list(mailbox, quirks))

    def _record_list(self, mailbox: Mailbox, quirks: Collection[Quirk]) -> Iterator[bytes]:
        """The file with the records of `mailbox`, in small pieces."""
        begin, end = (b"[", b"]") if Quirk.BARE_RECORDS in quirks else (b'{"records": [', b"]}")
        yield begin + (STRANGE_RECORDS if Quirk.BAD_RECORDS in quirks else b"")
        urls, account_id = (self.platform_url, self.media_url), self.account.account_id
        for number, message in enumerate(self._chosen(mailbox)):
            record = message_record(*urls, account_id, message, self._draft(message))
            yield (b", " if number else b"") + json.dumps(record, ensure_ascii=False).encode()
        yield end

    def _content_files(self, *, in_prose: bool) -> Iterator[SizedFile]:
        """All attachments that the records name, under the paths of the documentation's prose or picture."""
        bases = MediaBases()
        for mailbox in self.mailboxes.values():
            for message in self._chosen(mailbox):
                for part in self._draft(message).parts:
                    if "id" in part.absent:
                        continue
                    content = SimContent(part.media, bases)
                    suffix = SUFFIXES.get(content.content_type, "bin")
                    folder = f"content/{message.id}" if in_prose else f"{message.id}/content"
                    name = f"{self._place(message.extension_id)}/message-store/{folder}/{part.id}.{suffix}"
                    yield SizedFile(name, created_s(message), content.pieces(), content.size_bytes)

    def _draft(self, message: SimMessage) -> Draft:
        """The text and attachments of `message` at that moment."""
        return self.revised.get(message.id) or self.account.writer(message.extension_id).draft(message)

    def _chosen(self, mailbox: Mailbox) -> Iterator[SimMessage]:
        """The messages of `mailbox` that belong to the report, newest first."""
        for message in mailbox.newest_first():
            if (
                message.availability != Availability.PURGED
                and self.date_from <= created_s(message) <= self.date_to
                and (not self.types or message.type in self.types)
            ):
                yield message

    def _place(self, extension_id: int) -> str:
        return f"account/{self.account.account_id}/extension/{extension_id}"
