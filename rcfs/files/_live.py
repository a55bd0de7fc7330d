"""The files in ``.rcfs``, which tell about the running program."""

import json
from collections.abc import Awaitable, Callable, Mapping

from rcfs.engine import Engine
from rcfs.engine_status import (
    error_status,
    ledger_status,
    load_status,
    pool_status,
    queue_status,
    quota_status,
)
from rcfs.status import Status, render_errors, render_queue, render_quota, render_status, to_json


def live_renderer(engine: Engine, status: Callable[[], Awaitable[Status]]) -> Callable[[str], Awaitable[str]]:
    """A function that renders each file of ``.rcfs``, by its topic.

    Only the status reads databases. The other files come from memory, because users read them when something
    is wrong, perhaps with a database.
    """
    from_memory: Mapping[str, Callable[[], str]] = {
        "quota": lambda: render_quota(quota_status(engine), ledger_status(engine), pool_status(engine)),
        "queue": lambda: render_queue(queue_status(engine), load_status(engine)),
        "errors": lambda: render_errors(error_status(engine)),
        "log": lambda: "".join(line + "\n" for line in engine.recorder.lines),
    }

    async def render(topic: str) -> str:
        if topic in from_memory:
            return from_memory[topic]()
        now = await status()
        return render_status(now) if topic == "status" else json.dumps(to_json(now), indent=2) + "\n"

    return render
