"""Changes of messages as values."""

import attrs
import pytest

from rcfs.model import Action, ChangeState, MessageChange, Standing

WAITING = MessageChange(
    owner_id=101,
    message_id=7,
    state=ChangeState.WAITING,
    created_s=1.5,
    changed_s=2.5,
    was=Standing("Unread", "Alive", 3.5),
)


def test_everything_survives_its_text() -> None:
    whole = attrs.evolve(
        WAITING,
        state=ChangeState.ASKED,
        was=Standing("", "Deleted", None),
        read_status="Read",
        availability="Purged",
        asked=Action.PURGE,
        conversation_id="9",
        is_confirmed=True,
        is_alone=True,
        record="é" * 5000,
    )
    for change in (WAITING, whole):
        assert MessageChange.parse(change.body, change.state.value, 1.5, 2.5) == change


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"owner": 1, "message": 2, "asked": "dance"}', "null"])
def test_words_of_another_version_are_left_out(body: str) -> None:
    assert MessageChange.parse(body, "waiting", 0, 0) is None
    assert MessageChange.parse(WAITING.body, "paused", 0, 0) is None


@pytest.mark.parametrize(
    ("was", "read_status", "availability", "action"),
    [
        (("Unread", "Alive"), "Read", "", Action.MARK_READ),
        (("Read", "Alive"), "Unread", "Deleted", Action.MARK_UNREAD),
        (("Read", "Alive"), "Read", "", None),
        (("Read", "Alive"), "Read", "Deleted", Action.TRASH),
        (("Read", "Alive"), "", "Purged", Action.TRASH),
        (("Read", "Deleted"), "", "Purged", Action.PURGE),
        (("Read", "Deleted"), "", "Alive", Action.RESTORE),
        (("Read", "Deleted"), "", "Deleted", None),
        (("Read", "Purged"), "Unread", "Alive", None),
    ],
)
def test_the_next_action_brings_it_nearer(
    was: tuple[str, str], read_status: str, availability: str, action: Action | None
) -> None:
    change = attrs.evolve(WAITING, was=Standing(*was), read_status=read_status, availability=availability)
    assert change.next_action is action
