from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from rcfs.model import Attachment, AttachmentKey, Extension, Message, Party
from rcfs.tree import AttachmentFile, Directory, ExtensionDirectory, Link, TextFile, build_root
from tests.fakes.catalogue import PlainCatalogue, shown
from tests.fakes.nodes import at, names

NOV_S = 1793726825.0  # 2026-11-03T17:27:05Z
DEC_S = NOV_S + 30 * 86400
STATIC = [
    *("SMS", "Voicemail", "Fax", "Pager", "Conversations", "By-Contact", "Unread", "Trash"),
    "extension.json",
]


def unfilled() -> ExtensionDirectory:
    return build_root([Extension(101, raw='{"id":101}')], fallback_s=9.0).extension(101)


def sms(id_: int, created_s: float | None = NOV_S, **fields: Any) -> Message:
    return attrs.evolve(
        Message(id_, "SMS", "Inbound", Party("Bob"), created_s=created_s, subject="hi"), **fields
    )


def walk(directory: Directory, path: str = "") -> Iterator[str]:
    for name, node in directory.entries().items():
        yield f"{path}{name}"
        if isinstance(node, Directory):
            yield from walk(node, f"{path}{name}/")


def test_standing_views_can_be_looked_up_before_the_mailbox_is_loaded() -> None:
    made = unfilled()
    assert list(made.entries()) == STATIC
    assert (made.is_known, made.is_filled, made.collection_id) == (True, False, "mailbox/101")
    record = at(made, "extension.json")
    assert isinstance(record, TextFile)
    assert record.content() == b'{\n  "id": 101\n}\n'


@pytest.mark.parametrize("name", STATIC[:-1])
def test_nothing_below_is_known_before_the_mailbox_is_loaded(name: str) -> None:
    made = unfilled()
    node = at(made, name)
    assert isinstance(node, Directory)
    assert (node.is_known, node.collection_id, node.times().mtime_s) == (False, "mailbox/101", 9.0)
    with pytest.raises(RuntimeError, match="101"):
        node.entries()
    with pytest.raises(RuntimeError, match="101"):
        node.find("x")
    made.show(PlainCatalogue())
    assert node.is_known, "who holds the directory sees the mailbox as soon as it is there"
    assert node.entries() == {}
    assert node.find("x") is node.find("") is None
    assert made.is_filled


def test_messages_are_found_by_type_and_month() -> None:
    made = shown(
        sms(1, DEC_S),
        sms(2),
        sms(3, None),
        sms(4, availability="Deleted"),
        sms(5, availability="Purged"),
        sms(6, type="Fax", availability="New"),
        sms(7, type="VoiceMail"),
    )
    name = "2026-11-03T17.27.05Z from Bob"
    homes = [
        path for path in walk(made) if path.endswith("]") and path.split("/")[0] in (*STATIC[:4], "Trash")
    ]
    assert homes == [
        "SMS/2026-12/2026-12-03T17.27.05Z from Bob [1]",
        f"SMS/2026-11/{name} [2]",
        "SMS/undated/undated from Bob [3]",
        f"Voicemail/2026-11/{name} [7]",
        f"Fax/2026-11/{name} [6]",
        f"Trash/{name} [4]",
    ]


def test_types_that_are_new_have_directories_of_their_own() -> None:
    types = ["", "VideoMail", "videomail", "sms", "a/b", "..", "Trash", "extension.JSON"]
    made = shown(*(sms(i, type=t) for i, t in enumerate(types)))
    new = ["A_b", "Extension.json messages", "Other", "Sms messages", "Trash messages", "Videomail"]
    assert list(made.entries()) == [*STATIC[:-1], *new, STATIC[-1]]
    assert len(names(made, "Videomail", "2026-11")) == 2
    assert len(names(made, "Other", "2026-11")) == 2


def test_directories_have_the_newest_time_of_their_messages() -> None:
    made = shown(sms(1, NOV_S), sms(2, DEC_S), sms(3, DEC_S + 5, availability="Deleted"))
    paths = [(), ("SMS",), ("SMS", "2026-11"), ("SMS", "2026-12"), ("Conversations",), ("Trash",), ("Fax",)]
    assert [at(made, *path).times().mtime_s for path in paths] == [
        *(DEC_S + 5, DEC_S, NOV_S, DEC_S, DEC_S, DEC_S + 5, 9.0)
    ]


