from collections.abc import Iterator
from time import process_time
from typing import Any

import attrs
import pytest

from rcfs.model import Attachment, ContentKey, Extension, Mailbox, Message, Party
from rcfs.tree import AttachmentFile, Change, Directory, ExtensionDirectory, Node, TextFile, build_root

NOV_S = 1793726825.0  # 2026-11-03T17:27:05Z
DEC_S = NOV_S + 30 * 86400
STATIC = ["SMS", "Voicemail", "Fax", "Pager", "Conversations", "Trash", "extension.json"]


def unfilled() -> ExtensionDirectory:
    return build_root([Extension(101, raw='{"id":101}')], fallback_s=9.0).extension(101)


def mailbox(*messages: Message) -> Mailbox:
    return Mailbox("1", 101, messages)


def sms(id_: int, created_s: float | None = NOV_S, **fields: Any) -> Message:
    return attrs.evolve(
        Message(id_, "SMS", "Inbound", Party("Bob"), created_s=created_s, subject="hi"), **fields
    )


def at(root: Node, *path: str) -> Node:
    for name in path:
        assert isinstance(root, Directory)
        root = root.entries()[name]
    return root


def walk(directory: Directory, path: str = "") -> Iterator[str]:
    for name, node in directory.entries().items():
        yield f"{path}{name}"
        if isinstance(node, Directory):
            yield from walk(node, f"{path}{name}/")


def test_what_always_exists_can_be_looked_up_before_the_mailbox_is_loaded() -> None:
    made = unfilled()
    assert list(made.entries()) == STATIC
    assert (made.is_known, made.is_filled, made.mailbox_id) == (True, False, 101)
    record = made.entries()["extension.json"]
    assert isinstance(record, TextFile)
    assert record.content() == b'{\n  "id": 101\n}\n'


@pytest.mark.parametrize("name", STATIC[:-1])
def test_nothing_below_is_known_before_the_mailbox_is_loaded(name: str) -> None:
    made = unfilled()
    node = made.entries()[name]
    assert isinstance(node, Directory)
    assert (node.is_known, node.mailbox_id, node.mtime_s) == (False, 101, 9.0)
    with pytest.raises(RuntimeError, match="101"):
        node.entries()
    made.fill(mailbox())
    assert node.is_known
    assert node.entries() == {}
    assert made.is_filled


def test_messages_are_found_by_type_and_month() -> None:
    made = unfilled()
    made.fill(
        mailbox(
            sms(1, DEC_S),
            sms(2),
            sms(3, None),
            sms(4, availability="Deleted"),
            sms(5, availability="Purged"),
            sms(6, type="Fax", availability="New"),
            sms(7, type="VoiceMail"),
        )
    )
    name = "2026-11-03T17.27.05Z from Bob"
    assert [path for path in walk(made) if path.endswith("]") and not path.startswith("Conv")] == [
        f"SMS/2026-11/{name} [2]",
        "SMS/2026-12/2026-12-03T17.27.05Z from Bob [1]",
        "SMS/undated/undated from Bob [3]",
        f"Voicemail/2026-11/{name} [7]",
        f"Fax/2026-11/{name} [6]",
        f"Trash/{name} [4]",
    ]


def test_types_that_are_new_have_directories_of_their_own() -> None:
    made = unfilled()
    made.entries()
    types = ["", "Other", "sms", "a/b", "..", "Trash"]
    changes = made.fill(mailbox(*(sms(i, type=t) for i, t in enumerate(types))))
    new = ["Other", "Other (2)", "Other (3)", "Trash (2)", "a_b", "sms (2)"]
    assert list(made.entries()) == [*STATIC[:4], *new, *STATIC[4:]]
    assert {change.name for change in changes} == set(new)
    gone = made.fill(mailbox())
    assert list(made.entries()) == STATIC
    assert {change.name for change in gone if change.directory is made} == set(new)


def test_directories_are_as_new_as_what_they_hold() -> None:
    made = unfilled()
    made.fill(mailbox(sms(1, NOV_S), sms(2, DEC_S), sms(3, DEC_S + 5, availability="Deleted")))
    paths = [(), ("SMS",), ("SMS", "2026-11"), ("SMS", "2026-12"), ("Conversations",), ("Trash",), ("Fax",)]
    times = [NOV_S, DEC_S]
    assert [at(made, *path).mtime_s for path in paths] == [
        DEC_S + 5, times[1], times[0], times[1], times[1], DEC_S + 5, 9.0,
    ]  # fmt: skip


def test_filling_with_the_same_again_changes_nothing() -> None:
    made = unfilled()
    made.fill(mailbox(sms(1), sms(2, DEC_S)))
    before = {path: at(made, *path.split("/")) for path in walk(made)}
    assert made.fill(mailbox(sms(2, DEC_S), sms(1))) == []
    assert {path: at(made, *path.split("/")) for path in walk(made)} == before


