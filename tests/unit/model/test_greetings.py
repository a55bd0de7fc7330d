"""Greetings, prompts and the dictionary, as the API's records have them and as rcfs keeps them."""

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.model import (
    Greeting,
    GreetingKey,
    Prompt,
    PromptKey,
    StandardGreeting,
    StandardGreetingKey,
    greeting_with_content,
    greetings_from,
    greetings_from_json,
    greetings_to_json,
    prompt_from,
    standard_greeting_from,
)
from tests.fakes.hostile import hostile, received

MEDIA = "https://media.ringcentral.com"
RULE: dict[str, Any] = {
    "uri": "https://platform.ringcentral.com/x",
    "id": "business-hours-rule",
    "type": "BusinessHours",
    "name": "Business Hours",
    "enabled": True,
    "greetings": [
        {"type": "Introductory", "preset": {"uri": "https://x/1", "id": "65536", "name": "Default"}},
        {"type": "Voicemail", "custom": {"uri": "https://x/2", "id": 7001004}},
    ],
}
CUSTOM = {
    "id": "7001004",
    "type": "Voicemail",
    "contentType": "Audio/WAV; rate=8000",
    "contentUri": f"{MEDIA}/restapi/v1.0/account/1/extension/2/greeting/7001004/content",
}
PROMPT = {
    "uri": "https://platform.ringcentral.com/y",
    "id": "5000004",
    "contentType": "audio/mpeg",
    "contentUri": f"{MEDIA}/restapi/v1.0/account/1/ivr-prompts/5000004/content",
    "filename": "Welcome.mp3",
}
PRESET = {
    "uri": "https://platform.ringcentral.com/restapi/v1.0/dictionary/greeting/65536",
    "id": "65536",
    "name": "Default",
    "type": "Introductory",
    "usageType": "UserExtensionAnsweringRule",
    "category": "Message",
    "contentUri": f"{MEDIA}/mobile/media/greeting/65536",
}


def test_a_rule_has_presets_and_recorded_greetings() -> None:
    assert greetings_from(RULE) == (
        Greeting("Business Hours", "Introductory", "65536", preset=True, name="Default"),
        Greeting("Business Hours", "Voicemail", "7001004"),
    )


def test_a_rule_without_a_name_is_called_by_its_id() -> None:
    assert {greeting.rule for greeting in greetings_from({**RULE, "name": ""})} == {"business-hours-rule"}


def test_the_record_of_a_greeting_has_its_media_type() -> None:
    _preset, custom = greetings_from(RULE)
    found = greeting_with_content(custom, CUSTOM)
    assert found == attrs.evolve(custom, uri=CUSTOM["contentUri"], content_type="audio/wav")
    assert greeting_with_content(found, None) == found


def test_prompts_and_presets() -> None:
    assert prompt_from(PROMPT) == Prompt("5000004", "Welcome.mp3", PROMPT["contentUri"], "audio/mpeg")
    assert prompt_from({"id": 5}) == Prompt("5")
    assert standard_greeting_from(PRESET) == StandardGreeting(
        "65536", "Default", "Introductory", PRESET["contentUri"]
    )
    assert standard_greeting_from({"id": "1", "category": "None"}) == StandardGreeting("1")


@pytest.mark.parametrize("odd", [None, True, "", "..", -1, 1.5, "x" * 129, {}, ["7"]])
def test_a_record_without_a_usable_id_is_left_out_alone(odd: object) -> None:
    custom, preset = {"custom": {"id": odd}}, {"preset": {"id": odd}}
    rule = {**RULE, "greetings": [7, custom, None, *RULE["greetings"], preset, [], {}]}
    assert greetings_from(rule) == greetings_from(RULE)
    assert prompt_from({**PROMPT, "id": odd}) is None
    assert standard_greeting_from({**PRESET, "id": odd}) is None


@pytest.mark.parametrize("odd", [None, 7, "x", [], [RULE]])
def test_what_is_no_object_has_no_greetings(odd: object) -> None:
    assert (greetings_from(odd), prompt_from(odd), standard_greeting_from(odd)) == ((), None, None)


@given(rule=hostile(RULE), custom=hostile(CUSTOM), prompt=hostile(PROMPT), preset=hostile(PRESET))
def test_odd_records_can_be_kept_and_requested(
    rule: dict[str, Any], custom: dict[str, Any], prompt: dict[str, Any], preset: dict[str, Any]
) -> None:
    greetings = tuple(
        greeting_with_content(each, received(custom)) for each in greetings_from(received(rule))
    )
    assert greetings_from_json(Greeting, greetings_to_json(greetings)) == greetings
    assert all(GreetingKey("1", 2, each.id).resource.isascii() for each in greetings)
    for value in filter(None, [prompt_from(received(prompt))]):
        assert greetings_from_json(Prompt, greetings_to_json([value])) == (value,)
        assert PromptKey("1", value.id).resource.isascii()
    for found in filter(None, [standard_greeting_from(received(preset))]):
        assert greetings_from_json(StandardGreeting, greetings_to_json([found])) == (found,)
        assert StandardGreetingKey("1", found.id).resource.isascii()


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "7", "{}", "null", "[7]", "[null]", "[[]]", "[{}]", '["x"]', "[" * 100_000),
        *('[{"id":7}]', '[{"id":""}]', '[{"id":".."}]', '[{"id":null}]', '[{"id":"1","uri":7}]'),
        '[{"id":"1"},{"uri":"x"}]',
    ],
)
def test_a_text_that_holds_no_prompts_is_refused_whole(text: str) -> None:
    assert greetings_from_json(Prompt, text) is None


@given(st.text(max_size=30) | st.text('[]{}":,id1x', max_size=30))
def test_no_text_is_an_error(text: str) -> None:
    assert all(value.id for value in greetings_from_json(Greeting, text) or ())
    assert all(value.id for value in greetings_from_json(Prompt, text) or ())
    assert all(value.id for value in greetings_from_json(StandardGreeting, text) or ())


def test_a_text_of_another_version_is_read() -> None:
    text = json.dumps([{"id": "1", "fileName": "x", "file_name": "a\ud800b"}])
    assert greetings_from_json(Prompt, text) == (Prompt("1", "a\ufffdb"),)
    assert greetings_from_json(Prompt, "[]") == ()
