"""Requests that are not repeatable: the caller's note of them, for what the scenarios do not reach."""

from collections.abc import Callable
from typing import cast

import pytest
import trio

from rcfs.errors import OfflineError
from rcfs.model import LIGHT, Priority
from rcfs.platform import Answer, Request
from rcfs.transport import Requester, RequestOptions, UnrepeatableRequest


class Offline:
    """A requester whose network ends while the request waits for its slot."""

    async def run(self, plan: Callable[[], Request], *_args: object, **_options: object) -> None:
        plan()
        raise OfflineError("rcfs is offline")


async def test_an_error_of_the_platform_is_the_only_news_of_a_request_that_was_not_sent() -> None:
    noted: list[str] = []

    async def use(_answer: Answer) -> None:
        await trio.lowlevel.checkpoint()
        noted.append("used")

    async def withdraw() -> None:
        await trio.lowlevel.checkpoint()
        noted.append("withdrawn")

    once = UnrepeatableRequest(Request("send", LIGHT, "/send", method="POST"), answer_s=1.0)
    with pytest.raises(OfflineError):
        await once.run(cast(Requester, Offline()), use, RequestOptions(Priority.METADATA), withdraw=withdraw)
    assert once.is_unsent
    assert noted == []
