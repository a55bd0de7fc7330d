"""The names of greetings and prompts, which are unique in a directory because they hold the id."""

from collections.abc import Iterable, Sequence

from rcfs.model import Greeting, Prompt, StandardGreeting, is_usable_id
from rcfs.tree._media import UNKNOWN_EXTENSION, extension_for, split_extension
from rcfs.tree._names import Names, clean, fit, shown_id

_MP3 = ".mp3"
"""Extension of audio whose media type is not known: rules and the dictionary do not have it."""

_LONGEST_EXTENSION = 11
"""Most characters of an extension that a sender may choose, with the dot; see `split_extension`."""


def greetings_by_rule(
    greetings: Iterable[Greeting], reserved: Sequence[str] = ()
) -> dict[str, dict[str, Greeting]]:
    """The greetings of one owner by the name of their rule's directory, and by the name of their file.

    A file is called ``<type> [<id>].mp3``. Rules of the same name share a directory.

    Args:
        greetings: In any order; those whose id cannot be requested are left out.
        reserved: Names that no rule gets.
    """
    rules: dict[str, dict[Greeting, None]] = {}
    for greeting in greetings:
        if is_usable_id(greeting.id):
            rules.setdefault(greeting.rule, {})[greeting] = None
    names = Names(reserved)
    # In the order of their names, so that a rule that moves in the list changes no name.
    return {names.unique(clean(rule) or "rule"): _named(found) for rule, found in sorted(rules.items())}


def standard_name(greeting: Greeting) -> str:
    """The name of the file that has a preset, by the record of a rule: the same as in `standard_names`."""
    return fit(*_parts(greeting.name or greeting.type, greeting.id, greeting.content_type))


def standard_names(greetings: Iterable[StandardGreeting]) -> dict[str, StandardGreeting]:
    """The presets by the name of their file, ``<name> [<id>].mp3``; without silence, which has no content."""
    by_id = {each.id: each for each in greetings if each.uri and is_usable_id(each.id)}
    return {fit(*_parts(each.name or each.type, each.id, each.content_type)): each for each in by_id.values()}


def prompt_names(prompts: Iterable[Prompt]) -> dict[str, Prompt]:
    """The prompts by the name of their file, ``<name> [<id>].mp3``, after the name of the uploaded file."""
    by_id = {prompt.id: prompt for prompt in prompts if is_usable_id(prompt.id)}
    return {_prompt_name(prompt): prompt for prompt in by_id.values()}


def _prompt_name(prompt: Prompt) -> str:
    stem, extension = split_extension(clean(prompt.file_name), prompt.content_type)
    if extension == UNKNOWN_EXTENSION or len(extension) > _LONGEST_EXTENSION:
        extension = _MP3
    return fit(clean(stem) or "prompt", f" [{shown_id(prompt.id)}]{extension}")


def _named(greetings: Iterable[Greeting]) -> dict[str, Greeting]:
    """The greetings of a rule by name; types may differ in case only, and presets may have any id."""
    names = Names()
    return {names.unique(*_parts(each.type, each.id, each.content_type)): each for each in greetings}


def _parts(stem: str, greeting_id: str, content_type: str) -> tuple[str, str]:
    """The stem and the suffix of the name of a file, as `fit` takes them."""
    known = extension_for(content_type)
    extension = _MP3 if known == UNKNOWN_EXTENSION else known
    return clean(stem) or "greeting", f" [{shown_id(greeting_id)}]{extension}"
