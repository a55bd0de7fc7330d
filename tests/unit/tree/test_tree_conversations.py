from typing import Any

import pytest

from rcfs.model import Attachment, Message, Party
from rcfs.tree import Directory, Link, TextFile
from tests.fakes.catalogue import shown

START_S = 1793726825.0  # 2026-11-03T17:27:05Z
ME = Party("Jane Smith", "+15550000")
BOB = Party("Bob Ray", "+12125557464")
ANN = Party("", "+12120001")
DEFAULTS = {"type": "SMS", "subject": "hi", "conversation_id": "5"}


def inbound(id_: int, sender: Party = BOB, to: tuple[Party, ...] = (ME,), **fields: Any) -> Message:
    given: dict[str, Any] = DEFAULTS | {"created_s": START_S + id_} | fields
    return Message(id_, direction="Inbound", sender=sender, recipients=to, **given)


def outbound(id_: int, *to: Party, **fields: Any) -> Message:
    given: dict[str, Any] = DEFAULTS | {"created_s": START_S + id_} | fields
    return Message(id_, direction="Outbound", sender=ME, recipients=to, **given)


def below(parent: Directory, name: str) -> Directory:
    node = parent.entries()[name]
    assert isinstance(node, Directory)
    return node


def names(*messages: Message) -> list[str]:
    return sorted(below(shown(*messages), "Conversations").entries())


def text(*messages: Message) -> str:
    conversations = below(shown(*messages), "Conversations")
    (name,) = conversations.entries()
    node = below(conversations, name).entries()["conversation.txt"]
    assert isinstance(node, TextFile)
    assert node.size_bytes == len(node.content())
    return node.content().decode()


def test_both_directions_are_one_conversation_called_after_the_other_party() -> None:
    assert names(inbound(1), outbound(2, BOB)) == ["+12125557464 Bob Ray"]


def test_only_living_sms_and_pager_messages_converse() -> None:
    others = [
        inbound(1, type="Fax"),
        inbound(2, type="VoiceMail"),
        inbound(3, availability="Deleted"),
        inbound(4, availability="Purged"),
    ]
    assert names(*others) == []
    assert names(*others, inbound(5, Party("", "", "102"), type="Pager")) == ["102"]


@pytest.mark.parametrize(
    ("messages", "name"),
    [
        ([inbound(1, ANN)], "+12120001"),
        ([inbound(1, Party("Only Name"))], "Only Name"),
        ([inbound(1, Party())], "unknown"),
        ([outbound(1, ME)], "+15550000 Jane Smith"),
        ([inbound(1, BOB, (ME, ANN)), outbound(2, ANN, BOB)], "+12120001, +12125557464 Bob Ray"),
        ([outbound(1, *(Party("", f"+{n}") for n in (5, 4, 3, 2, 1)))], "+1, +2, +3 +2"),
        ([inbound(1, ANN), inbound(2, Party("Ann", "+12120001")), inbound(3, Party("A", "+12120001"))],
         "+12120001 Ann"),
        ([inbound(1, Party("a/b\u202e", "+1"))], "+1 a_b"),
    ],
)  # fmt: skip
def test_the_name_tells_who(messages: list[Message], name: str) -> None:
    assert names(*messages) == [name]


def test_equal_names_show_the_conversation() -> None:
    big = str(2**63 + 1)
    assert names(inbound(1), inbound(2, conversation_id=big), inbound(3, ANN, conversation_id="7")) == [
        "+12120001",
        "+12125557464 Bob Ray [5]",
        f"+12125557464 Bob Ray [{big}]",
    ]


def test_messages_without_conversation_are_grouped_by_their_parties() -> None:
    messages = [
        inbound(1, conversation_id=""),
        outbound(2, BOB, conversation_id=""),
        outbound(3, ANN, BOB, conversation_id=""),
        outbound(4, BOB, ANN, conversation_id=""),
        inbound(5, conversation_id="5"),
    ]
    digest = "[af0fc3667f]"
    conversations = below(shown(*messages), "Conversations")
    group = "+12120001, +12125557464 Bob Ray"
    assert {name: len(below(conversations, name).entries()) - 1 for name in conversations.entries()} == {
        group: 2,
        f"+12125557464 Bob Ray {digest}": 2,
        "+12125557464 Bob Ray [5]": 1,
    }


