"""The requests for exports by the description, and answers that may hold anything."""

import json
from typing import Any

import pytest

from rcfs.errors import BadRequestError, NotFoundError, ServerError
from rcfs.model import DatasetKey, ExportKind, ExportQuery, ExportState, ReportKey
from rcfs.platform import (
    Body,
    create_export,
    export_answer,
    is_for,
    is_wrong_request,
    list_report_archives,
    new_export,
    read_export,
    report_archives,
    team_archives,
    team_exports,
)

MESSAGES = ExportQuery.of_days(ExportKind.MESSAGES, "2026-01-01", "2026-03-31", types=["Fax"])
TEAM = ExportQuery.of_days(
    ExportKind.TEAM, "2026-01-01", "2026-03-31", contacts=["101", "a@example.com"], chats=["7"]
)
END = "2026-03-31T23:59:59.999Z"


def ours(url: str) -> bool:
    return url.startswith("https://media.ringcentral.com/")


def body_of(query: ExportQuery) -> Any:
    body = create_export(query, query.to_s - 0.001).body
    assert isinstance(body, Body)
    return json.loads(body.content)


def test_the_bodies_are_those_of_the_description() -> None:
    assert body_of(MESSAGES) == {
        "dateFrom": "2026-01-01T00:00:00.000Z",
        "dateTo": END,
        "messageTypes": ["Fax"],
    }
    assert body_of(TEAM) == {
        "timeFrom": "2026-01-01T00:00:00.000Z",
        "timeTo": END,
        "contacts": [{"id": "101"}, {"email": "a@example.com"}],
        "chatIds": ["7"],
    }
    assert body_of(ExportQuery.of_days(ExportKind.TEAM, "2026-01-01", "2026-03-31")).keys() == {
        "timeFrom",
        "timeTo",
    }


def test_no_request_for_an_export_is_repeated() -> None:
    assert not create_export(MESSAGES, 0).repeatable
    assert not create_export(TEAM, 0).repeatable


def test_an_id_stays_within_its_path() -> None:
    for url in (
        read_export(ExportKind.MESSAGES, "../a?b").url,
        read_export(ExportKind.TEAM, "../a?b").url,
        list_report_archives("../a?b").url,
    ):
        assert "..%2Fa%3Fb" in url


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Accepted", ExportState.ACCEPTED),
        ("inprogress", ExportState.IN_PROGRESS),
        ("AttemptFailed", ExportState.ATTEMPT_FAILED),
        ("Canceled", ExportState.CANCELLED),
        ("Expired", ExportState.EXPIRED),
        ("Waiting", None),
        ("Asked", None),
        ("Queued", None),
        (None, None),
        (["Completed"], None),
    ],
)
def test_states(word: object, state: ExportState | None) -> None:
    assert export_answer({"id": "1", "status": word}).state is state


@pytest.mark.parametrize(
    "record", [{}, {"id": None}, {"id": ""}, {"id": ".."}, {"id": "x" * 129}, {"id": {}}]
)
def test_an_answer_without_a_usable_id_is_none(record: dict[str, Any]) -> None:
    with pytest.raises(ServerError, match="no usable id"):
        new_export(record)


def test_archives_of_any_kind_of_list() -> None:
    base = "https://media.ringcentral.com/report/1/archive"
    records: list[Any] = [
        {"uri": f"{base}/0", "size": 10},
        {"uri": f"{base}/2?x=/9", "size": "11"},
        {"uri": "https://evil.example/archive/3", "size": 12},
        {"uri": f"{base}/0", "size": 99},
        {"size": -1},
        {"uri": 5, "size": 1.5},
        None,
        "text",
        {"uri": f"{base}/99999999999999999999", "size": 2**70},
    ]
    found = report_archives({"records": records}, "1", "t", ours)
    assert [(each.number, each.size_bytes, each.uri) for each in found] == [
        (0, 10, f"{base}/0"),
        (2, None, f"{base}/2?x=/9"),
        (3, 12, ""),
        (4, None, ""),
        (5, None, ""),
        (6, None, f"{base}/99999999999999999999"),
    ]
    assert found[2].key == ReportKey("1", "t", 3), "its bytes are asked of the platform instead"
    with pytest.raises(ServerError):
        report_archives({"records": {}}, "1", "t", ours)


def test_thousands_of_archives_are_bounded() -> None:
    records = [{"uri": f"https://media.ringcentral.com/{number}", "size": 1} for number in range(12_000)]
    assert len(report_archives({"records": records}, "1", "t", ours)) == 10_000
    datasets = [{"id": str(number), "size": 1} for number in range(12_000)]
    assert len(team_archives(export_answer({"datasets": datasets}), "1", "t", ours)) == 10_000


def test_datasets() -> None:
    datasets = [
        {"id": "9", "uri": "https://media.ringcentral.com/9", "size": 5},
        {"id": "9", "size": 6},
        {"id": "../x", "uri": "http://media.ringcentral.com/9", "size": None},
        {"id": ""},
        7,
    ]
    found = team_archives(export_answer({"datasets": datasets}), "1", "t", ours)
    assert [(each.number, each.key, each.size_bytes, each.uri) for each in found] == [
        (0, DatasetKey("1", "t", "9"), 5, "https://media.ringcentral.com/9"),
        (1, DatasetKey("1", "t", "../x"), None, ""),
    ]
    assert team_archives(export_answer({"datasets": "none"}), "1", "t", ours) == ()


def listed(**changes: Any) -> dict[str, Any]:
    specific = {
        "timeFrom": "2026-01-01T00:00:00Z",
        "timeTo": "2026-03-31T23:59:59Z",
        "contacts": [{"email": "a@example.com"}, {"id": "101"}],
        "chatIds": ["7"],
    }
    return {"id": "5", "specific": specific | changes}


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"timeFrom": "2026-01-02T00:00:00Z"}, False),
        ({"timeTo": None}, False),
        ({"contacts": [{"id": "101"}]}, False),
        ({"contacts": "all"}, False),
        ({"chatIds": None}, False),
        ({"chatIds": [7]}, True),
    ],
)
def test_an_export_in_the_list_is_the_one_that_was_asked_for(changes: dict[str, Any], same: bool) -> None:
    (task,) = team_exports({"tasks": [listed(**changes), 3]})
    assert is_for(task, TEAM, TEAM.to_s - 0.001) is same


def test_a_list_without_tasks_is_an_error() -> None:
    with pytest.raises(ServerError):
        team_exports({"records": []})


def test_only_wrong_parameters_are_final() -> None:
    assert is_wrong_request(BadRequestError("x", code="CMN-101"))
    assert not is_wrong_request(BadRequestError("x", code="CMN-111"))
    assert is_wrong_request(NotFoundError("x"))
