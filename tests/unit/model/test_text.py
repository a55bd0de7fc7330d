"""Text from outside, made safe to show."""

import json
import unicodedata

import pytest

from rcfs.model import one_line, safe_json, safe_lines, valid

ACTS = [
    *map(chr, range(0x20)), "\x7f", *map(chr, range(0x80, 0xA0)), "\u2028", "\u2029",
    "\u061c", "\u200e", "\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)),
    "\u200b", "\u2060", "\ufeff", "\u00ad", "\U000e0001", "\U000e0067", "\ud83d", "\udc80", "\ufff9",
]  # fmt: skip
"""Characters that must not reach a terminal: controls, reordering and hidden ones, halves of pairs."""

READABLE = [
    "plain \u00e9\u00df", "\u05d3\u05d5\u05d3", "\u0645\u0631\u062d\u0628\u0627", "\u0e17\u0e35\u0e48",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\u2764\ufe0f", "\U0001f1eb\U0001f1f7",
    "\u0645\u06cc\u200c\u062e",
    "\u5c71\u7530\u3000\u592a\u90ce", "e\u0302\u0301",
]  # fmt: skip


@pytest.mark.parametrize("character", ACTS)
def test_characters_that_control_a_terminal_are_removed(character: str) -> None:
    text = f"a{character}b"
    for shown in (
        one_line(text),
        safe_lines(f"{text}\n").replace("\n", ""),
        safe_json(json.dumps(text, ensure_ascii=False)),
    ):
        assert character not in shown
        shown.encode()


@pytest.mark.parametrize("text", READABLE)
def test_ordinary_text_stays_unchanged(text: str) -> None:
    assert one_line(text) == text
    assert safe_json(text) == text


def test_shown_text_stays_on_its_line() -> None:
    assert one_line("a\x1b[31m\r\nb\u202ec\ud83d") == "a [31m  bc\ufffd"
    assert safe_lines("a\x1b\nb\r\n") == "a \nb \n"


def test_combining_marks_are_limited() -> None:
    shown = one_line("e" + "\u0301" * 100 + "x" + "\u0489" * 100)
    assert sum(unicodedata.category(each) in ("Mn", "Me") for each in shown) == 12


def test_json_keeps_its_meaning() -> None:
    text = "\x1b\x7f\x9b\u2028\u202e\U000e0067\ud83d \U0001f469\u200d\U0001f680\n"
    assert json.loads(safe_json(json.dumps({text: [text]}, ensure_ascii=False, indent=2))) == {text: [text]}


def test_only_lone_surrogates_are_replaced() -> None:
    assert valid("\ud83d\ude00 \ude00 \u00e9") == "\U0001f600 \ufffd \u00e9"
