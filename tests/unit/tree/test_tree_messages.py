import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from rcfs.model import Attachment, AttachmentKey, ContentKey, Message, MessageRow, Party
from rcfs.tree import Times
from rcfs.tree._catalogue import Shelf
from rcfs.tree._mailbox import MessageDirectory
from rcfs.tree._message import attachment_names, message_id_of, message_name
from rcfs.tree._nodes import AttachmentFile, TextFile
from tests.fakes.catalogue import PlainCatalogue

NOON_S = 1793726825.0  # 2026-11-03T17:27:05Z
BOB = Party(name="Bob Ray", phone_number="+12125557464")
WHO = "undated from unknown"

NAMELESS = f"attachment {WHO}.bin"


def sms(*attachments: Attachment, subject: str | None = "hello", **fields: Any) -> Message:
    return Message(7, type="SMS", subject=subject, attachments=attachments, **fields)


def directory(message: Message, learned: Mapping[ContentKey, int] = MappingProxyType({})) -> MessageDirectory:
    catalogue = PlainCatalogue(learned=dict(learned))
    catalogue.put(message)
    shelf = Shelf(101, 5.0)
    shelf.show(catalogue)
    row = MessageRow(1, 1, message.id, message_name(message), message.created_s, message.modified_s)
    return MessageDirectory(shelf=shelf, row=row)


def text_of(message: Message, name: str) -> bytes:
    node = directory(message).entries()[name]
    assert isinstance(node, TextFile)
    return node.content()


def file_of(
    message: Message, name: str, learned: Mapping[ContentKey, int] = MappingProxyType({})
) -> AttachmentFile:
    node = directory(message, learned).entries()[name]
    assert isinstance(node, AttachmentFile)
    return node


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"direction": "Inbound", "sender": BOB}, "from Bob Ray [7]"),
        ({"direction": "Inbound", "sender": Party(phone_number="+1212")}, "from +1212 [7]"),
        ({"direction": "Inbound", "sender": Party(extension_number="102")}, "from 102 [7]"),
        ({"direction": "Inbound"}, "from unknown [7]"),
        ({"sender": Party(name="\u202e/..")}, "from _ [7]"),
        ({"sender": Party(name="...", phone_number="+1212")}, "from +1212 [7]"),
        ({"direction": "Outbound", "sender": BOB, "recipients": (Party("Ann"),)}, "to Ann [7]"),
        ({"direction": "Outbound", "recipients": (Party("Ann"), BOB, Party())}, "to Ann +2 [7]"),
        ({"direction": "Outbound"}, "to unknown [7]"),
        ({"direction": "odd", "sender": BOB, "recipients": (Party("Ann"), Party())}, "from Bob Ray [7]"),
    ],
)
def test_a_message_is_called_after_the_other_party(fields: dict[str, Any], name: str) -> None:
    assert message_name(Message(7, created_s=NOON_S, **fields)) == f"2026-11-03T17.27.05Z {name}"


def test_a_message_without_a_time_is_undated() -> None:
    assert message_name(Message(7, sender=BOB)) == "undated from Bob Ray [7]"


def test_the_id_and_the_count_survive_a_long_name() -> None:
    recipients = (Party("x" * 300), BOB)
    name = message_name(Message(7, direction="Outbound", recipients=recipients))
    assert name.endswith("xxx +1 [7]")
    assert len(name) == 255


