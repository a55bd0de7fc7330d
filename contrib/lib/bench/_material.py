"""The served data: files for the peers, and the same bytes as attachments of messages for rcfs.

Peers get the tree that rcfs makes of the messages (see `bench._mirror`), so that all walk the same one.

Every set of files is a mailbox of its own, so that a measurement loads only the mailbox that it needs.
"""

import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

import attrs

Json = dict[str, Any]
"""A JSON object."""

NEEDLE = "needle-7c1f"
"""The word that `grep` looks for: at the end of every file, so that it must read the whole file."""

ACCOUNT_ID = 4_000_004
PAGE = 1000
"""Messages per page of a list, as rcfs asks for them."""
_FIRST = datetime(2025, 1, 1, tzinfo=UTC)
_CALLED = (datetime.now(UTC).replace(day=1) - timedelta(days=1)).replace(
    day=1, hour=0, minute=0, second=0, microsecond=0
)
"""The beginning of last month, whose recordings are always shown; those of 2025 are, once they are loaded."""
_TALKED = "2m31s"
_TALKED_S = 151
"""Length of each call."""
_ID_STEP = 8
"""Ids rise with gaps between them, as real ones do."""
_LINE = 76
"""Bytes of a line of a file, so that `grep` reads lines of ordinary length."""


