"""Answers to requests for several records at once.

HTTP 207 has two forms: ``multipart/mixed``, whose first part lists a status for each record, and whose other
parts are the records in that order; or, in RingCentral's own media type, an array of
``{resourceId, status, body}``. The answer to a request for one record is the record itself.

Source: "Bulk requests" of RingCentral's API documentation.
"""

from collections.abc import Sequence
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

import attrs

from rcfs.errors import ServerError
from rcfs.model import Record, objects
from rcfs.platform._document import decoded

MOST_AT_ONCE = 50
"""Most ids in the path of a request; the server refuses more with CMN-106. Source: updateMessage in the
official description."""


@attrs.frozen
class Result:
    """The result for one of the records of a request."""

    status: int
    """HTTP status."""
    body: Any = None
    """Its JSON document; None without one."""


def results_by_id(
    status: int, body: bytes, content_type: str, ids: Sequence[int], operation: str
) -> dict[int, Result]:
    """The results for `ids` in the answer to `operation`, which has a `status` from 200 to 299.

    An id is missing if the answer does not tell its result. For worker threads.

    Raises:
        ServerError: The answer has no known form.
    """
    if status == 204:
        return dict.fromkeys(ids, Result(status))
    if content_type.partition("/")[0].strip().lower() == "multipart":
        results = _of_multipart(body, content_type, operation)
    else:
        document = decoded(body, operation)
        if isinstance(document, dict) and len(ids) == 1:
            return {ids[0]: Result(status, document)}
        results = [
            (str(each.get("resourceId")), each.get("status"), each.get("body")) for each in objects(document)
        ]
    wanted = {str(each): each for each in ids}
    return {
        wanted[name]: Result(found, record)
        for name, found, record in results
        if name in wanted and type(found) is int
    }


def records_by_id(
    body: bytes, content_type: str, ids: Sequence[int], operation: str
) -> dict[int, Record | None]:
    """The records of `ids` in the answer to `operation`; None for those that the server does not have (404).

    The caller must ask again for ids that are missing here: their status was another. For worker threads.

    Raises:
        ServerError: The answer has no known form.
    """
    found: dict[int, Record | None] = {}
    for each, result in results_by_id(200, body, content_type, ids, operation).items():
        record = result.body
        if result.status == 404:
            found[each] = None
        elif result.status == 200 and isinstance(record, dict) and _is_of(record, each, ids):
            found[each] = record
    return found


def _is_of(record: Record, message_id: int, ids: Sequence[int]) -> bool:
    """Whether `record` is that of `message_id`; the answer to a request for one record needs no id."""
    return len(ids) == 1 or str(record.get("id")) == str(message_id)


def _of_multipart(body: bytes, content_type: str, operation: str) -> list[tuple[str, Any, Any]]:
    """(id, status, record) of each result; the record is None if its part is missing or not JSON."""
    from email.policy import HTTP  # noqa: PLC0415 - takes 2 ms, and few answers have several parts

    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    whole = BytesParser(EmailMessage, policy=HTTP).parsebytes(head + body)
    parts: list[EmailMessage] = [part for part in whole.iter_parts() if isinstance(part, EmailMessage)]
    overview = _document(parts[0] if parts else None, operation)
    if not isinstance(overview, dict):
        raise ServerError(f"{operation}: the answer to a bulk request does not list its results")
    results = []
    for number, each in enumerate(objects(overview.get("response")), start=1):
        record = _document(parts[number], operation) if number < len(parts) else None
        name = str(each.get("href")).partition("?")[0].rpartition("/")[2]
        results.append((name, each.get("status"), record))
    return results


def _document(part: EmailMessage | None, operation: str) -> Any:
    data = None if part is None else part.get_payload(decode=True)
    try:
        return decoded(data, operation) if isinstance(data, bytes) else None
    except ServerError:
        return None  # The caller asks for this record again; the others are good.
