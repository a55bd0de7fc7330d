"""Which files some paths and filters mean."""

import pytest

from rcfs.model import Attachment, Availability, ExportState, Extension, Filter, FoundRow, Message, Party
from rcfs.pull import Item, Walk, needs_of
from rcfs.pull._former import former_name
from rcfs.tree import AttachmentFile, Link, MessageDirectory, Root, ZipDirectory, build_root, tree_parts
from tests.fakes.call_catalogue import PlainCalls
from tests.fakes.catalogue import PlainCatalogue
from tests.fakes.exports import PERIOD, PlainExports, an_export
from tests.fakes.searches import PlainSearches

JUNE_S, NOVEMBER_S = 1_780_000_000.0, 1_793_700_000.0
EVERYTHING = Filter()
NAME = "2026-11-03T10.00.00Z from +1415 [3]"
FILE = "voicemail 2026-11-03T10.00.00Z from +1415.wav"
VOICEMAIL = f"101 Jane/Voicemail/2026-11/{NAME}"
SOUND = f"{VOICEMAIL}/{FILE}"


def message(
    number: int,
    kind: str,
    created_s: float | None,
    *attachments: Attachment,
    availability: str = Availability.ALIVE,
) -> Message:
    return Message(
        id=number,
        type=kind,
        direction="Inbound",
        sender=Party(phone_number="+1415"),
        recipients=(Party(phone_number="+1212"),),
        created_s=created_s,
        subject="hi" if kind == "SMS" else None,
        attachments=attachments,
        availability=availability,
    )


@pytest.fixture
def root() -> Root:
    root = build_root(
        [Extension(id=5, number="101", name="Jane"), Extension(id=6, name="Bob [x]")],
        fallback_s=0,
        searches=PlainSearches([FoundRow(1, 5, 3, NAME, NOVEMBER_S, None, "Voicemail", "2026-11")]),
    )
    picture = Attachment(12, "MmsAttachment", "image/jpeg", file_name="photo.jpg")
    jane = PlainCatalogue()
    jane.put(
        message(1, "SMS", JUNE_S, picture),
        message(2, "SMS", NOVEMBER_S),
        message(3, "VoiceMail", NOVEMBER_S, Attachment(3, "AudioRecording", "audio/wav")),
        message(4, "Fax", None, Attachment(4, "RenderedDocument", "application/pdf")),
        message(5, "Fax", JUNE_S, Attachment(5, "RenderedDocument"), availability=Availability.DELETED),
    )
    root.extension(5).show(jane)
    root.extension(6).show(PlainCatalogue())
    return root


def choose(
    root: Root, paths: list[tuple[str, ...]], wanted: Filter
) -> tuple[list[Item], list[tuple[str, ...]]]:
    """All that a walk gives, and those of the paths that lead to nothing."""
    walk = Walk(root, paths, wanted)
    return list(walk), walk.unknown


def chosen(root: Root, *paths: str, wanted: Filter = EVERYTHING) -> list[str]:
    entries, strays = choose(root, [tree_parts(path) for path in paths], wanted)
    assert strays == []
    return [entry.path for entry in entries]


def attachments(root: Root, *paths: str, wanted: Filter = EVERYTHING) -> list[int]:
    entries, _strays = choose(root, [tree_parts(path) for path in paths], wanted)
    return sorted(entry.node.key.message_id for entry in entries if isinstance(entry.node, AttachmentFile))


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("", ()),
        ("/", ()),
        ("101 Jane/Fax/", ("101 Jane", "Fax")),
        ("./101 Jane//Fax/../SMS", ("101 Jane", "SMS")),
        ("../..", ()),
    ],
)
def test_paths(path: str, parts: tuple[str, ...]) -> None:
    assert tree_parts(path) == parts


