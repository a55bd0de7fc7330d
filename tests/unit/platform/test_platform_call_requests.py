"""The requests about calls, greetings and prompts: as the official description has them."""

import re

import jsonschema
import pytest

from rcfs.errors import ForbiddenError, PlatformError, ServerError
from rcfs.model import (
    CompanyGreetingKey,
    ContentKey,
    GreetingKey,
    PromptKey,
    RecordingKey,
    StandardGreetingKey,
)
from rcfs.platform import (
    MOST_SYNCED_CALLS,
    Request,
    call_sync_answer,
    is_call_token_invalid,
    is_missing_scope,
    is_new_call_handling,
    is_no_feature,
    list_answering_rules,
    list_calls,
    list_prompts,
    list_standard_greetings,
    read_company_rule,
    read_content,
    read_greeting,
    refusal,
    sync_calls,
)
from tests.fakes.description import needs_description, operation, resolved

NOW_S = 1793726825.125
REQUESTS = [
    list_calls(None, NOW_S - 86_400, NOW_S),
    list_calls(7, NOW_S - 86_400),
    *(sync_calls(owner, token="t") for owner in (None, 7)),
    *(sync_calls(owner, since_s=NOW_S) for owner in (None, 7)),
    sync_calls(None),
    *(list_answering_rules(owner) for owner in (None, 7)),
    read_company_rule("a/b"),
    read_greeting(7, "8"),
    list_standard_greetings(),
]
CONTENTS: list[ContentKey] = [RecordingKey("1", "2"), GreetingKey("1", 7, "8"), CompanyGreetingKey("1", "8")]
UNDESCRIBED = [
    list_prompts(),
    read_content(PromptKey("1", "5"), "", None),
    read_content(StandardGreetingKey("1", "5"), "", None),
]


@needs_description
@pytest.mark.parametrize(
    "request_", [*REQUESTS, *(read_content(key, "", None) for key in CONTENTS)], ids=lambda one: one.operation
)
def test_operations_paths_groups_and_parameters_are_the_described_ones(request_: Request) -> None:
    method, template, described = operation(request_.operation)
    pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
    assert re.fullmatch(pattern, request_.url), template
    assert (request_.method, request_.group) == (method, described["x-throttling-group"].lower())
    known = {each["name"]: each["schema"] for each in map(resolved, described["parameters"])}
    for name, value in request_.params:
        schema = resolved(known[name])
        typed = int(value) if value.isdecimal() else value == "true" if value in ("true", "false") else value
        plain = {key: each for key, each in schema.items() if key != "$ref"}
        jsonschema.Draft202012Validator(plain, format_checker=jsonschema.FormatChecker()).validate(typed)
    needed = {each["name"] for each in map(resolved, described["parameters"]) if each.get("required")}
    assert {name for name in needed if f"{{{name}}}" not in template} <= {name for name, _ in request_.params}


@needs_description
@pytest.mark.parametrize("request_", UNDESCRIBED, ids=lambda one: one.operation)
def test_operations_that_are_described_elsewhere_have_names_of_their_own(request_: Request) -> None:
    with pytest.raises(LookupError):
        operation(request_.operation)


def test_a_period_has_explicit_ends_and_the_view_has_legs() -> None:
    asked = list_calls(None, NOW_S - 86_400.125, NOW_S)
    assert (asked.url, asked.group) == ("/restapi/v1.0/account/~/call-log", "heavy")
    assert dict(asked.params) == {
        "view": "Detailed",
        "dateFrom": "2026-11-02T17:27:05.000Z",
        "dateTo": "2026-11-03T17:27:05.125Z",
        "perPage": "1000",
        "page": "1",
    }
    assert "dateTo" not in dict(list_calls(7, NOW_S).params)


def test_a_sync_asks_for_changes_or_for_a_token() -> None:
    assert sync_calls(None, token="t").url == "/restapi/v1.0/account/~/call-log-sync"
    assert dict(sync_calls(None, token="t", since_s=NOW_S).params) == {
        "syncType": "ISync",
        "syncToken": "t",
        "showDeleted": "true",
        "view": "Detailed",
    }
    assert sync_calls(7).url == "/restapi/v1.0/account/~/extension/7/call-log-sync"
    assert dict(sync_calls(7, since_s=NOW_S).params) == {
        "syncType": "FSync",
        "recordCount": str(MOST_SYNCED_CALLS),
        "dateFrom": "2026-11-03T17:27:05.125Z",
        "view": "Detailed",
    }


@pytest.mark.parametrize("odd", ["", ".", "..", "x" * 129])
def test_an_id_of_the_server_leads_to_no_other_path(odd: str) -> None:
    with pytest.raises(ValueError, match="no path"):
        read_company_rule(odd)
    with pytest.raises(ValueError, match="no path"):
        read_greeting(7, odd)
    assert read_company_rule("../x?y#z").url.endswith("/answering-rule/..%2Fx%3Fy%23z")


def test_the_answer_to_a_sync() -> None:
    info = {"syncType": "FSync", "syncToken": "next", "syncTime": "2026-11-03T17:27:05.125Z"}
    answer = call_sync_answer({"records": [{"id": "1"}, 7], "syncInfo": info})
    assert (answer.records, answer.token, answer.synced_s) == ([{"id": "1"}], "next", NOW_S)
    assert answer.is_complete


@pytest.mark.parametrize(
    ("kind", "count", "complete"),
    [("FSync", 249, True), ("FSync", 250, False), ("ISync", 250, True), (7, 250, False)],
)
def test_a_full_answer_to_a_full_sync_may_not_be_all(kind: object, count: int, complete: bool) -> None:
    # Entries that are no records count, since the server counts them.
    answer = call_sync_answer({"records": [None] * count, "syncInfo": {"syncType": kind}})
    assert (answer.records, answer.is_complete) == ([], complete)


@pytest.mark.parametrize("info", [None, 7, [], {}, {"syncToken": 7, "syncTime": []}])
def test_an_odd_answer_has_no_token(info: object) -> None:
    answer = call_sync_answer({"records": [], "syncInfo": info})
    assert (answer.token, answer.synced_s) == ("", None)
    with pytest.raises(ServerError):
        call_sync_answer({"syncInfo": info})


def refused(status: int, code: str) -> PlatformError:
    return refusal(status, b'{"errorCode":"%s"}' % code.encode(), operation="x")


def test_refusals() -> None:
    tests = (is_call_token_invalid, is_no_feature, is_missing_scope, is_new_call_handling)

    def meant(status: int, code: str) -> list[bool]:
        return [test(refused(status, code)) for test in tests]

    for number in range(101, 106):
        assert meant(400, f"CLG-{number}") == [True, False, False, False]
    assert meant(400, "CMN-101") == [True, False, False, False]
    assert meant(400, "CLG-106") == meant(403, "CMN-408") == meant(500, "") == [False] * 4
    assert meant(403, "CMN-403") == [False, True, False, False]
    assert meant(403, "CMN-401") == [False, False, True, False]
    assert meant(403, "CMN-468") == [False, False, False, True]
    assert isinstance(refused(403, "CMN-401"), ForbiddenError)


def test_lists_ask_for_the_largest_pages() -> None:
    for asked in (list_prompts(), list_standard_greetings(), *map(list_answering_rules, (None, 7))):
        assert ("perPage", "1000") in asked.params
    assert ("view", "Detailed") in list_answering_rules(7).params