def test_a_new_message_changes_only_the_directories_it_is_in() -> None:
    made = unfilled()
    made.fill(mailbox(sms(1, type="Fax"), sms(2, DEC_S, type="Fax")))
    before = {path: at(made, *path.split("/")) for path in walk(made)}
    changes = made.fill(mailbox(sms(1, type="Fax"), sms(2, DEC_S, type="Fax"), sms(3, type="Fax")))
    after = {path: at(made, *path.split("/")) for path in walk(made)}
    assert after.items() >= before.items()
    month = at(made, "Fax", "2026-11")
    assert isinstance(month, Directory)
    assert changes == [Change(month, "2026-11-03T17.27.05Z from Bob [3]")]


def test_a_changed_message_keeps_its_directory_and_the_files_whose_bytes_are_the_same() -> None:
    made = unfilled()
    old = attrs.evolve(sms(1), attachments=(Attachment(4),), raw='{"id":1}')
    made.fill(mailbox(old))
    path = ("SMS", "2026-11", "2026-11-03T17.27.05Z from Bob [1]")
    directory = at(made, *path)
    assert isinstance(directory, Directory)
    before = dict(directory.entries())
    attached = before["attachment.bin"]
    assert isinstance(attached, AttachmentFile)
    attached.learn(77)
    transcript = Attachment(5, "AudioTranscription")
    new = attrs.evolve(
        old,
        read_status="Read",
        raw='{"id":1,"x":2}',
        modified_s=DEC_S,
        attachments=(*old.attachments, transcript),
    )
    changes = made.fill(mailbox(new))
    after = directory.entries()
    assert at(made, *path) is directory
    assert list(after) == ["message.json", "text.txt", "attachment.bin", "transcript.txt"]
    assert after["text.txt"] is before["text.txt"]
    assert after["attachment.bin"] is attached
    assert after["message.json"] is not before["message.json"]
    assert changes == [Change(directory, "message.json"), Change(directory, "transcript.txt")]
    assert all(node.xattrs()["user.rcfs.read_status"] == "Read" for node in (directory, *after.values()))
    assert {node.ctime_s for node in (directory, *after.values())} == {DEC_S}
    assert attached.size_bytes == 77


def test_an_attachment_that_is_another_is_another_file() -> None:
    made = unfilled()
    path = ("SMS", "2026-11", "2026-11-03T17.27.05Z from Bob [1]", "attachment.bin")
    made.fill(mailbox(attrs.evolve(sms(1), attachments=(Attachment(4),))))
    before = at(made, *path)
    made.fill(mailbox(attrs.evolve(sms(1), attachments=(Attachment(5),))))
    assert at(made, *path) is not before


def test_a_conversation_gets_a_new_text_and_keeps_its_links() -> None:
    made = unfilled()
    made.fill(mailbox(sms(1)))
    conversation = at(made, "Conversations", "Bob")
    assert isinstance(conversation, Directory)
    before = dict(conversation.entries())
    changes = made.fill(mailbox(sms(1), sms(2, DEC_S)))
    new = "2026-12-03T17.27.05Z from Bob [2]"
    after = conversation.entries()
    assert at(made, "Conversations", "Bob") is conversation
    assert {name for name in after if after[name] is not before.get(name)} == {"conversation.txt", new}
    assert changes == [Change(conversation, "conversation.txt"), Change(conversation, new)]
    text = after["conversation.txt"]
    assert isinstance(text, TextFile)
    assert text.content().count(b"\n") == 2


def test_a_deleted_message_moves_to_the_trash() -> None:
    made = unfilled()
    made.fill(mailbox(sms(1)))
    trash, month = at(made, "Trash"), at(made, "SMS", "2026-11")
    assert isinstance(trash, Directory)
    assert isinstance(month, Directory)
    (name,) = month.entries()
    assert not trash.entries()
    changes = made.fill(mailbox(sms(1, availability="Deleted")))
    sms_directory = at(made, "SMS")
    assert isinstance(sms_directory, Directory)
    assert changes == [Change(sms_directory, "2026-11"), Change(trash, name)]
    assert list(trash.entries()) == [name]


def test_sizes_are_learned_for_files_that_nobody_has_looked_at() -> None:
    made = unfilled()
    key = ContentKey("1", 101, 1, 4)
    message = attrs.evolve(sms(1), attachments=(Attachment(4),))
    made.fill(Mailbox("1", 101, (message,), {key: 5}))
    made.learn(key, 6)
    node = at(made, "SMS", "2026-11", "2026-11-03T17.27.05Z from Bob [1]", "attachment.bin")
    assert isinstance(node, AttachmentFile)
    assert (node.key, node.size_bytes, node.size_is_exact) == (key, 6, True)


def test_a_large_mailbox_is_filled_in_a_moment() -> None:
    messages = [sms(i, NOV_S - i * 1000, type=("SMS", "Fax", "VoiceMail")[i % 3]) for i in range(50_000)]
    made = unfilled()
    start_s = process_time()
    made.fill(mailbox(*messages))
    # About 0.25 s of CPU, measured 2026-11; the bound has room for slow machines.
    assert process_time() - start_s < 2
