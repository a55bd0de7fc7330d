"""Fixtures of tests of the simulator."""

import pytest

from rcfs.simulator import AccountSpec
from rcfs.simulator._backend import Backend
from tests.fakes.sim_exports import Now


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    """The time of all accounts, which only the test moves."""
    moment = Now(AccountSpec().end_s)
    monkeypatch.setattr(Backend, "account_time", lambda _self: moment.s)
    return moment