def test_a_walk_for_attachments_gives_nothing_else_and_reads_each_record_once(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    listed: list[int] = []

    def reading(catalogue: PlainCatalogue, message_id: int) -> Message | None:
        read.append(message_id)
        return catalogue.messages_by_id.get(message_id)

    def listing(_catalogue: PlainCatalogue, folder: int, _after: int, _limit: int) -> list[object]:
        listed.append(folder)
        return []

    monkeypatch.setattr(PlainCatalogue, "read", reading)
    monkeypatch.setattr(PlainCatalogue, "links", listing)
    items = list(Walk(root, [()], EVERYTHING, attachments_only=True))
    assert [item.node.key.message_id for item in items if isinstance(item.node, AttachmentFile)] == [
        item.message.id for item in items if item.message is not None
    ]
    assert len(items) == 4
    assert sorted(read) == [1, 2, 3, 4, 5]
    assert listed == [], "each message is found where its directory is"


def test_a_walk_for_one_type_reads_no_message_of_another_type(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def reading(catalogue: PlainCatalogue, message_id: int) -> Message | None:
        read.append(message_id)
        return catalogue.messages_by_id.get(message_id)

    monkeypatch.setattr(PlainCatalogue, "read", reading)
    assert attachments(root, "", wanted=Filter(types=frozenset({"fax"}))) == [4, 5]
    assert set(read) == {4, 5}


def test_a_walk_for_attachments_follows_links_from_a_part_of_a_mailbox(root: Root) -> None:
    for path in ("101 Jane/Conversations", "Search/invoice"):
        items = list(Walk(root, [tree_parts(path)], EVERYTHING, attachments_only=True))
        assert {type(item.node) for item in items} == {AttachmentFile}


def test_the_whole_account(root: Root) -> None:
    paths = chosen(root, "")
    assert attachments(root, "") == [1, 3, 4, 5]
    assert "Bob [x]/Fax" in paths, "empty directories, too"
    assert "101 Jane/extension.json" in paths
    assert not [path for path in paths if path.startswith(".rcfs")]
    positions = {path: number for number, path in enumerate(paths)}
    assert len(positions) == len(paths), "each entry once"
    for path, number in positions.items():
        above = path.rpartition("/")[0]
        assert not above or positions[above] < number


def test_a_walk_gives_the_directories_above_a_path_and_nothing_else(root: Root) -> None:
    assert chosen(root, SOUND) == [
        "101 Jane",
        "101 Jane/Voicemail",
        "101 Jane/Voicemail/2026-11",
        VOICEMAIL,
        SOUND,
    ]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*/Fax", [4]),
        ("*", [1, 3, 4, 5]),
        ("101*/[FT]*", [4, 5]),
        ("101 Jane/Voicemail/*/*[3]", [3]),
        ("101 Jane/Voicemail/*/*[4]", []),
        (VOICEMAIL, [3]),
        ("Bob [x]", []),
        ("101 Jane/*/*-06/*/*.jpg", []),
        ("101 Jane/SMS/*/*/*.jpg", [1]),
    ],
)
def test_patterns(root: Root, pattern: str, found: list[int]) -> None:
    assert attachments(root, pattern) == found


@pytest.mark.parametrize(
    "path", ["nobody", "101 Jane/fax", "101 Jane/Fax/undated/*/x", ".rcfs/*/x", "*/*/nothing"]
)
def test_a_path_that_leads_to_nothing_is_told(root: Root, path: str) -> None:
    entries, strays = choose(root, [tree_parts(path), ("101 Jane", "Fax")], EVERYTHING)
    assert strays == [tree_parts(path)]
    assert entries


def test_a_name_stands_for_itself_before_it_is_a_pattern(root: Root) -> None:
    assert chosen(root, "Bob [x]")[0] == "Bob [x]"
    assert "Bob [x]" in chosen(root, "Bob \\[x]".replace("\\", ""))


def test_a_link_brings_what_it_leads_to(root: Root) -> None:
    entries, _strays = choose(root, [("101 Jane", "Conversations")], EVERYTHING)
    assert attachments(root, "101 Jane/Conversations") == [1]
    found = {entry.path for entry in entries}
    for entry in entries:
        if isinstance(entry.node, Link):
            assert "/".join(tree_parts("/".join((*entry.parts[:-1], entry.node.target)))) in found
    assert attachments(root, "101 Jane/Conversations/*/*[1]/photo.jpg") == [1], "a path leads through links"


def test_filters(root: Root) -> None:
    faxes = Filter(types=frozenset({"fax"}))
    assert attachments(root, "", wanted=faxes) == [4, 5]
    assert not [path for path in chosen(root, "", wanted=faxes) if "Conversations" in path or "Bob" in path]
    november = Filter(since_s=NOVEMBER_S)
    assert attachments(root, "", wanted=november) == [3], "what has no time is old"
    paths = chosen(root, "", wanted=november)
    assert [path for path in paths if path.endswith("conversation.txt")], "it has a new message"
    assert not [path for path in paths if "[1]" in path]
    assert attachments(root, "", wanted=Filter(since_s=JUNE_S, types=frozenset({"sms"}))) == [1]


