"""Sessions, lifetimes and windows as a client sees them on the wire."""

from typing import Any

import attrs
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator.login._auth import MAX_SESSIONS
from tests.fakes.wire import ACCOUNT, CONFIG, MINE, Setup, running


async def status(s: Setup, token: str) -> int:
    """The status of the answer to a request with this access token."""
    answer = await s.http.get(ACCOUNT, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


async def refreshed(s: Setup, token: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = await s.log_in(grant_type="refresh_token", refresh_token=token["refresh_token"])
    return answer.status_code, answer.json()


async def test_a_refresh_token_works_once_and_kills_the_old_access_token_at_once() -> None:
    async with running() as s:
        old = (await s.log_in()).json()
        code, new = await refreshed(s, old)
        assert code == 200
        assert [await status(s, token["access_token"]) for token in (old, new)] == [401, 200]
        code, refusal = await refreshed(s, old)
        assert (code, refusal["error"], refusal["errors"][0]["errorCode"]) == (
            400,
            "invalid_grant",
            "OAU-213",
        )
        assert (await refreshed(s, new))[0] == 200


async def test_a_login_beyond_the_limit_ends_the_oldest_session() -> None:
    async with running() as s:
        tokens = [(await s.log_in()).json()["access_token"] for _ in range(MAX_SESSIONS + 1)]
        assert [await status(s, token) for token in tokens] == [401] + [200] * MAX_SESSIONS


@pytest.mark.parametrize(("lifetime_s", "after"), [(0.05, 401), (7199.0, 200)])
async def test_access_tokens_live_as_long_as_they_are_set_to(lifetime_s: float, after: int) -> None:
    async with running(attrs.evolve(CONFIG, token_lifetime_s=lifetime_s)) as s:
        token = (await s.log_in()).json()
        assert token["expires_in"] == int(lifetime_s)
        logged_in_at = s.simulator.journal.entries(operation="getToken")[-1].time_s
        while True:
            code = await status(s, token["access_token"])
            passed_s = s.simulator.journal.entries()[-1].time_s - logged_in_at
            # The token was made a moment after the request for it was noted.
            if passed_s > 0.05 and (code == after or passed_s > 5.0):
                break
        assert code == after


async def test_a_window_slides() -> None:
    plans = {UsageGroup("light"): Plan(2, 1.0, 0)}
    async with running(attrs.evolve(CONFIG, plans={**CONFIG.plans, **plans})) as s:
        await s.http.get(MINE)
        first = s.simulator.journal.entries()[-1].time_s
        while s.simulator.journal.entries()[-1].time_s - first < 0.4:
            await s.http.get(s.path)  # another group
        await s.http.get(MINE)
        while (await s.http.get(MINE)).status_code == 429:
            pass
        admitted = s.simulator.journal.entries()[-1]
        assert admitted.time_s - first >= 1.0
        assert admitted.remaining == 0, "only the first arrival has gone"


async def test_ids_beyond_the_precision_of_a_double() -> None:
    async with running() as s:
        query = {"dateFrom": "2020-01-01T00:00:00Z", "perPage": "1000"}
        records = (await s.http.get(f"{MINE}/message-store", params=query)).json()["records"]
        large = [r for r in records if r.get("conversationId", 0) > 2**53]
        assert large
        assert all(r["conversation"]["id"] == str(r["conversationId"]) for r in large)