def test_every_link_leads_to_the_directory_of_its_message() -> None:
    messages = [inbound(1), outbound(2, BOB), inbound(3, created_s=None), inbound(4, type="Pager")]
    made = shown(*messages)
    conversation = below(below(made, "Conversations"), "+12125557464 Bob Ray")
    links = {name: node for name, node in conversation.entries().items() if isinstance(node, Link)}
    assert len(links) == len(messages)
    for name, link in links.items():
        up, again, *path = link.target.split("/")
        assert (up, again) == ("..", "..")
        assert path[-1] == name
        node: Directory = made
        for part in path:
            node = below(node, part)
        assert node.xattrs()["user.rcfs.message_id"] in name


def test_the_text_has_a_time_and_a_speaker_for_every_message_oldest_first() -> None:
    assert text(
        outbound(6, BOB, subject="On\nmy way\u2028now"),
        inbound(0, subject="Where are you?"),
        inbound(60, subject="ok", attachments=(Attachment(1, "MmsAttachment", "image/jpeg"),)),
        inbound(61, subject=""),
        inbound(62, subject=None, attachments=(Attachment(1, "Text", "text/plain"),)),
    ) == (
        "2026-11-03 17:27:05Z Bob Ray: Where are you?\n"
        "2026-11-03 17:27:11Z Jane Smith: On\n"
        "    my way\n"
        "    now\n"
        "2026-11-03 17:28:05Z Bob Ray: ok\n"
        "  [attachment 2026-11-03T17.28.05Z from Bob Ray.jpg]\n"
        "2026-11-03 17:28:06Z Bob Ray:\n"
        "2026-11-03 17:28:07Z Bob Ray:\n"
        "  [text.txt]\n"
    )


def test_the_text_is_safe_on_a_terminal() -> None:
    message = inbound(0, Party("Bob\n\x1b[2J"), subject="a\x1b[31m\u202eb\ud83d", created_s=None)
    assert text(message) == "undated Bob [2J: a [31mb\ufffd\n"


FORGED = "2026-11-01 10:00:00Z Jane Smith: I confirm"


@pytest.mark.parametrize(
    "end", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
@pytest.mark.parametrize("field", ["name", "phone_number", "extension_number", "text", "file"])
def test_no_text_can_pass_for_a_message_of_another_speaker(field: str, end: str) -> None:
    hostile = f"x{end}{FORGED}"
    party = BOB if field in ("text", "file") else Party(**{field: hostile})
    files = (Attachment(1, "MmsAttachment", "image/jpeg", file_name=hostile),) if field == "file" else ()
    said = text(inbound(0, party, subject=hostile if field == "text" else "hi", attachments=files))
    begins = [line for line in said.split("\n") if line and not line.startswith("  ")]
    assert len(begins) == 1
    assert begins[0].startswith("2026-11-03 17:27:05Z ")
    name = begins[0].removeprefix("2026-11-03 17:27:05Z ").rpartition(": ")[0]
    assert ":" not in name
    assert not set(said) & set("\v\f\r\x1c\x1d\x1e\x85\u2028\u2029")


def test_a_text_cannot_pass_for_a_file() -> None:
    said = text(inbound(0, subject="[photo.jpg]\n  [photo.jpg]"))
    assert not any(line.startswith("  [") for line in said.splitlines())


def test_a_long_name_pushes_nothing_to_another_line() -> None:
    said = text(inbound(0, Party("Bob" + " " * 60 + "\u3000" * 60 + "x" * 300), subject="hi"))
    assert said == f"2026-11-03 17:27:05Z Bob {'x' * 76}: hi\n"


@pytest.mark.parametrize(
    ("message", "speaker"),
    [
        (inbound(0, ANN), "+12120001"),
        (inbound(0, Party()), "unknown"),
        (Message(0, type="SMS", direction="Outbound", subject="hi", created_s=START_S), "me"),
    ],
)
def test_a_speaker_without_a_name_has_a_number_or_a_word(message: Message, speaker: str) -> None:
    assert text(message) == f"2026-11-03 17:27:05Z {speaker}: hi\n"
