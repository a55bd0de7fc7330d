"""The official description of the API, for tests that compare with it."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

DESCRIPTION = Path(
    os.environ.get("RCFS_OPENAPI", Path(__file__).parents[3] / "shared" / "rc-api" / "openapi.json")
)

needs_description = pytest.mark.skipif(
    not DESCRIPTION.is_file(), reason="RCFS_OPENAPI names no copy of RingCentral's OpenAPI description"
)


@cache
def description() -> dict[str, Any]:
    """The description as a JSON document."""
    parsed: dict[str, Any] = json.loads(DESCRIPTION.read_text())
    return parsed


def operation(operation_id: str) -> tuple[str, str, dict[str, Any]]:
    """(method in capitals, path template, description) of an operation.

    Raises:
        LookupError: The description has no such operation.
    """
    for path, methods in description()["paths"].items():
        for method, found in methods.items():
            if isinstance(found, dict) and found.get("operationId") == operation_id:
                return method.upper(), path, found
    raise LookupError(operation_id)


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    """`value`, or what its ``$ref`` refers to."""
    while "$ref" in value:
        place: Any = description()
        for name in value["$ref"].removeprefix("#/").split("/"):
            place = place[name]
        value = place
    return value
