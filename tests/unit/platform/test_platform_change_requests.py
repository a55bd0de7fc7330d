"""The requests that change messages: never without ids, never repeatable."""

import json
from collections.abc import Callable, Sequence

import pytest

from rcfs.errors import ForbiddenError
from rcfs.platform import (
    Body,
    Request,
    Result,
    delete_conversations,
    delete_messages,
    mark_messages,
    refused_alone,
    restore_messages,
    results_by_id,
    update_store_configuration,
)

STORE = "/restapi/v1.0/account/~/extension/101/message-store"


def body_of(request: Request) -> object:
    assert isinstance(request.body, Body)
    return json.loads(request.body.content)


def test_marks_have_their_ids_in_the_body() -> None:
    request = mark_messages(101, {1: "Read", 2: "Unread"})
    assert (request.method, request.url) == ("PUT", f"{STORE}/*")
    assert body_of(request) == [
        {"resourceId": "1", "body": {"readStatus": "Read"}},
        {"resourceId": "2", "body": {"readStatus": "Unread"}},
    ]
    single = mark_messages(101, {1: "Read"})
    assert (single.url, body_of(single)) == (f"{STORE}/1", {"readStatus": "Read"})


def test_restored_messages_become_alive() -> None:
    request = restore_messages(101, [1, 2])
    assert (request.method, request.url) == ("PATCH", f"{STORE}/*")
    assert body_of(request) == [{"resourceId": each, "body": {"availability": "Alive"}} for each in "12"]


def test_deletions_have_their_ids_in_the_path() -> None:
    request = delete_messages(101, [1, 2])
    assert (request.method, request.url, request.params) == ("DELETE", f"{STORE}/1,2", ())
    assert delete_messages(101, [1], purge=True).params == (("purge", "true"),)


def test_more_than_fifty_conversations_are_in_the_body() -> None:
    request = delete_conversations(101, ["1", "2"], until_s=0)
    assert (request.url, request.body) == (STORE, None)
    assert request.params == (("conversationId", "1,2"), ("dateTo", "1970-01-01T00:00:00.000Z"))
    request = delete_conversations(101, [str(each) for each in range(100)], until_s=0)
    assert request.params[0] == ("conversationId", "*")
    assert body_of(request) == [str(each) for each in range(100)]


def test_no_change_is_repeatable() -> None:
    for request in (
        mark_messages(101, {1: "Read"}),
        restore_messages(101, [1]),
        delete_messages(101, [1]),
        delete_conversations(101, ["1"], until_s=0),
        update_store_configuration(7),
    ):
        assert not request.repeatable


def test_too_few_or_too_many_ids_are_errors() -> None:
    made: list[tuple[int, Callable[[Sequence[int]], Request]]] = [
        (1000, lambda ids: mark_messages(101, dict.fromkeys(ids, "Read"))),
        (50, lambda ids: restore_messages(101, ids)),
        (50, lambda ids: delete_messages(101, ids)),
        (100, lambda ids: delete_conversations(101, [str(each) for each in ids], until_s=0)),
    ]
    for count, make in made:
        make(range(count))
        for wrong in (0, count + 1):
            with pytest.raises(ValueError, match="one without ids would be for all messages"):
                make(range(wrong))


@pytest.mark.parametrize("conversation_id", ["", "*", "1,2", "x"])
def test_a_conversation_id_is_a_number(conversation_id: str) -> None:
    with pytest.raises(ValueError, match="decimal"):
        delete_conversations(101, [conversation_id], until_s=0)


@pytest.mark.parametrize("days", [6, 91])
def test_a_retention_out_of_bounds_is_an_error(days: int) -> None:
    with pytest.raises(ValueError, match="7 to 90"):
        update_store_configuration(days)


def test_each_message_has_its_own_result() -> None:
    assert results_by_id(204, b"", "", [1, 2], "op") == {1: Result(204), 2: Result(204)}
    document = [{"resourceId": "1", "status": 403, "body": {"errorCode": "CMN-408"}}, {"resourceId": "2"}]
    found = results_by_id(207, json.dumps(document).encode(), "application/json", [1, 2], "op")
    assert list(found) == [1]
    error = refused_alone("op", found[1].status, found[1].body)
    assert isinstance(error, ForbiddenError)
    assert error.code == "CMN-408"