@pytest.mark.parametrize(
    ("attachments", "names"),
    [
        ([Attachment(1, "AudioRecording", "audio/x-wav", file_name="x.mp3")], [f"voicemail {WHO}.wav"]),
        ([Attachment(1, "AudioRecording", "audio/mpeg")], [f"voicemail {WHO}.mp3"]),
        ([Attachment(1, "AudioRecording")], [f"voicemail {WHO}.bin"]),
        ([Attachment(1, "AudioTranscription")], ["transcript.txt"]),
        ([Attachment(1, "RenderedDocument", "application/pdf", file_name="x.exe")], [f"fax {WHO}.pdf"]),
        ([Attachment(1, "SourceDocument", "image/tiff")], [f"source {WHO}.tif"]),
        ([Attachment(1, "MmsAttachment", "image/jpeg")], [f"attachment {WHO}.jpg"]),
        ([Attachment(1, "MmsAttachment", "image/jpeg", file_name=".bashrc")], ["bashrc.jpg"]),
        ([Attachment(1, "MmsAttachment", "image/jpeg", file_name="-rf")], ["rf.jpg"]),
        ([Attachment(1, "MmsAttachment", "image/jpeg", file_name="..")], [f"attachment {WHO}.jpg"]),
        ([Attachment(1, "MmsAttachment", "image/jpeg", file_name="a/b.jpg")], ["a_b.jpg"]),
        ([Attachment(1, "new", "", file_name="notes.odt")], ["notes.odt"]),
        ([Attachment(1)], [NAMELESS]),
        (
            [Attachment(i, "MmsAttachment", "image/jpeg", file_name=n) for i, n in enumerate(["a", "A.jpg"])],
            ["a.jpg", "A (2).jpg"],
        ),
        (
            [
                Attachment(1, "", "", file_name="message.json"),
                Attachment(2, "", "", file_name="Message.JSON"),
            ],
            ["message (2).json", "Message (3).JSON"],
        ),
        (
            [Attachment(1, "Text", "text/plain"), Attachment(2, "", "text/plain")],
            ["text.txt", f"attachment {WHO}.txt"],
        ),
        (
            [Attachment(1, "Text"), Attachment(2, "", "text/plain", file_name="text")],
            ["text.txt", "text (2).txt"],
        ),
        ([Attachment(1, "Text"), Attachment(2, "Text")], ["text.txt", "text (2).txt"]),
        ([Attachment(1, "Text"), Attachment(1, "MmsAttachment", "image/gif")], ["text.txt"]),
    ],
)
def test_attachments_are_called_after_their_kind(attachments: list[Attachment], names: list[str]) -> None:
    message = Message(7, type="Fax", subject="ignored", attachments=tuple(attachments))
    assert [name for name, _ in attachment_names(message)] == names
    assert list(directory(message).entries()) == ["message.json", *names]


def test_the_text_of_a_message_comes_from_its_record_only() -> None:
    message = sms(Attachment(7, "Text"), Attachment(8, "MmsAttachment", "text/plain", file_name="text.txt"))
    entries = directory(message).entries()
    assert list(entries) == ["message.json", "text.txt", "text (2).txt"]
    assert isinstance(entries["text.txt"], TextFile)
    assert isinstance(entries["text (2).txt"], AttachmentFile)


def test_a_text_that_the_record_lacks_is_an_attachment() -> None:
    assert file_of(sms(Attachment(7, "Text"), subject=None), "text.txt").attachment.id == 7
    assert list(directory(sms(subject=None)).entries()) == ["message.json"]


@pytest.mark.parametrize(
    ("subject", "data"),
    [
        ("", b""),
        ("two\r\nlines\x00", b"two\r\nlines\x00"),
        ("\U0001f600 \u05d3", "\U0001f600 \u05d3".encode()),
        ("cut \ud83d", "cut \ufffd".encode()),
    ],
)
def test_text_is_exact(subject: str, data: bytes) -> None:
    assert text_of(sms(subject=subject), "text.txt") == data


def test_the_record_is_whole_and_valid() -> None:
    raw = r'{"z":1,"id":12345678901234567890123,"a":{"b":[null,1.5,"\ud83d","\u00e9","\ud83d\ude00"]},"e":[]}'
    data = text_of(sms(raw=raw), "message.json")
    assert json.loads(data) == json.loads(raw)
    assert data.decode().startswith('{\n  "z": 1,\n  "id": 12345678901234567890123,\n  "a": {\n    "b": [\n')
    assert data.decode().endswith(
        '"\\ud83d",\n      "\u00e9",\n      "\U0001f600"\n    ]\n  },\n  "e": []\n}\n'
    )


def test_the_size_of_a_text_is_the_length_of_its_bytes() -> None:
    node = directory(sms(subject="\u00e9" * 5)).entries()["text.txt"]
    assert isinstance(node, TextFile)
    assert node.size_bytes == 10
    assert node.size_bytes == len(node.content())


def test_a_size_is_exact_from_metadata_or_from_a_fetch_and_else_estimated() -> None:
    known: dict[ContentKey, int] = {
        AttachmentKey("1", 101, 7, 3): 30,
        AttachmentKey("1", 101, 7, 4): 40,
    }
    message = sms(*(Attachment(i, size_bytes=s) for i, s in [(1, 10), (2, None), (3, None), (4, 99), (5, 0)]))
    names = [NAMELESS, *(f"attachment {WHO} ({n}).bin" for n in (2, 3, 4, 5))]
    nodes = [file_of(message, name, known) for name in names]
    assert [(node.size_bytes, node.size_is_exact) for node in nodes] == [
        (10, True),
        (1 << 20, False),
        (30, True),
        (40, True),
        (1 << 20, False),
    ]


@pytest.mark.parametrize("claimed", [-1, 1 << 31, 10**30])
def test_an_impossible_size_is_not_believed(claimed: int) -> None:
    assert not file_of(sms(Attachment(1, size_bytes=claimed)), NAMELESS).size_is_exact