def test_unread_messages_are_linked() -> None:
    made = shown(
        sms(1, read_status="Unread"),
        sms(2, read_status="Read"),
        sms(3, read_status="Unread", direction="Outbound"),
        sms(4, read_status="Unread", availability="Deleted"),
    )
    (name,) = names(made, "Unread")
    link = at(made, "Unread", name)
    assert isinstance(link, Link)
    assert link.target == f"../SMS/2026-11/{name}"
    assert isinstance(at(made, *link.target.split("/")[1:]), Directory)


def test_everything_with_one_number_is_with_its_contact() -> None:
    bob, ann = Party("Bob", "+1212"), Party("", "+1313")
    me = Party("Me", "+1000")
    made = shown(
        sms(1, sender=bob, recipients=(me,)),
        sms(2, sender=me, recipients=(bob, ann), direction="Outbound"),
        sms(3, sender=bob, recipients=(me,), type="VoiceMail"),
        sms(4, sender=Party(), recipients=(me,), type="Fax"),
    )
    assert {name: len(names(made, "By-Contact", name)) for name in names(made, "By-Contact")} == {
        "+1212 Bob": 3,
        "+1313": 1,
        "unknown": 1,
    }
    for contact in names(made, "By-Contact"):
        for name in names(made, "By-Contact", contact):
            link = at(made, "By-Contact", contact, name)
            assert isinstance(link, Link)
            up, again, *path = link.target.split("/")
            assert (up, again) == ("..", "..")
            assert isinstance(at(made, *path), Directory)


def test_a_listing_continues_after_its_cursor_while_messages_come_and_go() -> None:
    made = unfilled()
    catalogue = PlainCatalogue()
    made.show(catalogue)
    catalogue.put(*(sms(number) for number in range(1, 6)))
    month = at(made, "SMS", "2026-11")
    assert isinstance(month, Directory)
    first = month.page(0, 2)
    catalogue.remove(1)
    catalogue.put(sms(9))
    rest = month.page(first[-1].cursor, 10)
    assert [entry.name[-3:] for entry in (*first, *rest)] == ["[1]", "[2]", "[3]", "[4]", "[5]", "[9]"]
    assert month.page(rest[-1].cursor, 10) == []


def test_a_conversation_is_listed_in_pages_too() -> None:
    made = shown(*(sms(number) for number in range(1, 4)))
    conversation = at(made, "Conversations", "Bob")
    assert isinstance(conversation, Directory)
    listed, after = [], 0
    while page := conversation.page(after, 1):
        listed += [entry.name[:12] for entry in page]
        after = page[-1].cursor
    assert listed == ["conversation", *["2026-11-03T1"] * 3]


def test_only_the_exact_name_is_found() -> None:
    made = shown(sms(1))
    month = at(made, "SMS", "2026-11")
    assert isinstance(month, Directory)
    (name,) = month.entries()
    assert month.find(name) is not None
    assert month.find(name.replace("Bob", "Eve")) is None
    assert month.find(name.replace("[1]", "[2]")) is None
    fax = at(made, "Fax")
    assert isinstance(fax, Directory)
    assert fax.find("2026-11") is None


def test_a_deleted_message_moves_to_the_trash_and_leaves_its_links() -> None:
    made = unfilled()
    catalogue = PlainCatalogue()
    made.show(catalogue)
    catalogue.put(sms(1, read_status="Unread"), sms(2))
    catalogue.put(sms(1, read_status="Unread", availability="Deleted"))
    assert len(names(made, "Trash")) == len(names(made, "SMS", "2026-11")) == 1
    assert names(made, "Unread") == []
    assert len(names(made, "Conversations", "Bob")) == 2


def test_purged_messages_are_shown_only_on_request() -> None:
    made = unfilled()
    made.show(catalogue := PlainCatalogue(keep_purged=True))
    catalogue.put(sms(1, availability="Purged"))
    assert len(names(made, "Purged")) == 1
    assert list(made.entries()) == [*STATIC[:-1], "Purged", STATIC[-1]]


def test_learned_sizes_also_hold_for_files_that_were_never_looked_up() -> None:
    made = unfilled()
    key = AttachmentKey("1", 101, 1, 4)
    made.show(catalogue := PlainCatalogue(learned={key: 6}))
    catalogue.put(attrs.evolve(sms(1), attachments=(Attachment(4),)))
    node = at(
        made,
        "SMS",
        "2026-11",
        "2026-11-03T17.27.05Z from Bob [1]",
        "attachment 2026-11-03T17.27.05Z from Bob.bin",
    )
    assert isinstance(node, AttachmentFile)
    assert (node.key, node.size_bytes, node.size_is_exact) == (key, 6, True)
