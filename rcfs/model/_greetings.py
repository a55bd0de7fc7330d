"""Greetings, prompts and the platform's dictionary of greetings: values and their JSON.

Every field of a record may be absent, null or of a wrong type; the value then has its default. Source:
schemas CallHandlingRuleInfo, CompanyAnsweringRuleInfo, GreetingInfo, CustomUserGreetingInfo and
DictionaryGreetingInfo of the official description; PromptInfo of the official SDKs.
"""

import json
from collections.abc import Iterable, Sequence
from typing import TypeVar

import attrs

from rcfs.model._fields import id_field, media_type_field, object_field, objects, text_field, uri_field
from rcfs.model._keys import is_usable_id
from rcfs.model._text import valid


@attrs.frozen
class Greeting:
    """A greeting that an answering rule plays."""

    rule: str
    """Name of the rule; its id if it has no name."""
    type: str
    """The occasion for which it is played, such as Voicemail; empty when absent."""
    id: str
    """Id of the greeting: of a preset in the platform's dictionary, otherwise unique within the account."""
    uri: str = ""
    """Absolute URI of the content; empty when absent, as rules do not have it."""
    content_type: str = ""
    """Media type without parameters, in lower case; empty when absent, as rules do not have it."""
    preset: bool = False
    """Whether it is a preset of the platform's dictionary, and not one that somebody has recorded."""
    name: str = ""
    """Name of a preset; empty for a recorded one."""


@attrs.frozen
class Prompt:
    """A recorded prompt of the company's IVR menus."""

    id: str
    """Unique within the account."""
    file_name: str = ""
    """Name that its author gave it, untrusted; empty when absent."""
    uri: str = ""
    """Absolute URI of the content (``contentUri``); empty when absent."""
    content_type: str = ""
    """Media type without parameters, in lower case; empty when absent."""


@attrs.frozen
class StandardGreeting:
    """A preset greeting of the platform's dictionary."""

    id: str
    """Unique within the dictionary."""
    name: str = ""
    """Its name, such as Default; presets of different types share names. Empty when absent."""
    type: str = ""
    """The occasion for which it is played, such as Voicemail; empty when absent."""
    uri: str = ""
    """Absolute URI of the content (``contentUri``); empty for silence, which has no content."""
    content_type: str = ""
    """Media type without parameters, in lower case; empty when absent, as the description has none."""


T = TypeVar("T", Greeting, Prompt, StandardGreeting)


def greetings_from(rule: object) -> tuple[Greeting, ...]:
    """The greetings of one answering rule's record, in its order; without those that have no usable id."""
    if not isinstance(rule, dict):
        return ()
    name = text_field(rule, "name") or text_field(rule, "id")
    found = []
    for record in objects(rule.get("greetings")):
        kind = text_field(record, "type")
        custom, preset = object_field(record, "custom"), object_field(record, "preset")
        if custom_id := id_field(custom):
            found.append(Greeting(name, kind, custom_id))
        elif preset_id := id_field(preset):
            found.append(Greeting(name, kind, preset_id, preset=True, name=text_field(preset, "name")))
    return tuple(found)


def greeting_with_content(greeting: Greeting, record: object) -> Greeting:
    """`greeting` with the URI and the media type of its content, from its own record."""
    if not isinstance(record, dict):
        return greeting
    return attrs.evolve(greeting, uri=uri_field(record, "contentUri"), content_type=media_type_field(record))


def prompt_from(record: object) -> Prompt | None:
    """The prompt of one record; None if `record` is no object, or has no usable id."""
    if not isinstance(record, dict) or not (prompt_id := id_field(record)):
        return None
    return Prompt(
        id=prompt_id,
        file_name=text_field(record, "filename"),
        uri=uri_field(record, "contentUri"),
        content_type=media_type_field(record),
    )


def standard_greeting_from(record: object) -> StandardGreeting | None:
    """The preset of one record; None if `record` is no object, or has no usable id."""
    if not isinstance(record, dict) or not (greeting_id := id_field(record)):
        return None
    return StandardGreeting(
        id=greeting_id,
        name=text_field(record, "name"),
        type=text_field(record, "type"),
        uri=uri_field(record, "contentUri"),
        content_type=media_type_field(record),
    )


def greetings_to_json(values: Iterable[Greeting | Prompt | StandardGreeting]) -> str:
    """`values` as JSON text, an object for each."""
    return json.dumps([attrs.asdict(value) for value in values], separators=(",", ":"))


def greetings_from_json(kind: type[T], text: str) -> tuple[T, ...] | None:
    """The values of class `kind` whose `greetings_to_json` is `text`; None if it is not such a text.

    Fields that a later version of rcfs may have added are ignored; absent ones have their defaults.
    """
    try:
        records = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(records, list):
        return None
    values: Sequence[T | None] = [_value(kind, record) for record in records]
    found = tuple(value for value in values if value is not None)
    return found if len(found) == len(records) else None


def _value(kind: type[T], record: object) -> T | None:
    if not isinstance(record, dict):
        return None
    fields = attrs.fields_dict(kind)
    given = {name: value for name, value in record.items() if name in fields}
    if any(type(value) is not fields[name].type for name, value in given.items()):
        return None
    texts = {name: valid(value) for name, value in given.items() if isinstance(value, str)}
    try:
        value = kind(**{**given, **texts})
    except TypeError:  # A field without a default is absent.
        return None
    return value if is_usable_id(value.id) else None