@attrs.frozen
class FileSet:
    """Files of one size: a mailbox of faxes."""

    name: str
    """Name of the folder, and of the extension."""
    extension_id: int
    """Internal id of the extension that has the mailbox."""
    count: int
    """Number of files."""
    size_bytes: int
    """Size of each."""
    per_folder: int
    """Files of a folder (a month for rcfs)."""

    @property
    def folders(self) -> int:
        """Number of folders."""
        return -(-self.count // self.per_folder)

    def message_id(self, index: int) -> int:
        """Id of the message that has the file `index`."""
        return self.extension_id * 1_000_000 + index * _ID_STEP + 4

    def created(self, index: int) -> datetime:
        """Creation time of that message: a folder is a month, and its messages are one minute apart."""
        folder, place = divmod(index, self.per_folder)
        year, month = divmod(folder, 12)
        first = _FIRST.replace(year=_FIRST.year + year, month=1 + month)
        return first + timedelta(minutes=place)

    def sender(self, index: int) -> str:
        """The number of the sender of that message."""
        return sender(self.message_id(index))

    def path(self, index: int) -> str:
        """Path of the file `index` below the folder of faxes."""
        created = self.created(index)
        line = f"{created:%Y-%m-%dT%H.%M.%SZ} from {self.sender(index)}"
        return f"{created:%Y-%m}/{line} [{self.message_id(index)}]/fax {line}.pdf"

    def peer_path(self, index: int) -> str:
        """Path of the file `index` below the root of a peer."""
        return f"{self.name}/{self.path(index)}"

    def data(self, index: int) -> bytes:
        """The bytes of the file `index`: a PDF's first line, then lines of text, the needle last."""
        generator = random.Random(self.message_id(index))  # noqa: S311 - the same bytes in every run
        head, tail = b"%PDF-1.4\n", f"\n{NEEDLE}\n".encode()
        # Random, as real faxes do not repeat themselves; but only 1 MiB of it, as 50 MB would take seconds.
        size = self.size_bytes - len(head) - len(tail)
        block = generator.randbytes(min(size, 1 << 20) // 2 + 1).hex().encode()
        lines = b"\n".join(block[at : at + _LINE] for at in range(0, len(block), _LINE))
        return head + (lines * (size // len(lines) + 1))[:size] + tail


@attrs.frozen
class Recordings(FileSet):
    """Recordings of calls of one extension for rcfs, a folder for the others."""

    def created(self, index: int) -> datetime:
        """Begin of the call: all are in last month, one minute apart."""
        return _CALLED + timedelta(minutes=index)

    def path(self, index: int) -> str:
        """Path of the file `index` below the folder of a peer; folders of recordings have no subfolders."""
        return f"{index:05d}.pdf"

    def file_name(self, index: int) -> str:
        """Name of the recording `index` in rcfs."""
        recording_id = self.message_id(index)
        line = f"{self.created(index):%Y-%m-%dT%H.%M.%SZ} from {sender(recording_id)} {_TALKED}"
        return f"{line} [{recording_id}].mp3"


@attrs.frozen
class Texts:
    """A mailbox of text messages; the peers get its whole tree as files."""

    extension_id: int
    """Internal id of the extension that has the mailbox."""
    count: int
    """Number of messages."""

    @property
    def name(self) -> str:
        """Name of the extension, and of the peers' folder."""
        return f"texts-{self.count}"

    def message_id(self, index: int) -> int:
        """Id of the message `index`."""
        return self.extension_id * 100_000_000 + index * _ID_STEP + 4

    def created(self, index: int) -> datetime:
        """Creation time of that message: they are spread evenly over two years."""
        return _FIRST + timedelta(seconds=index * (730 * 86_400 // self.count))


def sender(message_id: int) -> str:
    """The number that a message is from: one of fifty."""
    return f"+1212555{message_id // _ID_STEP % 50:04d}"


def fax_record(files: FileSet, index: int, origin: str) -> Json:
    """The record of the message that has a file; without its size, like the records of real faxes."""
    message_id = files.message_id(index)
    path = f"{_store(files.extension_id)}/{message_id}"
    return {
        **_message(origin + path, message_id, files.created(index)),
        "type": "Fax",
        "faxPageCount": -(-files.size_bytes // 262_144),
        "attachments": [
            {
                "id": message_id,
                "uri": f"{origin}{path}/content/{message_id}",
                "type": "RenderedDocument",
                "contentType": "application/pdf",
            }
        ],
    }


def call_record(files: Recordings, index: int, origin: str) -> Json:
    """The record of the call that a file is the recording of."""
    recording_id = files.message_id(index)
    moment = files.created(index).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    uri = f"{origin}{_account()}/recording/{recording_id}"
    leg = {
        "startTime": moment,
        "duration": _TALKED_S,
        "type": "Voice",
        "direction": "Inbound",
        "action": "Phone Call",
        "result": "Accepted",
        "from": {"phoneNumber": sender(recording_id)},
        "to": {"phoneNumber": "+12125559999"},
        "extension": {"id": files.extension_id},
        "recording": {
            "id": str(recording_id),
            "uri": uri,
            "type": "Automatic",
            "contentUri": f"{uri}/content",
        },
    }
    call = {"id": f"call-{recording_id}", "sessionId": str(recording_id), "lastModifiedTime": moment}
    return {**leg, **call, "legs": [{**leg, "master": True}]}


def text_record(texts: Texts, index: int, origin: str) -> Json:
    """The record of a text message."""
    message_id = texts.message_id(index)
    path = f"{_store(texts.extension_id)}/{message_id}"
    return {
        **_message(origin + path, message_id, texts.created(index)),
        "type": "SMS",
        "subject": f"Message {index}: the parcel is at the front desk. {NEEDLE}",
        "conversationId": index % 50,
        "conversation": {"id": str(index % 50)},
        "attachments": [
            {
                "id": message_id,
                "uri": f"{origin}{path}/content/{message_id}",
                "type": "Text",
                "contentType": "text/plain",
            }
        ],
    }


def extension_record(extension_id: int, name: str, origin: str) -> Json:
    """The record of the extension that has a mailbox; rcfs logs in as the first one, an administrator."""
    return {
        "uri": f"{origin}/restapi/v1.0/account/{ACCOUNT_ID}/extension/{extension_id}",
        "id": extension_id,
        "extensionNumber": str(extension_id),
        "name": name,
        "type": "User",
        "status": "Enabled",
        "hidden": False,
        "permissions": {"admin": {"enabled": True}},
    }


def pages(path: str, records: Sequence[Json], origin: str) -> Iterator[tuple[int, Json]]:
    """(number, page) of the list at `path`; numbers count from 1, and there is at least one page."""
    total = max(1, -(-len(records) // PAGE))
    for number in range(1, total + 1):
        some = records[(number - 1) * PAGE : number * PAGE]
        navigation = {}
        if number < total:
            navigation["nextPage"] = {"uri": f"{origin}{path}?perPage={PAGE}&page={number + 1}"}
        paging = {"page": number, "perPage": PAGE, "totalPages": total, "totalElements": len(records)}
        yield number, {"records": some, "paging": paging, "navigation": navigation}


@attrs.frozen
class Material:
    """All served data, below `folder`."""

    folder: Path
    """Holds ``files`` for the peers, ``content`` for rcfs, and a folder of records for each origin."""
    sets: Sequence[FileSet]
    """Files."""
    texts: Sequence[Texts]
    """Mailboxes of text messages."""
    recordings: Sequence[Recordings] = ()
    """Recordings of calls."""

    @property
    def files(self) -> Path:
        """The folder that the peers mount."""
        return self.folder / "files"

    def write_files(self) -> None:
        """Writes the files, and links each under its name as an attachment."""
        content = self.folder / "content"
        content.mkdir(parents=True)
        for files in (*self.sets, *self.recordings):
            for index in range(files.count):
                path = self.files / files.peer_path(index)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(files.data(index))
                content.joinpath(str(files.message_id(index))).hardlink_to(path)

    def write_records(self, name: str, origin: str) -> None:
        """Writes the answers of a platform at `origin` to the folder `name`."""
        folder = self.folder / name
        folder.mkdir()
        owners = [(files.extension_id, files.name) for files in self.sets]
        owners += [(calls.extension_id, calls.name) for calls in self.recordings]
        owners += [(texts.extension_id, texts.name) for texts in self.texts]
        extensions = [extension_record(number, called, origin) for number, called in owners]
        account = {"uri": f"{origin}/restapi/v1.0/account/{ACCOUNT_ID}", "id": ACCOUNT_ID}
        _write(folder / "account.json", account)
        _write(folder / "own.json", extensions[0])
        # These mailboxes never change.
        _write(folder / "sync.json", {"records": [], "syncInfo": {"syncToken": "t"}})
        for number, page in pages(f"{_account()}/extension", extensions, origin):
            _write(folder / f"extensions-{number}.json", page)
        for files in self.sets:
            faxes = [fax_record(files, index, origin) for index in range(files.count)]
            self._write_store(folder, files.extension_id, faxes, origin)
        for texts in self.texts:
            messages = [text_record(texts, index, origin) for index in range(texts.count)]
            self._write_store(folder, texts.extension_id, messages, origin)
        # The log of the whole company, whatever the period; the bench asks for one month only.
        calls = [call_record(each, index, origin) for each in self.recordings for index in range(each.count)]
        calls.sort(key=itemgetter("startTime"), reverse=True)
        for number, page in pages(f"{_account()}/call-log", calls, origin):
            _write(folder / f"calls-{number}.json", page)

    @staticmethod
    def _write_store(folder: Path, extension_id: int, records: list[Json], origin: str) -> None:
        newest_first = records[::-1]
        for number, page in pages(_store(extension_id), newest_first, origin):
            _write(folder / f"messages-{extension_id}-{number}.json", page)


def _account() -> str:
    return f"/restapi/v1.0/account/{ACCOUNT_ID}"


def _store(extension_id: int) -> str:
    return f"{_account()}/extension/{extension_id}/message-store"


def _message(uri: str, message_id: int, created: datetime) -> Json:
    moment = created.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {
        "uri": uri,
        "id": message_id,
        "from": {"phoneNumber": sender(message_id)},
        "to": [{"phoneNumber": "+12125559999"}],
        "readStatus": "Read",
        "priority": "Normal",
        "direction": "Inbound",
        "availability": "Alive",
        "creationTime": moment,
        "lastModifiedTime": moment,
    }


def _write(path: Path, document: Json) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")