@pytest.mark.parametrize("size", [0, 12345])
def test_a_learned_size_is_exact(size: int) -> None:
    node = file_of(sms(Attachment(1, size_bytes=99)), NAMELESS)
    node.learn(size)
    assert (node.size_bytes, node.size_is_exact) == (size, True)


def test_modes_and_times() -> None:
    made = directory(sms(Attachment(1), created_s=10.0, modified_s=20.0))
    record, attached = (
        made.entries()["message.json"],
        made.entries()["attachment 1970-01-01T00.00.10Z from unknown.bin"],
    )
    assert [node.mode for node in (made, record, attached)] == [0o777, 0o666, 0o666]
    assert [node.times() for node in (made, record, attached)] == [Times(10.0, 20.0)] * 3


def test_extended_attributes_tell_the_facts_and_no_secret() -> None:
    message = Message(
        7,
        type="VoiceMail",
        direction="Inbound",
        sender=Party("Bob", "+1212"),
        recipients=(Party("Ann", "", "102"), Party("Eve"), Party()),
        read_status="Unread",
        attachments=(
            Attachment(9, "AudioRecording", "audio/wav", "https://m/9?access_token=x#y", "", None, 12),
        ),
        raw='{"uri":"https://p/7?access_token=x"}',
    )
    facts = {
        "user.rcfs.message_id": "7",
        "user.rcfs.uri": "https://p/7",
        "user.rcfs.type": "VoiceMail",
        "user.rcfs.direction": "Inbound",
        "user.rcfs.from": "+1212",
        "user.rcfs.to": "102,Eve",
        "user.rcfs.read_status": "Unread",
        "user.rcfs.duration": "12",
    }
    made = directory(message)
    assert made.xattrs() == facts
    assert made.entries()["message.json"].xattrs() == facts
    assert made.entries()["voicemail undated from Bob.wav"].xattrs() == facts | {
        "user.rcfs.attachment_id": "9",
        "user.rcfs.key": "1/101/7/9",
        "user.rcfs.uri": "https://m/9",
    }


@pytest.mark.parametrize("raw", ["{}", "[]", '{"uri":5}', '{"uri":""}', '{"uri":null}'])
def test_absent_facts_are_no_attributes(raw: str) -> None:
    assert directory(Message(7, raw=raw)).xattrs() == {"user.rcfs.message_id": "7"}


def test_a_duration_of_zero_is_a_fact() -> None:
    node = file_of(sms(Attachment(1, duration_s=0)), NAMELESS)
    assert node.xattrs()["user.rcfs.duration"] == "0"


def test_attributes_can_be_encoded() -> None:
    value = directory(Message(7, sender=Party(name="a\ud83d\nb"))).xattrs()["user.rcfs.from"]
    assert value.encode().decode() == "a\ufffd b"


@pytest.mark.parametrize(
    ("name", "message_id"),
    [
        (message_name(Message(6424569004, sender=BOB)), 6424569004),
        ("x [0]", 0),
        ("x [9223372036854775807]", 9223372036854775807),
        ("x [99999999999999999999]", None),
        ("x [07]", None),
        ("x [-7]", None),
        ("x[7]", None),
        ("x [7] ", None),
        ("x [7]\n", None),
        ("x [\u0667]", None),
        ("desktop.ini", None),
    ],
)
def test_a_name_tells_which_message_it_may_be(name: str, message_id: int | None) -> None:
    assert message_id_of(name) == message_id


def test_nodes_of_a_message_that_is_gone_are_empty() -> None:
    catalogue = PlainCatalogue()
    catalogue.put(sms(Attachment(1)))
    shelf = Shelf(101, 5.0)
    shelf.show(catalogue)
    made = MessageDirectory(shelf=shelf, row=MessageRow(1, 1, 7, "x [7]", None, None))
    files = made.entries()
    catalogue.remove(7)
    assert made.entries() == {}
    assert made.xattrs() == {}
    assert [node.xattrs() for node in files.values()] == [{}, {}, {"user.rcfs.key": "1/101/7/1"}]
    record = files["message.json"]
    assert isinstance(record, TextFile)
    assert record.content() == b""


def test_a_message_of_many_files_names_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    named = 0

    def counted(message: Message) -> Iterator[tuple[str, Attachment]]:
        nonlocal named
        named += 1
        return attachment_names(message)

    monkeypatch.setattr("rcfs.tree._catalogue.attachment_names", counted)
    files = (Attachment(n, "MmsAttachment", "image/jpeg", file_name="x.jpg") for n in range(2000))
    made = directory(sms(*files))
    for name in ("x.jpg", "x (2).jpg", "x (2000).jpg"):
        assert made.find(name) is not None
    assert made.find("x (2001).jpg") is None
    assert [len(made.page(after, 700)) for after in (0, 700, 1400, 2100)] == [700, 700, 602, 0]
    assert named == 1
