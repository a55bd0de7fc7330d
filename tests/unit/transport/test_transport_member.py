"""A login of the pool: the refusals that rcfs remembers, and the scopes of its app."""

from typing import Any, cast

import attrs

from rcfs.transport import Lane, Member
from rcfs.transport import _member as member_module
from rcfs.transport._member import CLOSED_S


@attrs.define
class Stub:
    """A lane whose clock and scopes the test sets."""

    now_s: float = 0.0
    scopes: tuple[str, ...] = ()

    @property
    def gate(self) -> "Stub":
        return self

    @property
    def session(self) -> "Stub":
        return self


def made() -> tuple[Member, Stub]:
    stub = Stub()
    return Member("second", cast("Lane", stub), "app"), stub


def test_a_refusal_of_a_mailbox_is_remembered_for_a_day() -> None:
    member, stub = made()
    member.note_closed(("", 101))
    assert not member.may_read(("", 101), "ReadMessages")
    assert member.may_read(("", 102), "ReadMessages")
    assert member.closed == 1
    stub.now_s = CLOSED_S
    assert member.may_read(("", 101), "ReadMessages")
    assert member.closed == 0


def test_a_scope_counts_once_the_login_has_told_its_scopes() -> None:
    member, stub = made()
    assert member.may_read("x", "ReadCallRecording")
    stub.scopes = ("ReadMessages",)
    assert not member.may_read("x", "ReadCallRecording")
    assert member.may_read("x", "ReadMessages")


def test_the_oldest_refusals_are_forgotten_if_there_are_too_many(monkeypatch: Any) -> None:
    monkeypatch.setattr(member_module, "_MOST_CLOSED", 3)
    member, _stub = made()
    for number in (1, 2, 3, 1, 4):
        member.note_closed(number)
    assert [number for number in range(5) if not member.may_read(number, "")] == [1, 3, 4]
