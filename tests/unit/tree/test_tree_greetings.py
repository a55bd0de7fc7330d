"""The directories of greetings and prompts."""

import pytest

from rcfs.model import (
    AttachmentKey,
    CompanyGreetingKey,
    ContentKey,
    Extension,
    Greeting,
    GreetingKey,
    Prompt,
    PromptKey,
    StandardGreeting,
    StandardGreetingKey,
)
from rcfs.tree import Directory, GreetingFile, Link, Node, Root, Times, build_root
from tests.fakes.call_catalogue import PlainCalls, PlainGreetings
from tests.fakes.nodes import at, names

JANE = Extension(5, "101", "Jane")
OWN = Greeting("Business Hours", "Voicemail", "7", "https://m/7", "audio/wav")
PRESET = Greeting("Business Hours", "HoldMusic", "65", preset=True, name="Beautiful")
STANDARD = StandardGreeting("65", "Beautiful", "HoldMusic", uri="https://m/std/65")
SILENCE = StandardGreeting("66", "None", "HoldMusic")


@pytest.fixture
def greetings() -> PlainGreetings:
    return PlainGreetings({5: (OWN, PRESET), 0: ()}, (STANDARD, SILENCE), ())


@pytest.fixture
def root(greetings: PlainGreetings) -> Root:
    return build_root([JANE], fallback_s=1.0, calls=PlainCalls(), greetings=greetings)


def file(root: Node, *path: str) -> GreetingFile:
    found = at(root, *path)
    assert isinstance(found, GreetingFile)
    return found


def test_greetings_are_listed_by_rule(root: Root) -> None:
    assert names(root, "101 Jane")[-2:] == ["Greetings", "extension.json"]
    assert names(root, "101 Jane", "Greetings") == ["Business Hours"]
    assert names(root, "101 Jane", "Greetings", "Business Hours") == [
        "Voicemail [7].wav",
        "HoldMusic [65].mp3",
    ]


def test_a_recorded_greeting_is_a_file(root: Root, greetings: PlainGreetings) -> None:
    found = file(root, "101 Jane", "Greetings", "Business Hours", "Voicemail [7].wav")
    assert (found.key, found.place, found.purged) == (GreetingKey("1", 5, "7"), (5, "greeting"), False)
    assert (found.wanted().uri, found.wanted().content_type) == ("https://m/7", "audio/wav")
    assert (found.size(), found.times()) == ((1 << 20, False), Times(9.0, 9.0))
    assert found.xattrs() == {
        "user.rcfs.greeting_id": "7",
        "user.rcfs.type": "Voicemail",
        "user.rcfs.key": "1/greeting/5/7",
    }
    greetings.learned[found.key] = 12
    assert file(root, "101 Jane", "Greetings", "Business Hours", "Voicemail [7].wav").size() == (12, True)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_preset_is_a_link_to_the_company(root: Root, greetings: PlainGreetings, *, is_known: bool) -> None:
    if not is_known:
        greetings.presets = None
    link = at(root, "101 Jane", "Greetings", "Business Hours", "HoldMusic [65].mp3")
    assert isinstance(link, Link)
    assert link.target == "../../../Company/Greetings/Standard/Beautiful [65].mp3"
    greetings.presets = (STANDARD,)
    found = file(root, *link.target.split("/")[3:])
    assert (found.key, found.wanted().uri) == (StandardGreetingKey("1", "65"), "https://m/std/65")
    assert found.xattrs()["user.rcfs.greeting_id"] == "65"


def test_a_preset_is_a_file_of_the_same_content_where_no_company_is_shown(greetings: PlainGreetings) -> None:
    calls = PlainCalls(has_company=False)
    root = build_root([JANE], fallback_s=1.0, calls=calls, greetings=greetings)
    for presets in (greetings.presets, None):
        greetings.presets = presets
        found = file(root, "101 Jane", "Greetings", "Business Hours", "HoldMusic [65].mp3")
        assert found.key == StandardGreetingKey("1", "65")
        assert found.wanted().uri == ("" if presets is None else "https://m/std/65")


def test_silence_is_not_shown(root: Root, greetings: PlainGreetings) -> None:
    greetings.by_owner[5] = (Greeting("Rule", "HoldMusic", "66", preset=True, name="None"),)
    assert names(root, "101 Jane", "Greetings", "Rule") == []
    assert names(root, "Company", "Greetings", "Standard") == ["Beautiful [65].mp3"]


def test_the_company_has_greetings_presets_and_prompts(root: Root, greetings: PlainGreetings) -> None:
    assert names(root, "Company") == ["Calls", "Recordings", "Greetings", "IVR Prompts"]
    greetings.by_owner[0] = (Greeting("After Hours", "Company", "8"), PRESET, Greeting("Standard", "x", "9"))
    assert names(root, "Company", "Greetings") == [
        "After Hours",
        "Business Hours",
        "Standard (2)",
        "Standard",
    ]
    found = file(root, "Company", "Greetings", "After Hours", "Company [8].mp3")
    assert (found.key, found.place) == (CompanyGreetingKey("1", "8"), (0, "company-greeting"))
    link = at(root, "Company", "Greetings", "Business Hours", "HoldMusic [65].mp3")
    assert isinstance(link, Link)
    assert isinstance(at(root, *link.target.split("/")[3:]), GreetingFile)


