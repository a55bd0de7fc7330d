"""Fixtures of the ledger's contract: a home or a ledger, of each kind that a ledger may have."""

from pathlib import Path

import pytest

from rcfs.model import Plan
from rcfs.quota import (
    Ledger,
)
from tests.fakes.ledger_calls import HEAVY, MEDIUM, WINDOW_S, NewHome, NewLedger
from tests.fakes.ledgers import HOMES, Home


@pytest.fixture(params=HOMES)
def new_home(request: pytest.FixtureRequest, tmp_path: Path) -> NewHome:
    def make(limit: int = 3, window_s: float = WINDOW_S, penalty_s: float = 60.0) -> Home:
        plans = {MEDIUM: Plan(limit, window_s, penalty_s), HEAVY: Plan(2, WINDOW_S)}
        return HOMES[request.param](plans, tmp_path)

    return make


@pytest.fixture
def new_ledger(new_home: NewHome) -> NewLedger:
    def make(limit: int = 3, window_s: float = WINDOW_S, penalty_s: float = 60.0) -> Ledger:
        return new_home(limit, window_s, penalty_s).open("only")

    return make