def test_only_the_mailboxes_on_the_way_are_needed(root: Root) -> None:
    def names(*paths: str) -> list[str]:
        needs = needs_of(root, [tree_parts(path) for path in paths], EVERYTHING, PlainCalls())
        return [each.extension.name for each in needs.mailboxes.values()]

    assert names("") == ["Jane", "Bob [x]"]
    assert names("101*/Fax", "101 Jane") == ["Jane"]
    assert names("*/Fax", "Bob [x]") == ["Jane", "Bob [x]"]
    assert names(".rcfs", "nobody") == []


def test_a_mailbox_that_could_not_be_loaded_is_no_wrong_path() -> None:
    root = build_root([Extension(id=5, number="101", name="Jane")], fallback_s=0)
    assert choose(root, [("101 Jane", "Fax"), ()], EVERYTHING) == ([], [])


def test_a_search_is_what_it_finds_and_is_not_everything(root: Root) -> None:
    assert not any(path.startswith("Search") for path in chosen(root, ""))
    for path in ("Search", "Search/*", "Search/invoice"):
        assert attachments(root, path) == [3]
        assert {f"Search/invoice/{NAME}", f"{VOICEMAIL}/message.json"} <= set(chosen(root, path))
    assert attachments(root, f"Search/invoice/{NAME}/{FILE}") == [3]
    assert attachments(root, "Search", wanted=Filter(types=frozenset({"fax"}))) == []


def test_an_earlier_name_is_recognised_only_when_it_is_certain(root: Root) -> None:
    old = f"{VOICEMAIL}/voicemail.wav"
    entries, _strays = choose(root, [()], EVERYTHING)

    def former(*copied: str) -> dict[str, str]:
        names: dict[str, str] = {}
        directories = {
            entry.path: entry.node for entry in entries if isinstance(entry.node, MessageDirectory)
        }
        for entry in entries:
            above, _slash, name = entry.path.rpartition("/")
            if isinstance(entry.node, AttachmentFile):
                there = [path.rpartition("/")[2] for path in copied if path.rpartition("/")[0] == above]
                old_name = former_name(name, directories[above].entries(), there)
                names |= {} if old_name is None else {entry.path: f"{above}/{old_name}"}
        return names

    assert former(old, f"{VOICEMAIL}/message.json") == {SOUND: old}
    assert former(old, SOUND) == {}, "it was copied anew already"
    assert former(old, f"{VOICEMAIL}/another.wav") == {}, "which of the two"
    assert former(f"{VOICEMAIL}/voicemail.mp3") == {}, "of another kind"
    assert former("101 Jane/Voicemail/2026-11/voicemail.wav", "voicemail.wav") == {}, "in no message"

    photos = [
        Attachment(number, "MmsAttachment", "image/jpeg", file_name=f"{number}.jpg") for number in (6, 7)
    ]
    jane = PlainCatalogue()
    jane.put(message(9, "SMS", NOVEMBER_S, *photos))
    root.extension(5).show(jane)
    entries, _strays = choose(root, [()], EVERYTHING)
    (one, two) = (entry.path for entry in entries if isinstance(entry.node, AttachmentFile))
    assert former(one) == {}, "the other picture is one of its own, and not copied yet"
    assert former(one.replace("6.jpg", "before.jpg")) == {}
    # The path selects only one of two pictures, but the tree still has the name of the other.
    entries, _strays = choose(root, [tree_parts(two)], EVERYTHING)
    assert former(one) == {}


def test_exports_come_if_they_are_named() -> None:
    messages = an_export(10, 20)
    waiting = an_export(name="2026-04-01 to 2026-04-30", state=ExportState.PENDING)
    root = build_root(
        [Extension(id=5, number="101")], fallback_s=0, exports=PlainExports([messages, waiting])
    )
    root.extension(5).show(PlainCatalogue())
    key = messages.archives[0].key
    root.exports.whole.add(key)
    root.exports.insides[key] = ZipDirectory([], 0)
    for paths in ([""], ["*"], ["101*"]):
        assert not any(path.startswith("Exports") for path in chosen(root, *paths))
    first, second = (f"Exports/Messages/{PERIOD}/archive-{at}.zip" for at in range(2))
    assert [path for path in chosen(root, "Exports") if path.endswith((".zip", ".txt"))] == [first, second]
    assert f"Exports/Messages/{PERIOD}/archive-0" not in chosen(root, "Exports")
    assert second in chosen(root, "Exports/Messages/2026-01*/*-1.zip")
    assert first not in chosen(root, "Exports/Messages/2026-01*/*-1.zip")
    assert not any(
        path.endswith(".zip") for path in chosen(root, "Exports", wanted=Filter(types=frozenset({"SMS"})))
    )
