"""When the platform deletes messages, and whether that is certain."""

from typing import Any

import pytest

from rcfs.model import DAY_S, Message, Retention

NOW_S = 1_800_000_000.0


def message(kind: str, days_old: float, **fields: Any) -> Message:
    created_s = NOW_S - days_old * DAY_S
    return Message(1, kind, created_s=created_s, modified_s=created_s + DAY_S, **fields)


def goes(message: Message, configured_days: int | None = 60) -> tuple[float, bool] | None:
    """(days until it is deleted, whether that is certain)."""
    end = Retention(configured_days).end_of(message, NOW_S)
    return None if end is None else ((end.at_s - NOW_S) / DAY_S, end.certain)


@pytest.mark.parametrize("kind", ["Fax", "VoiceMail"])
def test_the_setting_is_certain(kind: str) -> None:
    assert goes(message(kind, 50, direction="Inbound")) == (10, True)
    assert goes(message(kind, 50, direction="Inbound"), None) is None


@pytest.mark.parametrize("kind", ["SMS", "Pager", ""])
def test_texts_are_kept(kind: str) -> None:
    assert goes(message(kind, 1000)) is None


def test_documented_rules_are_assumed() -> None:
    assert goes(message("Fax", 20, direction="Outbound")) == (10, False)
    assert goes(message("Fax", 20, direction="Outbound"), 25) == (5, True), "whatever is first"
    assert goes(message("SMS", 3, availability="Deleted")) == (3, False), "counted from the deletion"
    assert goes(message("VoiceMail", 3, availability="Deleted"), None) == (3, False)


def test_a_rule_that_was_not_followed_is_ignored() -> None:
    assert goes(message("VoiceMail", 60.5)) == (-0.5, True), "it may have gone since the last sync"
    assert goes(message("VoiceMail", 62)) is None
    assert goes(message("Fax", 32, direction="Outbound")) == (28, True)


def test_purged_messages_and_those_without_a_time_have_no_end() -> None:
    assert goes(message("VoiceMail", 59, availability="Purged")) is None
    assert Retention(60).end_of(Message(1, "VoiceMail"), NOW_S) is None
