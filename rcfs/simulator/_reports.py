"""What a message store report holds: the records of all mailboxes, and the contents of their attachments.

Source: "Message Store Exports" of the API's documentation, its pictures included; for the inner JSON, which
it does not show, the form of a message list is assumed.
"""

import copy
import json
from collections.abc import Iterable, Iterator, Sequence

import attrs

from rcfs.simulator._account import SimAccount
from rcfs.simulator._account_plan import SimMessage
from rcfs.simulator._account_records import message_record
from rcfs.simulator._archives import Archive, PackedFile, cut_archives
from rcfs.simulator._media import MediaBases, SimContent

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
"""File name extensions of contents in archives; any other content gets ``bin``."""


@attrs.frozen
class Report:
    """The messages that were there at one moment, in the state that they had then.

    What a message says is looked up when the archives are made, so a transcript that came later is in.
    """

    account: SimAccount
    """Whose messages."""
    platform_url: str
    """Origin of the platform."""
    media_url: str
    """Origin of the media host."""
    messages: Sequence[SimMessage]
    """Copies of the messages, mailbox by mailbox."""

    @classmethod
    def of(
        cls,
        account: SimAccount,
        urls: tuple[str, str],
        date_from: float,
        date_to: float,
        types: frozenset[str],
    ) -> "Report":
        """The messages that were created in ``[date_from, date_to]`` and are neither purged nor secret.

        Args:
            account: The account.
            urls: Origins of the platform and of the media host.
            date_from: Seconds since 1970 UTC.
            date_to: Seconds since 1970 UTC.
            types: Types of messages; empty for all.
        """
        found = (
            account.message(extension.id, message_id)
            for extension in account.extensions
            if not extension.mailbox_refused
            for message_id in account.message_ids(extension.id)
        )
        chosen = [
            copy.copy(message)
            for message in found
            if message is not None
            and message.availability != "Purged"
            and date_from <= _created_s(message) <= date_to
            and (not types or message.type in types)
        ]
        return cls(account, *urls, chosen)

    def archives(self, most_bytes: int) -> Iterator[Archive]:
        """The archive of the records, then those of the contents, each of at most `most_bytes`."""
        yield Archive(self._record_files(), compressed=True)
        yield from cut_archives(self._content_files(), most_bytes)

    def _record_files(self) -> Iterator[PackedFile]:
        """A list of records for each mailbox that has messages."""
        for extension_id in dict.fromkeys(message.extension_id for message in self.messages):
            mine = [message for message in self.messages if message.extension_id == extension_id]
            records = [
                message_record(
                    self.platform_url,
                    self.media_url,
                    self.account.account_id,
                    message,
                    self.account.draft(message),
                )
                for message in mine
            ]
            text = json.dumps({"records": records}, ensure_ascii=False)
            newest_s = max(_created_s(message) for message in mine)
            name = f"{self._place(extension_id)}/message-store.json"
            yield PackedFile(name, text.encode(), newest_s)

    def _content_files(self) -> Iterable[PackedFile]:
        """Every attachment that its record names."""
        bases = MediaBases()
        for message in self.messages:
            for part in self.account.draft(message).parts:
                if "id" in part.absent:
                    continue
                content = SimContent(part.media, bases)
                suffix = SUFFIXES.get(content.content_type, "bin")
                place = f"{self._place(message.extension_id)}/message-store/{message.id}"
                name = f"{place}/content/{part.id}.{suffix}"
                yield PackedFile(name, content.read(0, content.size_bytes), _created_s(message))

    def _place(self, extension_id: int) -> str:
        return f"account/{self.account.account_id}/extension/{extension_id}"


def _created_s(message: SimMessage) -> float:
    # A record may lack its creation time, but the platform knows when the message came.
    return message.last_modified if message.created_s is None else message.created_s
