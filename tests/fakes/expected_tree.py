"""The expected tree of a mailbox, by the documented rules and from the platform's records alone.

This shares no code with rcfs, so that no mistake is made twice. It knows the records of a simulated account
(without the hostile ones), not all that a platform may send.
"""

import json
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs

from tests.fakes.kernel import Path, Seen

Record = Mapping[str, Any]

DIRECTORY, FILE, LINK = stat.S_IFDIR | 0o700, stat.S_IFREG | 0o600, stat.S_IFLNK | 0o777
TYPES = {"SMS": "SMS", "VoiceMail": "Voicemail", "Fax": "Fax", "Pager": "Pager"}
STANDING = (*TYPES.values(), "Conversations", "By-Contact", "Unread", "Trash")
STEMS = {"AudioRecording": "voicemail", "RenderedDocument": "fax", "SourceDocument": "source"}
SUFFIXES = {
    "application/pdf": (".pdf",),
    "audio/mpeg": (".mp3",),
    "audio/wav": (".wav",),
    "audio/x-wav": (".wav",),
    "image/gif": (".gif",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/tiff": (".tif",),
    "text/vcard": (".vcf",),
    "text/x-vcard": (".vcf",),
    "video/mp4": (".mp4",),
}


@attrs.frozen
class _Message:
    """One record, and its names."""

    record: Record
    created: datetime
    modified: datetime

    @classmethod
    def of(cls, record: Record) -> "_Message":
        created, modified = (datetime.fromisoformat(record[n]) for n in ("creationTime", "lastModifiedTime"))
        return cls(record, created, modified)

    @property
    def is_outbound(self) -> bool:
        return bool(self.record["direction"] == "Outbound")

    @property
    def sender(self) -> Record:
        return self.record.get("from") or {}

    @property
    def recipients(self) -> list[Record]:
        return self.record.get("to") or []

    @property
    def others(self) -> list[Record]:
        return self.recipients if self.is_outbound else [self.sender]

    @property
    def text(self) -> str | None:
        return self.record.get("subject") if self.record["type"] in ("SMS", "Pager") else None

    @property
    def headline(self) -> str:
        with_whom = next((w for party in self.others if (w := party.get("name") or number(party))), "unknown")
        more = f" +{len(self.others) - 1}" if len(self.others) > 1 else ""
        word = "to" if self.is_outbound else "from"
        return f"{self.created:%Y-%m-%dT%H.%M.%SZ} {word} {plain(with_whom)}{more}"

    @property
    def name(self) -> str:
        return f"{self.headline} [{self.record['id']}]"

    @property
    def home(self) -> Path:
        if self.record["availability"] == "Deleted":
            return ("Trash",)
        return (TYPES[self.record["type"]], f"{self.created:%Y-%m}")

    @property
    def lines(self) -> str:
        """Its lines in its conversation."""
        speaker = self.sender.get("name") or number(self.sender) or ("me" if self.is_outbound else "unknown")
        said = [] if self.text is None else self.text.splitlines()
        first, *others = said or [""]
        lines = [f"{self.created:%Y-%m-%d %H:%M:%SZ} {plain(speaker)}: {first}"]
        lines += [f"    {line}" for line in others] + [f"  [{name}]" for name in self.files()]
        return "".join(line.rstrip() + "\n" for line in lines)

    def files(self) -> dict[str, int]:
        """The names of its attachments, and their ids."""
        found: dict[str, int] = {}
        for attachment in self.record.get("attachments", ()):
            kind, media = attachment["type"], attachment["contentType"]
            if kind == "Text" and self.text is not None:
                continue
            if kind == "AudioTranscription":
                name, suffix = "transcript", ".txt"
            elif kind in STEMS:
                name, suffix = f"{STEMS[kind]} {self.headline}", SUFFIXES[media][0]
            else:
                name = plain(attachment.get("fileName") or f"attachment {self.headline}")
                stem, dot, end = name.rpartition(".")
                sent = f"{dot}{end}" if stem else ""
                suffix = sent if sent.lower() in SUFFIXES[media] else SUFFIXES[media][0]
                name = name.removesuffix(sent) if suffix == sent else name
            count = 1
            while (shown := f"{name}{suffix}" if count == 1 else f"{name} ({count}){suffix}").lower() in {
                one.lower() for one in found
            }:
                count += 1
            found[shown] = attachment["id"]
        return found


def number(party: Record) -> str:
    """The number of a party; empty when it has none."""
    return party.get("phoneNumber") or party.get("extensionNumber") or ""


def plain(text: str) -> str:
    """`text` as part of a name; enough for the characters that simulated people use."""
    return re.sub(r'[/"*:<>?\\|]', "_", text).strip()


def expected(
    records: Iterable[Record], own: Record, *, fallback_s: float, own_s: float | None = None
) -> dict[Path, Seen]:
    """Everything below the directory of the extension with the record `own`, whose mailbox has `records`.

    Entries without a time get `fallback_s`; the extension's record gets `own_s` if that is known.
    """
    own_s = fallback_s if own_s is None else own_s
    messages = sorted(map(_Message.of, records), key=lambda m: (m.created, m.record["id"]))
    places: dict[Path, list[_Message]] = {(view,): [] for view in STANDING}
    owner = own["extensionNumber"], own.get("contact", {}).get("businessPhone")
    folders = _link_folders(messages, owner)
    for message in messages:
        for path in (message.home, *folders.paths(message)):
            places.setdefault(path, []).append(message)
            if len(path) == 2:
                places[path[:1]].append(message)
    found: dict[Path, Seen] = {("extension.json",): _file(_pretty(own), own_s, own_s)}
    for path, shown in places.items():
        found[path] = Seen(DIRECTORY, 0, *_newest(shown, fallback_s))
        if path[0] == "Conversations" and len(path) == 2:
            text = "".join(message.lines for message in shown).encode()
            found[*path, "conversation.txt"] = _file(text, *(t / 1e9 for t in _newest(shown, fallback_s)))
        if len(path) == 1 and path[0] not in ("Unread", "Trash"):
            continue
        for message in shown:
            if path == message.home:
                found |= {(*path, message.name, *below): what for below, what in _inside(message).items()}
            else:
                target = "/".join((*[".."] * len(path), *message.home, message.name))
                found[*path, message.name] = Seen(LINK, len(target.encode()), *_times(message), target)
    return found


@attrs.frozen
class _LinkFolders:
    """The folders of conversations and contacts: their names by their keys."""

    names: Mapping[tuple[str, str], str]

    def paths(self, message: _Message) -> list[Path]:
        return [(view, self.names[view, key]) for view, key, _parties in _link_places(message)] + (
            [("Unread",)] if _is_unread(message) else []
        )


def _is_unread(message: _Message) -> bool:
    record = message.record
    return record["availability"] == "Alive" and not message.is_outbound and record["readStatus"] == "Unread"


def _link_places(message: _Message) -> list[tuple[str, str, list[Record]]]:
    """(view, key, parties) of the folders that link to a message."""
    if message.record["availability"] != "Alive":
        return []
    found = []
    if message.record["type"] in ("SMS", "Pager"):
        parties = [message.sender, *message.recipients]
        found.append(("Conversations", message.record["conversation"]["id"], parties))
    others = {who(other): other for other in message.others}
    return found + [("By-Contact", key, [party]) for key, party in others.items()]


def who(party: Record) -> str:
    """The key that distinguishes a party from others."""
    return number(party) or party.get("name") or "unknown"


def _link_folders(messages: Iterable[_Message], owner: Iterable[str | None]) -> _LinkFolders:
    known: dict[tuple[str, str], dict[str, str]] = {}
    for message in messages:  # oldest first: the oldest with a name decides
        for view, key, parties in _link_places(message):
            names = known.setdefault((view, key), {})
            for party in parties:
                names[who(party)] = names.get(who(party)) or party.get("name", "")
    labels = {}
    for place, names in known.items():
        others = {i: n for i, n in names.items() if i not in owner} or names
        shown = sorted(plain(i if n in ("", i) else f"{i} {n}") for i, n in others.items())
        labels[place] = ", ".join(shown[:3]) + (f" +{len(shown) - 3}" if len(shown) > 3 else "")
    equal = Counter((view, labels[view, key].casefold()) for view, key in labels)
    return _LinkFolders(
        {
            (view, key): f"{label} [{key}]" if equal[view, label.casefold()] > 1 else label
            for (view, key), label in labels.items()
        }
    )


def _inside(message: _Message) -> dict[Path, Seen]:
    """The directory of a message, and what is in it, by the paths below it."""
    times = message.created.timestamp(), message.modified.timestamp()
    found: dict[Path, Seen] = {(): Seen(DIRECTORY, 0, *_times(message), None, _xattrs(message))}
    found["message.json",] = _file(_pretty(message.record), *times)
    if message.text is not None:
        found["text.txt",] = _file(message.text.encode(), *times)
    for name, attachment_id in message.files().items():
        found[name,] = Seen(FILE, -1, *_times(message), (message.record["id"], attachment_id))
    return found


def _xattrs(message: _Message) -> tuple[tuple[str, str], ...]:
    facts = {
        "message_id": str(message.record["id"]),
        "type": message.record["type"],
        "direction": message.record["direction"],
        "from": number(message.sender) or message.sender.get("name", ""),
        "to": ",".join(filter(None, (number(p) or p.get("name") for p in message.recipients))),
        "read_status": message.record["readStatus"],
    }
    return tuple((name, value) for name, value in facts.items() if value)


def _file(data: bytes, created_s: float, modified_s: float) -> Seen:
    return Seen(FILE, len(data), _ns(created_s), _ns(modified_s), data)


def _times(message: _Message) -> tuple[int, int]:
    return _ns(message.created.timestamp()), _ns(message.modified.timestamp())


def _newest(messages: list[_Message], fallback_s: float) -> tuple[int, int]:
    """The times of a directory that holds `messages`."""
    if not messages:
        return _ns(fallback_s), _ns(fallback_s)
    created, modified = max(m.created for m in messages), max(m.modified for m in messages)
    return _ns(created.timestamp()), _ns(modified.timestamp())


def _ns(time_s: float) -> int:
    return int(time_s * 1e9)


def _pretty(record: Record) -> bytes:
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()