def test_prompts_are_called_after_their_files(root: Root, greetings: PlainGreetings) -> None:
    hostile = [
        "../../etc/passwd",
        "..",
        "",
        "CON",
        "\u202e\u200b",
        ".hidden.mp3",
        "line one\n.mp3",
        "\u00df" * 148,
    ]
    greetings.all_prompts = (
        Prompt("1", "Welcome.mp3", "https://m/1", "audio/mpeg"),
        Prompt("2", "Main menu.wav", content_type="audio/x-wav"),
        Prompt("3", "MAIN MENU.WAV", content_type="audio/mpeg"),
        Prompt("4", "Main menu.wav"),
        *(Prompt(str(number), name) for number, name in enumerate(hostile, start=5)),
    )
    assert names(root, "Company", "IVR Prompts") == [
        "Welcome [1].mp3",
        "Main menu [2].wav",
        "MAIN MENU.WAV [3].mp3",
        "Main menu [4].wav",
        "_.._etc_passwd [5].mp3",
        "prompt [6].mp3",
        "prompt [7].mp3",
        "CON [8].mp3",
        "prompt [9].mp3",
        "hidden [10].mp3",
        "line one [11].mp3",
        "\u00df" * 123 + " [12].mp3",
    ]
    found = file(root, "Company", "IVR Prompts", "Welcome [1].mp3")
    assert (found.key, found.place, found.wanted().uri) == (PromptKey("1", "1"), (0, "prompt"), "https://m/1")
    assert found.xattrs() == {"user.rcfs.prompt_id": "1", "user.rcfs.key": "1/prompt/1"}


def test_records_that_no_request_can_name_are_left_out(root: Root, greetings: PlainGreetings) -> None:
    greetings.by_owner[5] = tuple(Greeting("", "", each) for each in ("", "..", "x" * 200, "a/b"))
    greetings.presets = tuple(StandardGreeting(each, uri="https://m") for each in ("", "1"))
    greetings.all_prompts = (Prompt(""), Prompt("1"))
    assert names(root, "101 Jane", "Greetings") == ["rule"]
    (name,) = names(root, "101 Jane", "Greetings", "rule")
    assert file(root, "101 Jane", "Greetings", "rule", name).key == GreetingKey("1", 5, "a/b")
    assert names(root, "Company", "Greetings", "Standard") == ["greeting [1].mp3"]
    assert names(root, "Company", "IVR Prompts") == ["prompt [1].mp3"]


def test_greetings_of_one_id_have_names_of_their_own(root: Root, greetings: PlainGreetings) -> None:
    kinds = [("Voicemail", False), ("voicemail", False), ("Voicemail", True), ("Voicemail", False)]
    greetings.by_owner[5] = tuple(Greeting("rule", kind, "65", preset=preset) for kind, preset in kinds)
    assert names(root, "101 Jane", "Greetings", "rule") == [
        *("Voicemail [65].mp3", "voicemail (2) [65].mp3", "Voicemail (3) [65].mp3")
    ]


def test_rules_of_similar_names_have_directories_of_their_own(root: Root, greetings: PlainGreetings) -> None:
    rules = ["Holidays", "holidays", "Holidays", "Holi/days", "Holi\\days"]
    greetings.by_owner[5] = tuple(Greeting(rule, "x", str(n)) for n, rule in enumerate(rules))
    assert names(root, "101 Jane", "Greetings") == ["Holi_days", "Holi_days (2)", "Holidays", "holidays (2)"]
    assert names(root, "101 Jane", "Greetings", "Holidays") == ["x [0].mp3", "x [2].mp3"]
    greetings.by_owner[5] = greetings.by_owner[5][::-1]
    assert names(root, "101 Jane", "Greetings", "holidays (2)") == ["x [1].mp3"]


def test_nothing_is_known_before_it_is_loaded(root: Root, greetings: PlainGreetings) -> None:
    greetings.by_owner, greetings.presets, greetings.all_prompts = {5: (OWN,), 0: ()}, None, None
    rule = at(root, "101 Jane", "Greetings", "Business Hours")
    standard, prompts = at(root, "Company", "Greetings", "Standard"), at(root, "Company", "IVR Prompts")
    greetings.by_owner = {}
    for node, collection_id in (
        (at(root, "101 Jane", "Greetings"), "greetings/5"),
        (rule, "greetings/5"),
        (at(root, "Company", "Greetings"), "greetings/company"),
        (standard, "greetings/company"),
        (prompts, "prompts/company"),
    ):
        assert isinstance(node, Directory)
        assert (node.collection_id, node.is_known) == (collection_id, False)
        with pytest.raises(RuntimeError, match=f"{collection_id} has not been loaded"):
            node.find("x")
        with pytest.raises(RuntimeError, match=f"{collection_id} has not been loaded"):
            node.page(0, 1)


def test_greetings_and_prompts_are_found_by_their_keys(root: Root, greetings: PlainGreetings) -> None:
    greetings.by_owner[0], greetings.all_prompts = (Greeting("", "", "8"),), (Prompt("9"),)
    keys: list[ContentKey] = [
        GreetingKey("1", 5, "7"),
        CompanyGreetingKey("1", "8"),
        StandardGreetingKey("1", "65"),
        PromptKey("1", "9"),
    ]
    for key in keys:
        found = root.content_file(key)
        assert isinstance(found, GreetingFile)
        assert found.key == key
    others: list[ContentKey] = [
        GreetingKey("1", 5, "65"),
        GreetingKey("1", 6, "7"),
        GreetingKey("2", 5, "7"),
        CompanyGreetingKey("1", "7"),
        StandardGreetingKey("1", "7"),
        PromptKey("1", "7"),
        AttachmentKey("1", 5, 1, 1),
        AttachmentKey("1", 6, 1, 1),
    ]
    assert [root.content_file(key) for key in others] == [None] * len(others)
    assert build_root([JANE], fallback_s=1.0).content_file(keys[0]) is None


def test_refreshes_of_the_company_can_be_started(root: Root) -> None:
    assert at(root, ".rcfs", "refresh", "Company") is not None
