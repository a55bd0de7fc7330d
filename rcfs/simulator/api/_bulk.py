"""Bulk requests: one request for several resources, with their answers in one 207.

The ids are in the path, separated by commas, or in the body if the path has ``*``. Each resource gets its own
answer: the failure of one does not affect the others.

Source: "Bulk requests" of RingCentral's API documentation.
"""

import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import attrs

from rcfs.simulator._backend import Call
from rcfs.simulator._multipart import mixed, parse
from rcfs.simulator._wire import Answer, ApiError, Part, bad_parameter, json_answer

MULTIPART_JSON = "application/vnd.ringcentral.multipart+json"
"""The vendor's media type for several JSON documents in one."""

MAX_IN_PATH = 50
"""Most ids in a path or query (description of updateMessage)."""

MAX_IN_BODY = 1000
"""Most ids in a body (description of updateMessage)."""

IN_BODY = "*"
"""Placeholder in the path for ids in the body."""


@attrs.frozen
class Outcome:
    """The result for one resource."""

    resource_id: str
    """Its id, as the client sent it."""
    answer: Answer
    """The answer that a request for this resource alone would get."""


def ids_in_path(text: str, name: str) -> list[str]:
    """The ids in `text`, which is the path parameter or query value `name`.

    Raises:
        ApiError: 400 CMN-106, there are too many.
    """
    ids = text.split(",")
    check_count(ids, MAX_IN_PATH, name)
    return ids


def check_count(ids: Sequence[object], most: int, name: str) -> None:
    """Refuse more than `most` ids of the parameter `name`.

    Raises:
        ApiError: 400 CMN-106.
    """
    if len(ids) > most:
        raise ApiError(
            400, "CMN-106", f"Too many values of parameter [{name}]: at most {most}", parameter=name
        )


def outcomes(ids: Sequence[str], answer: Callable[[str], Answer]) -> list[Outcome]:
    """The result of `answer` for each of `ids`; a refusal affects only its own resource."""
    found = []
    for resource_id in ids:
        try:
            found.append(Outcome(resource_id, answer(resource_id)))
        except ApiError as error:
            found.append(Outcome(resource_id, error.answer))
    return found


def multi_status(call: Call, found: Sequence[Outcome], base_url: str) -> Answer:
    """The 207 for `found`, in the form that the request accepts.

    Args:
        call: The request.
        found: The outcomes, in the order of the ids.
        base_url: Absolute URI that the resources' URIs start with.
    """
    if MULTIPART_JSON in call.headers.get("accept", ""):
        entries = [_entry(outcome) for outcome in found]
        return json_answer(entries, status=207, headers={"Content-Type": MULTIPART_JSON})
    statuses = [
        {
            "href": f"{base_url}/{outcome.resource_id}",
            "status": outcome.answer.status,
            "responseDescription": HTTPStatus(outcome.answer.status).phrase,
        }
        for outcome in found
    ]
    overview = json.dumps({"response": statuses}).encode()
    content_type, body = mixed([overview, *(_body(outcome.answer) for outcome in found)])
    return Answer(207, {"Content-Type": content_type}, body)


def changes(call: Call, ids: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Each id with its JSON object from the body.

    Args:
        call: The request.
        ids: The ids of the path; only ``*`` if the body has them.

    Raises:
        ApiError: 400 CMN-101, the body has no known form or does not match the ids; CMN-106, too many ids.
    """
    content_type = call.headers.get("content-type", "")
    named = list(ids)
    if content_type.startswith(MULTIPART_JSON):
        entries = _objects(json_body(call))
        check_count(entries, MAX_IN_BODY, "resourceId")
        bodies = [entry.get("body") for entry in entries]
        if named == [IN_BODY]:
            named = [str(entry.get("resourceId", "")) for entry in entries]
    else:
        bodies = [_json(piece.data) for piece in parse(content_type, call.body) or ()]
    if len(bodies) != len(named) or "" in named or IN_BODY in named:
        raise bad_parameter("body", "")
    return list(zip(named, _objects(bodies), strict=True))


def ids_in_body(call: Call, most: int, name: str) -> list[str]:
    """The ids of a body that is a JSON array of them, at least one.

    Raises:
        ApiError: 400 CMN-101, the body has another form; CMN-106, it has more than `most` ids.
    """
    ids = json_body(call)
    if ids == []:
        call.note(f"names no {name} to delete")
    if not isinstance(ids, list) or not ids or not all(isinstance(i, str | int) for i in ids):
        raise bad_parameter(name, "")
    check_count(ids, most, name)
    return [str(i) for i in ids]


def json_object(call: Call) -> dict[str, Any]:
    """The body, which must be a JSON object.

    Raises:
        ApiError: 400 CMN-101, the body is not a JSON object.
    """
    return _object(json_body(call))


def json_body(call: Call) -> Any:
    """The body, which must be JSON.

    Raises:
        ApiError: 400 CMN-101, the body is not JSON.
    """
    return _json(call.body)


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise bad_parameter("body", "") from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise bad_parameter("body", "")
    return value


def _objects(values: Any) -> list[dict[str, Any]]:
    if not isinstance(values, list):
        raise bad_parameter("body", "")
    return [_object(value) for value in values]


def _entry(outcome: Outcome) -> dict[str, Any]:
    """An element of the vendor's form, without a body if the answer has none."""
    entry: dict[str, Any] = {"resourceId": outcome.resource_id, "status": outcome.answer.status}
    body = _body(outcome.answer)
    return entry | {"body": json.loads(body)} if body else entry


def _body(answer: Answer) -> bytes:
    """The body of an answer in JSON, or an empty one."""
    if isinstance(answer.body, Part):
        raise TypeError("a content cannot be part of a bulk answer")
    return answer.body
