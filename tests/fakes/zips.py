"""Archives of a report: as the platform makes them, as any other writer does, and as a stranger might."""

import io
import json
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from rcfs.model import (
    AttachmentKey,
    Export,
    ExportArchive,
    ExportKind,
    ExportQuery,
    ExportState,
    Priority,
    ReportKey,
)
from tests.fakes.rig import EXTENSION_ID, Rig, noise
from tests.fakes.scripted import ACCOUNT_ID, ScriptedPlatform

OWNER = f"account/{ACCOUNT_ID}/extension/{EXTENSION_ID}"
TASK = f"{ACCOUNT_ID}-101-ed6a473f3aea40819d761242fa6fa331"
ARCHIVE = "messageStoreReportArchiveContent"
"""The operation that brings an archive."""

Files = Iterable[tuple[str, bytes]]
"""(path, content) of members."""


class Pipe(io.RawIOBase):
    """A file that cannot seek, as a writer sees that sends an archive while it makes it."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += data
        return len(data)


def packed(
    files: Files, method: int = zipfile.ZIP_STORED, *, piped: bool = False, wide: bool = False
) -> bytes:
    """An archive of `files` by Python's zipfile; `piped` puts sizes behind members, `wide` uses zip64."""
    target: Any = Pipe() if piped else io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, data in files:
            with archive.open(name, "w", force_zip64=wide) as member:
                member.write(data)
    return bytes(target.data) if piped else bytes(target.getvalue())


def path_of(message_id: int, attachment_id: int | None = None, suffix: str = ".wav") -> str:
    """The path of a content, as the documentation's picture has it."""
    return f"{OWNER}/message-store/{message_id}/content/{attachment_id or message_id}{suffix}"


@attrs.define
class Mails:
    """Voicemails on a scripted platform, and the archives of a report on them."""

    platform: ScriptedPlatform
    contents: dict[int, bytes] = attrs.field(factory=dict)
    """The content of each message's attachment, by message."""
    archives: list[bytes] = attrs.field(factory=list)
    """The archives in the order of their numbers."""

    @classmethod
    def of(cls, platform: ScriptedPlatform, count: int, size_bytes: int = 3000, **fields: Any) -> "Mails":
        """Messages 1 to `count` with a voicemail each; `fields` are further ones of each attachment."""
        mails = cls(platform)
        for number in range(1, count + 1):
            mails.add(number, noise(size_bytes, number), **fields)
        return mails

    def add(self, number: int, data: bytes, **fields: Any) -> None:
        """Adds a message with one attachment."""
        self.contents[number] = data
        key = AttachmentKey(ACCOUNT_ID, EXTENSION_ID, number, number)
        attachment = {"id": number, "type": "AudioRecording", "contentType": "audio/x-wav"} | fields
        attachment |= {"uri": self.platform.add_content(key, data)}
        record: dict[str, Any] = {
            "id": number,
            "type": "VoiceMail",
            "direction": "Inbound",
            "creationTime": "2026-11-03T17:27:05.000Z",
            "attachments": [attachment],
        }
        self.platform.messages.append(record)

    def files(self, numbers: Iterable[int] = ()) -> list[tuple[str, bytes]]:
        """The members of an archive with the contents of these messages, or of all."""
        return [(path_of(number), self.contents[number]) for number in numbers or self.contents]

    def records(self, *, bare: bool = False) -> bytes:
        """The archive of the records."""
        found: object = self.platform.messages if bare else {"records": self.platform.messages}
        return packed([(f"{OWNER}/message-store.json", json.dumps(found).encode())], zipfile.ZIP_DEFLATED)

    def serve(self, *archives: bytes) -> Export:
        """The completed report with these archives; by default the records, and one of all contents."""
        self.archives = list(archives or (self.records(), packed(self.files())))
        found = []
        for number, data in enumerate(self.archives):
            key = ReportKey(ACCOUNT_ID, TASK, number)
            found.append(ExportArchive(number, key, len(data), self.platform.add_content(key, data)))
        return export_of(found)


def export_of(
    archives: Sequence[ExportArchive],
    first: str = "2000-01-01",
    last: str = "2026-12-31",
    asked_s: float = 1e11,
) -> Export:
    """A completed report on messages with these archives."""
    query = ExportQuery.of_days(ExportKind.MESSAGES, first, last)
    return Export("e1", query, TASK, ExportState.COMPLETED, asked_s, asked_s, 0.0, tuple(archives))


async def prepare(rig: Rig) -> float | None:
    """Prepares the mailbox for its records."""
    return await rig.engine.account.mailboxes.prepare_records(EXTENSION_ID, Priority.BULK)


def headers_of(platform: ScriptedPlatform) -> list[str]:
    """The Range headers of the requests for archives; empty if absent."""
    return [seen.byte_range for seen in platform.sent(ARCHIVE)]


def keys_of(contents: Mapping[int, bytes]) -> list[AttachmentKey]:
    """The keys of the attachments."""
    return [AttachmentKey(ACCOUNT_ID, EXTENSION_ID, number, number) for number in contents]
