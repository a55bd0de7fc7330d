"""The course of changes, without a clock and without requests."""

import attrs
import pytest

from rcfs.model import Action, ChangeState, MessageChange, Standing, message_from
from rcfs.outbox import _course as course

ALIVE, DELETED, PURGED = (Standing("Read", each, 100.0) for each in ("Alive", "Deleted", "Purged"))


def change(number: int = 1, was: Standing = ALIVE, **fields: object) -> MessageChange:
    values = {"availability": "Deleted", "state": ChangeState.WAITING} | fields
    return MessageChange(owner_id=101, message_id=number, created_s=0, changed_s=0, was=was, **values)  # type: ignore[arg-type]


def most(_action: Action) -> int:
    return 50


def test_an_older_record_is_not_believed_and_a_purge_always_is() -> None:
    waiting = change()
    assert course.observed(waiting, attrs.evolve(DELETED, modified_s=99.0)) is waiting
    assert course.observed(waiting, attrs.evolve(DELETED, modified_s=101.0)).was.availability == "Deleted"
    assert course.observed(waiting, attrs.evolve(PURGED, modified_s=1.0)).was.availability == "Purged"


def test_what_somebody_has_restored_is_not_to_be_purged() -> None:
    waiting = change(was=DELETED, availability="Purged")
    assert course.observed(waiting, attrs.evolve(ALIVE, modified_s=101.0)).next_action is None
    trashed_first = change(availability="Purged")
    assert course.observed(trashed_first, attrs.evolve(ALIVE, modified_s=101.0)).next_action is Action.TRASH


def test_a_deletion_is_later_than_every_record_before_it() -> None:
    asked = course.asked(change(), Action.TRASH, 0)
    for at_s in (0.0, 1000.0):
        after = course.settled(asked, course.made(asked, at_s), 0)
        assert after.state is ChangeState.DONE
        assert ALIVE.is_older(after.was)
        assert not Standing("Read", "Alive", 1000.0).is_older(after.was)


def test_a_wish_during_a_request_waits_for_its_answer() -> None:
    asked = course.asked(change(), Action.TRASH, 0)
    message = message_from({"id": 1, "availability": "Alive", "readStatus": "Read"})
    assert message is not None
    after = course.wanted(asked, message, course.RESTORE, owner_id=101, now_s=5)
    assert after is not None
    assert after.state is ChangeState.ASKED
    assert course.settled(after, course.made(after, 0), 0).next_action is Action.RESTORE
    assert course.settled(after, ALIVE, 0).state is ChangeState.DONE


def test_a_refusal_ends_one_wish_and_not_the_other() -> None:
    both = course.asked(change(read_status="Unread"), Action.MARK_UNREAD, 0)
    after = course.refused(both, 0)
    assert (after.state, after.next_action) == (ChangeState.WAITING, Action.TRASH)
    assert course.refused(course.asked(after, Action.TRASH, 0), 0).state is ChangeState.WITHDRAWN


@pytest.mark.parametrize(("limit", "held"), [(6, 0), (5, 3)])
def test_deletions_of_the_last_hour_count_for_the_limit(limit: int, held: int) -> None:
    changes = [
        *(change(number) for number in (1, 2, 3)),
        change(4, availability="", read_status="Unread"),
        *(change(n, state=ChangeState.DONE, was=DELETED, asked=Action.TRASH) for n in (5, 6, 7)),
        change(8, state=ChangeState.DONE, was=DELETED, asked=Action.TRASH, is_confirmed=True),
    ]
    after = course.tidied(changes, limit, 3000.0)
    assert sum(each.state is ChangeState.HELD for each in after.values()) == held
    assert course.tidied(changes, limit, 4000.0) == {}


def test_while_some_are_held_all_further_ones_are() -> None:
    changes = [change(1, state=ChangeState.HELD), change(2)]
    assert [each.message_id for each in course.tidied(changes, 1, 10.0**6)] == [2]


def test_requests_that_can_be_undone_go_first() -> None:
    changes = [
        change(1, was=DELETED, availability="Purged"),
        change(2),
        change(3, read_status="Unread"),
        change(4, read_status="Unread", availability=""),
        change(5, conversation_id="9"),
    ]
    order = []
    while (batch := course.next_batch(changes, most)) is not None:
        order.append((batch.action, [each.message_id for each in batch.changes]))
        changes = [each for each in changes if each not in batch.changes]
    assert order == [
        (Action.MARK_READ, [3, 4]),
        (Action.TRASH, [2]),
        (Action.DELETE_CONVERSATION, [5]),
        (Action.PURGE, [1]),
    ]


def test_a_message_that_was_refused_among_others_gets_its_own_request() -> None:
    changes = [change(number, is_alone=number == 2) for number in (1, 2, 3)]
    batch = course.next_batch(changes, most)
    assert batch is not None
    assert [each.message_id for each in batch.changes] == [1, 3]
    alone = course.next_batch(changes[1:2], most)
    assert alone is not None
    assert [each.message_id for each in alone.changes] == [2]


def test_what_is_barred_waits() -> None:
    assert course.next_batch([change()], most, {101}) is None
