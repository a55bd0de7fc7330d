"""Exports of a simulator in this process, whose account has a clock that the test moves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from tests.fakes.simulated import in_process, logged_in

REPORTS = "/restapi/v1.0/account/~/message-store-report"
TEAM = "/team-messaging/v1/data-export"
LONG_AGO = {"dateFrom": "2020-01-01T00:00:00Z"}
PLENTY = {UsageGroup(group): Plan(limit=1000) for group in ("light", "medium", "heavy")}


@attrs.define
class Now:
    """The time of the account, in seconds since 1970 UTC."""

    s: float

    def later(self, by_s: float) -> None:
        self.s += by_s


def config_of(messages: int) -> SimulatorConfig:
    """An account of that many messages, whose exports take 100 s."""
    return SimulatorConfig(AccountSpec(messages=messages), plans=PLENTY, export_s=100.0)


@asynccontextmanager
async def running_with(
    config: SimulatorConfig, **settings: Any
) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    """A simulator with `config`, changed by `settings`, and a client that is logged in."""
    changed = attrs.evolve(config, **settings)
    async with in_process(changed) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


async def fetch(http: httpx.AsyncClient, url: str) -> Any:
    """The JSON at `url`."""
    return (await http.get(url)).raise_for_status().json()
