"""The status of an engine in the form that programs get, without a mount."""

from pathlib import Path
from typing import Any

from rcfs.engine import Engine
from rcfs.engine_status import mount_status
from rcfs.status import ReadersStatus, to_json


async def status_document(engine: Engine) -> dict[str, Any]:
    """The JSON object of ``status.json``."""
    document: dict[str, Any] = to_json(await mount_status(engine, Path("/mnt/rc"), 0.0, ReadersStatus(0, 1)))
    return document
