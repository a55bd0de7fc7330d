"""The text of message.json for records as the platform sends them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.tree._message import pretty_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
"""JSON values of a few leaves: larger ones find no more, and took minutes on a busy machine."""


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_a_record_is_indented_and_otherwise_as_it_was(record: dict[str, Any]) -> None:
    raw = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    assert pretty_json(raw).decode() == json.dumps(record, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("number", ["1.10", "1e400", "123456789012345678901234567890", "-0.0"])
def test_numbers_keep_all_their_digits(number: str) -> None:
    assert pretty_json(f'{{"n":{number}}}').decode() == f'{{\n  "n": {number}\n}}\n'


@pytest.mark.parametrize("text", [r"\ud800", r"\udc00 and more", r"\ud83d\ud83d"])
def test_a_lone_surrogate_is_shown_as_its_escape(text: str) -> None:
    assert pretty_json(f'{{"subject":"Zoë {text}"}}').decode() == f'{{\n  "subject": "Zoë {text}"\n}}\n'
