import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from click.testing import Result

from rcfs.host import Registry
from rcfs.model import Plan, Priority, RateHeaders, UsageGroup
from rcfs.quota import Ledger, Slot, Waiting
from rcfs.store import LinuxMachine, SqliteHome, open_ledger

MEDIUM = UsageGroup("medium")
ONE = Waiting.only(Priority.METADATA, 0.0)


@pytest.fixture
def machine() -> LinuxMachine:
    """The machine as a mount sees it that is up: another process than the command."""
    here = LinuxMachine.here()
    start = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[19]
    return attrs.evolve(here, owner=f"{os.getppid()}.{start}.{here.owner.rpartition('.')[2]}")


@pytest.fixture
def mounted(state_dir: Path, machine: LinuxMachine) -> Ledger:
    """The ledger of a mount that is up: it was told a limit of 7, and to pause for a year."""
    ledger = open_ledger(state_dir / "ledger.sqlite", "c" * 32, {MEDIUM: Plan(40)}, pytest.fail, machine)
    assert isinstance(ledger._replica.home, SqliteHome)
    now = machine.clock_s()
    slots = [ledger.take(MEDIUM, ONE, now) for _ in range(2)]
    assert isinstance(slots[0], Slot)
    assert isinstance(slots[1], Slot)
    ledger.settle(slots[0], now, RateHeaders(MEDIUM, limit=7))
    ledger.refuse(slots[1], now, None, 31_536_000.0)
    return ledger


def test_nothing_is_known_yet(run: Callable[..., Result], state_dir: Path) -> None:
    result = run("quota")
    assert (result.exit_code, result.output) == (
        0,
        "rcfs has sent no request yet, so it knows no limits.\n",
    )
    assert json.loads(run("quota", "--json").stdout) == []
    assert not (state_dir / "ledger.sqlite").exists()


def test_learned_limits_use_and_penalties_are_shown(run: Callable[..., Result], mounted: Ledger) -> None:
    result = run("quota")
    assert result.exit_code == 0
    assert "\nmedium  2 of 7 used in 1 min (from the server), penalty until 20" in result.stdout
    (document,) = json.loads(run("quota", "--json").stdout)
    (group,) = (group for group in document["groups"] if group["group"] == "medium")
    assert (group["used"], group["limit"], group["told_by_server"]) == (2, 7, True)
    assert 3500 < group["frozen_for_s"] <= 3601
    assert group["frozen_until"].endswith("Z")


def test_a_reset_reaches_a_mount_that_is_up(
    run: Callable[..., Result], mounted: Ledger, machine: LinuxMachine
) -> None:
    assert isinstance(mounted.take(MEDIUM, ONE, machine.clock_s()), float)
    result = run("quota", "--reset", "--yes")
    assert result.exit_code == 0
    assert result.stdout.endswith("Forgot the limits that the server reported, and all penalties.\n")
    assert mounted.plan(MEDIUM) == Plan(40)
    assert isinstance(mounted.take(MEDIUM, ONE, machine.clock_s()), Slot)
    assert mounted.states(machine.clock_s())[0].used == 3, "what was sent still counts"


def test_a_reset_is_asked_for(
    run: Callable[..., Result], mounted: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("quota", "--reset")
    assert result.exit_code == 2
    assert "give --yes" in result.stderr
    assert "restarts the penalty" in result.stderr
    assert mounted.plan(MEDIUM).limit == 7
    monkeypatch.setattr("rcfs.cli._output.is_interactive", lambda: True)
    assert run("quota", "--reset", typed="n\n").exit_code == 0
    assert mounted.plan(MEDIUM).limit == 7
    result = run("quota", "--reset", typed="y\n")
    assert (result.exit_code, mounted.plan(MEDIUM).limit) == (0, 40)
    assert "restarts the penalty" in result.stderr
    assert run("quota", "--yes").exit_code == 2


def test_a_locked_ledger_is_reported(
    run: Callable[..., Result], mounted: Ledger, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rcfs.store._ledger._OPEN_WAIT_S", 0.05)
    with closing(sqlite3.connect(state_dir / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        result = run("quota", "--reset", "--yes")
    assert result.exit_code == 6, result.output
    assert mounted.plan(MEDIUM).limit == 7


def test_your_own_login_is_shown_alone_and_all_of_them_without_credentials(
    run: Callable[..., Result], mounted: Ledger, state_dir: Path, machine: LinuxMachine
) -> None:
    open_ledger(state_dir / "ledger.sqlite", "d" * 32, {}, pytest.fail, machine).take(
        MEDIUM, ONE, machine.clock_s()
    )
    logins = {document["login"] for document in json.loads(run("quota", "--json").stdout)}
    assert logins == {"c" * 32, "d" * 32}
    assert "login cccccccc:" in run("quota").stdout
    env = {"RC_APP_CLIENT_ID": "id", "RC_APP_CLIENT_SECRET": "secret", "RC_USER_JWT": "jwt"}
    (document,) = json.loads(run("quota", "--json", env=env).stdout)
    assert document["login"] not in logins


def test_a_mount_with_a_state_folder_of_its_own_is_shown(
    run: Callable[..., Result], state_dir: Path, tmp_path: Path, machine: LinuxMachine
) -> None:
    folder, login = tmp_path / "demo-state", "e" * 32
    open_ledger(folder / "ledger.sqlite", login, {}, pytest.fail, machine).take(
        MEDIUM, ONE, machine.clock_s()
    )
    Registry(state_dir).add(tmp_path / "rc", "http://127.0.0.1:1", state_dir=folder, login=login)
    (document,) = json.loads(run("quota", "--json").stdout)
    assert (document["login"], document["mountpoints"]) == (login, [str(tmp_path / "rc")])
