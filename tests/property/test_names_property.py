"""Names of every directory of the tree, against strings made to break them."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import permutations
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rcfs.model import (
    Attachment,
    Call,
    Extension,
    Greeting,
    Leg,
    Message,
    Party,
    Prompt,
    Recording,
    StandardGreeting,
    is_usable_id,
)
from rcfs.tree import (
    AttachmentFile,
    ContentFile,
    Directory,
    ExtensionDirectory,
    Link,
    Node,
    RecordingFile,
    Root,
    TextFile,
    build_root,
)
from rcfs.tree._names import clean, cut, fit, folded
from tests.fakes.call_catalogue import PlainCalls, PlainGreetings
from tests.fakes.catalogue import shown

FORBIDDEN = {"/", *map(chr, [*range(32), *range(127, 160), 0x61C, 0x200E, 0x200F, 0x2028, 0x2029])}
FORBIDDEN |= set('"*:<>?\\|\u200b\u200d\u2060\ufeff\ufe0f\u3164\U000e0067\ue000')
FORBIDDEN |= {chr(c) for c in [*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000)]}

DEVICE = re.compile(r"con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]", re.IGNORECASE)

PIECES = [
    "", "a", "A", "\u00e9", "e\u0301", "\u0301", "\u017f", "\u00df", "\u0130", ".", "..", "/", "\\", "-", " ",
    "\x00", "\n", "\x85", "\u2028", "\u202e", "\u2066", "\u200f", "\ud83d", "\ude00", "\U0001f469\u200d",
    "\U0001f600", "con", "AUX", "com\u00b9", ":", '"', "\u200b", "\ufe0f", "\u3164", "\u3000",
    "\U000e0067", "k\u0131", "\ue000", ".jpg", ".JPG", "message.json", "text.txt", "Text",
    "(2)", " (2)", "[1]", " [2]", "x" * 130,
    "\u00e9" * 130, "\u0301" * 130, "+1212", "SMS", "Trash", "conversation.txt", "Other", ".rcfs", "undated",
    "Company", "search", "Standard", "Calls",
]  # fmt: skip

hostile = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)
parties = st.builds(Party, name=hostile, phone_number=hostile, extension_number=hostile)
times = st.sampled_from([None, 0.0, -1.0, 1793726825.5, 1793491199.9999995, 1e18, float("nan"), float("inf")])
attachments = st.builds(
    Attachment,
    id=st.integers(0, 3),
    kind=st.sampled_from(["", "Text", "MmsAttachment", "AudioRecording", "AudioTranscription", "odd"]),
    content_type=st.sampled_from(["", "image/jpeg", "text/plain", "application/json", "odd/odd"]),
    file_name=hostile,
    size_bytes=st.none() | st.integers(-1, 10),
)
messages = st.builds(
    Message,
    id=st.integers(0, 2**63 - 1),
    type=st.sampled_from(["SMS", "Pager", "Fax"]) | hostile,
    direction=st.sampled_from(["", "Inbound", "Outbound"]),
    sender=parties,
    recipients=st.lists(parties, max_size=5).map(tuple),
    created_s=times,
    modified_s=times,
    availability=st.sampled_from(["Alive", "Deleted", "Purged", ""]),
    subject=st.none() | hostile,
    conversation_id=st.sampled_from(["", "1", "2"]) | hostile,
    attachments=st.lists(attachments, max_size=4).map(tuple),
)
ids = st.sampled_from(["1", "2", "01", "aB", "Ab", "a/b", "..", ""]) | hostile
recordings = st.none() | st.builds(Recording, id=ids, kind=hostile, uri=hostile)
legs = st.builds(
    Leg,
    direction=st.sampled_from(["", "Inbound", "Outbound"]),
    sender=parties,
    receiver=parties,
    extension_id=st.none() | st.integers(0, 3),
    started_s=times,
    duration_s=st.none() | st.sampled_from([-1, 0, 59, 3600, 2**63 - 1]),
    recording=recordings,
    message_id=st.none() | st.integers(0, 2),
)
calls = st.builds(
    Call,
    id=ids,
    whole=legs,
    session_id=hostile,
    type=hostile,
    result=hostile,
    legs=st.lists(legs, max_size=3).map(tuple),
    modified_s=times,
)
call_logs = st.lists(calls, max_size=4, unique_by=lambda call: call.id)
greetings = st.builds(
    Greeting, hostile, hostile, ids, hostile, st.sampled_from(["", "audio/wav"]), st.booleans(), hostile
)
prompts = st.builds(Prompt, ids, hostile, hostile, st.sampled_from(["", "audio/wav", "audio/mpeg"]))
presets = st.builds(StandardGreeting, ids, hostile, hostile, hostile, hostile)
extensions = st.lists(
    st.builds(Extension, id=st.integers(1, 3), number=hostile, name=hostile),
    max_size=3,
    unique_by=lambda extension: extension.id,
)
mailboxes = st.lists(messages, max_size=5, unique_by=lambda message: message.id)


def extension_of(found: list[Message]) -> ExtensionDirectory:
    return shown(*found)


def directories(root: Directory) -> Iterator[Directory]:
    yield root
    for node in root.entries().values():
        if isinstance(node, Directory):
            yield from directories(node)


def listing(directory: Directory) -> dict[str, object]:
    """The whole tree as plain values."""
    return {name: describe(node) for name, node in directory.entries().items()}


def describe(node: Node) -> object:
    times_and_facts = (node.times(), sorted(node.xattrs().items()))
    if isinstance(node, Directory):
        return (times_and_facts, listing(node))
    if isinstance(node, TextFile):
        return (times_and_facts, node.content())
    if isinstance(node, ContentFile):
        return (times_and_facts, node.key, node.size_bytes)
    assert isinstance(node, Link)
    return (times_and_facts, node.target)


def check_names(names: list[str]) -> None:
    for name in names:
        assert name
        assert len(name.encode()) <= 255
        assert not FORBIDDEN & set(name)
        assert name == unicodedata.normalize("NFC", name)
        assert name[0] not in ".- "
        assert name[-1] not in ". "
        assert not DEVICE.fullmatch(name.partition(".")[0].rstrip(" "))
    for same in (str.casefold, str.upper, lambda name: unicodedata.normalize("NFD", name.casefold())):
        assert len(set(map(same, names))) == len(names)


@given(hostile, hostile)
def test_a_cleaned_text_is_safe_and_stable(before: str, after: str) -> None:
    name = clean(before + after)
    assert clean(name) == name
    if name:
        check_names([fit(name), fit(name, " [6424569004]")])


@given(hostile, st.integers(0, 300))
def test_a_cut_text_is_a_prefix_within_the_limit(text: str, limit: int) -> None:
    text = clean(text)
    kept = cut(text, limit)
    assert text.startswith(kept)
    assert len(kept.encode()) <= limit
    assert kept == text or len(text.encode()) > limit


@given(mailboxes)
def test_every_name_of_a_mailbox_is_safe_unique_and_found(found: list[Message]) -> None:
    made = extension_of(found)
    for directory in directories(made):
        check_names(list(directory.entries()))
        for name, node in directory.entries().items():
            found_node = directory.find(name)
            assert found_node is not None
            assert describe(found_node) == describe(node)
            if isinstance(node, AttachmentFile):
                assert folded(name) != "message.json"
                assert node.size_bytes > 0


@given(mailboxes)
def test_every_message_is_shown_exactly_once_and_every_link_leads_to_one(found: list[Message]) -> None:
    made = extension_of(found)
    shown = [d.xattrs()["user.rcfs.message_id"] for d in directories(made) if d.xattrs()]
    assert sorted(shown) == sorted(str(m.id) for m in found if m.availability != "Purged")
    conversations = made.entries()["Conversations"]
    assert isinstance(conversations, Directory)
    linked = [
        (name, node)
        for conversation in conversations.entries().values()
        if isinstance(conversation, Directory)
        for name, node in conversation.entries().items()
        if isinstance(node, Link)
    ]
    conversing = [m for m in found if m.type in ("SMS", "Pager") and m.availability in ("Alive", "")]
    assert len(linked) == len(conversing)
    for name, link in linked:
        parent: Node = made
        for part in link.target.removeprefix("../../").split("/"):
            assert isinstance(parent, Directory)
            parent = parent.entries()[part]
        assert f"[{parent.xattrs()['user.rcfs.message_id']}]" in name


@given(mailboxes, st.randoms(use_true_random=False))
def test_the_order_of_the_mailbox_changes_nothing(found: list[Message], random: Random) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert listing(extension_of(found)) == listing(extension_of(shuffled))


@given(st.lists(st.builds(Extension, id=st.integers(0, 9), number=hostile, name=hostile), max_size=4))
def test_extensions_are_safe_unique_and_the_same_in_any_order(extensions: list[Extension]) -> None:
    unique = list({extension.id: extension for extension in extensions}.values())
    root = build_root(unique, fallback_s=1.0)
    names = list(root.entries())
    check_names(names)
    assert len(names) == len(unique)
    assert all(folded(name) != ".rcfs" for name in names)
    for order in permutations(unique):
        again = build_root(order, fallback_s=1.0)
        assert list(again.entries()) == list(root.entries())
        assert [again.extension(e.id).extension for e in unique] == unique


def company_of(shown_ones: list[Extension], found: list[Call], voices: PlainGreetings | None = None) -> Root:
    made = PlainCalls(shown_ones, months=["2026-11"])
    made.put(*found)
    root = build_root(shown_ones, fallback_s=1.0, calls=made, greetings=voices)
    for extension in shown_ones:
        root.extension(extension.id).show_none()
    return root


def check_everywhere(root: Root) -> None:
    for directory in directories(root):
        entries = directory.entries()
        check_names(list(entries))
        listed, after = [], 0
        while page := directory.page(after, 1):
            listed += [entry.name for entry in page]
            assert page[-1].cursor > after
            after = page[-1].cursor
        assert listed == list(entries)
        for name, node in entries.items():
            found = directory.find(name)
            assert found is not None
            assert describe(found) == describe(node)


@given(extensions, call_logs)
def test_every_name_of_calls_is_safe_unique_and_found(shown_ones: list[Extension], found: list[Call]) -> None:
    check_everywhere(company_of(shown_ones, found))


@given(extensions, call_logs)
def test_every_recording_is_shown_exactly_once(shown_ones: list[Extension], found: list[Call]) -> None:
    root = company_of(shown_ones, found)
    shown_files: dict[str, int] = {}
    for directory in directories(root):
        for node in directory.entries().values():
            if isinstance(node, RecordingFile):
                shown_files[node.row.id] = shown_files.get(node.row.id, 0) + 1
    recorded = {leg.recording.id for call in found for leg in call.recorded_legs if leg.recording is not None}
    assert shown_files == {each: 1 for each in recorded if is_usable_id(each)}


@given(
    extensions,
    st.lists(greetings, max_size=5).map(tuple),
    st.lists(presets, max_size=3).map(tuple),
    st.lists(prompts, max_size=4).map(tuple),
)
def test_every_name_of_greetings_is_safe_unique_and_found(
    shown_ones: list[Extension],
    found: tuple[Greeting, ...],
    standard: tuple[StandardGreeting, ...],
    recorded: tuple[Prompt, ...],
) -> None:
    owners = (0, *(extension.id for extension in shown_ones))
    root = company_of(shown_ones, [], PlainGreetings(dict.fromkeys(owners, found), standard, recorded))
    check_everywhere(root)
    for directory in directories(root):
        for node in directory.entries().values():
            if isinstance(node, Link):
                parent: Node = root
                for part in node.target.removeprefix("../../../").split("/"):
                    assert isinstance(parent, Directory)
                    parent = parent.entries()[part]
                assert isinstance(parent, ContentFile)
