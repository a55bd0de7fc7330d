"""Commands with a quota ledger on a real server."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis
from click.testing import Result

from rcfs.cli._findings import Finding, State
from rcfs.cli._ledger_findings import ledger_findings
from rcfs.cli._settings import read_settings
from rcfs.model import PRIOR_PLANS, LedgerAddress, Priority, UsageGroup
from rcfs.quota import Ledger, Waiting
from rcfs.store import open_server_home
from tests.fakes.ledger_server import LedgerServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LedgerServer]:
    with TemporaryDirectory(prefix="rcfs-cli-") as path:  # the path of a socket is short
        server = LedgerServer(Path(path), ("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"))
        server.start()
        monkeypatch.setenv("RCFS_LEDGER", str(server.address))
        yield server
        server.kill()


def findings(address: LedgerAddress) -> list[Finding]:
    return list(ledger_findings(read_settings({}), address))


@pytest.mark.usefixtures("credentials", "state_dir")
def test_quota_shows_and_resets_the_ledger_on_a_server(
    run: Callable[..., Result], server: LedgerServer, tmp_path: Path
) -> None:
    login = read_settings({}).require_credentials().identity
    home = open_server_home(server.address, None, login, PRIOR_PLANS, tmp_path / "peers")
    home.load(None, to_store=False)
    ledger = Ledger(home)
    ask = Waiting.only(Priority.METADATA, 0.0, 2)
    grant = ledger.take_many({UsageGroup("medium"): ask}, home.now_s())[UsageGroup("medium")]
    ledger.refuse(grant.slots[0], home.now_s(), None, 600.0)
    result = run("quota")
    assert result.exit_code == 0
    assert (
        f"shared through {server.address} by no process now" in result.stdout
    )  # the command is this process
    assert "2 of 40 used" in result.stdout
    assert "penalty until" in result.stdout
    result = run("quota", "--reset", "--yes")
    assert "penalty until" not in result.stdout
    (document,) = json.loads(run("quota", "--json").stdout)
    assert document["ledger"] == {"server": str(server.address), "peers": []}
    home.close()


@pytest.mark.usefixtures("credentials", "state_dir")
def test_a_server_that_cannot_be_reached_is_one_line_and_exit_code_7(
    run: Callable[..., Result], server: LedgerServer
) -> None:
    server.kill()
    result = run("quota")
    assert (result.exit_code, result.stderr) == (
        7,
        f"rcfs: the ledger server {server.address} cannot be reached\n",
    )
    assert [(each.state, each.detail) for each in findings(server.address)] == [
        (State.PROBLEM, f"the ledger server {server.address} cannot be reached")
    ]


@pytest.mark.usefixtures("credentials", "state_dir")
def test_a_wrong_address_is_exit_code_2(run: Callable[..., Result]) -> None:
    result = run("quota", env={"RCFS_LEDGER": "redis://jane:secret@host"})
    assert result.exit_code == 2
    assert "a password has no place in a URL" in result.stderr
    assert "secret" not in result.output


@pytest.mark.usefixtures("credentials", "state_dir")
def test_doctor_finds_what_would_lose_the_ledger(server: LedgerServer) -> None:
    reached, policy, persistence = findings(server.address)
    assert reached.state is State.OK
    assert "Redis 7." in reached.detail or "Valkey" in reached.detail
    assert (policy.state, policy.detail) == (State.PROBLEM, "maxmemory-policy is allkeys-lru")
    assert "noeviction there; else it may drop the ledger" in policy.advice
    assert persistence.state is State.NOTE
    assert "appendonly yes" in persistence.advice
    with closing(redis.Redis(unix_socket_path=server.address.path)) as admin:
        admin.config_set("maxmemory-policy", "volatile-lru")
    _reached, policy, _persistence = findings(server.address)
    assert policy.state is State.PROBLEM
    assert "else it may drop the list of a pull with --join" in policy.advice
