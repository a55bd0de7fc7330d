import json
import shlex
import socket
import time
from collections.abc import Callable

import attrs
import pytest
from click.testing import Result

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Endpoints, SimulatorConfig, latest_present_s

FRIDAY_S = 1_803_643_200.0
"""2027-02-26T12:00:00Z."""
ENDPOINTS = Endpoints(
    "http://127.0.0.1:1001", "http://127.0.0.1:1002", "http://127.0.0.2:1003", "app", "sec ret", "jwt"
)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[SimulatorConfig, bool]]:
    """The configurations of simulators that are ready at once and end at once."""
    asked: list[tuple[SimulatorConfig, bool]] = []

    def run_simulator(
        config: SimulatorConfig, *, on_ready: Callable[[Endpoints], None], until_eof: bool
    ) -> None:
        asked.append((config, until_eof))
        on_ready(ENDPOINTS)

    monkeypatch.setattr("rcfs.simulator.run_simulator", run_simulator)
    return asked


def test_for_programs(run: Callable[..., Result], ran: list[tuple[SimulatorConfig, bool]]) -> None:
    result = run("simulator", "--json", "--until-eof")
    assert result.exit_code == 0
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        attrs.asdict(ENDPOINTS) | {"more": []}
    ]
    ((config, until_eof),) = ran
    assert config.present_s is not None
    assert abs(config.present_s - time.time()) < 60, "an account of today"
    assert config.spec.end_s == latest_present_s(config.present_s)
    defaults = SimulatorConfig(AccountSpec(end_s=config.spec.end_s), present_s=config.present_s)
    assert attrs.evolve(config, plans=defaults.plans) == defaults, "what is not asked for"
    assert config.plans == {}, "which leaves all groups as documented"
    assert until_eof is True


def test_for_people(run: Callable[..., Result], ran: object) -> None:
    result = run("simulator")
    exports = [line.removeprefix("  export ") for line in result.stdout.splitlines() if "export" in line]
    assert exports == [
        "RC_SERVER_URL=http://127.0.0.1:1001",
        "RC_APP_CLIENT_ID=app",
        "RC_APP_CLIENT_SECRET='sec ret'",
        "RC_USER_JWT=jwt",
    ]


def test_every_option(run: Callable[..., Result], ran: list[tuple[SimulatorConfig, bool]]) -> None:
    words = (
        "--seed 0 --messages 0 --extensions 7 --months 3 --limit medium=4 --limit heavy=2/10/0"
        " --fixed-window --standard-user --latency 0.5 --token-lifetime 0.5 --port 1 --media-port 2"
        " --refuse-duplicates --without-scope ReadMessages --without-scope SMS --without-permission Users"
        " --redirect-uri http://localhost:1/a --redirect-uri http://localhost:2/b"
        " --day 0.5 --hipaa --mailbox-limits --sync-token-lifetime 0.5 --sync-token-error CMN-101"
        " --present 2027-03-01T09:00Z --calls 5 --calls-per-day 6 --call-days 7 --recording-limit 8"
        " --export-kept 9 --archives-kept 0 --export-quirk bomb --export-quirk deflated"
    )
    assert run("simulator", *shlex.split(words)).exit_code == 0
    config = SimulatorConfig(
        AccountSpec(seed=0, messages=0, extensions=7, months=3, end_s=FRIDAY_S),
        plans={
            UsageGroup("medium"): Plan(4),
            UsageGroup("heavy"): Plan(2, window_s=10, penalty_s=0),
        },
        fixed_window=True,
        standard_user=True,
        refuse_duplicates=True,
        missing_scopes=frozenset({"ReadMessages", "SMS"}),
        missing_permissions=frozenset({"Users"}),
        present_s=1_803_891_600.0,
        redirect_uris=("http://localhost:1/a", "http://localhost:2/b"),
        latency_s=0.5,
        token_lifetime_s=0.5,
        day_speed=0.5,
        hipaa=True,
        mailbox_limits=True,
        sync_token_lifetime_s=0.5,
        sync_token_error="CMN-101",
        calls=5,
        calls_per_day=6,
        call_days=7,
        recording_limit=8,
        export_kept_s=9.0,
        archives_kept_s=0.0,
        export_quirks={"bomb", "deflated"},
        port=1,
        media_port=2,
    )
    assert ran == [(config, False)]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--limit medium=1 --limit medium=0", "--limit: 'limit' must be >= 1: 0"),
        ("--latency nan", "'latency_s' must be >= 0: nan"),
        ("--present 1999-12-31", "'present_s' must be >= 946684800"),
        ("--export-quirk odd", "odd is no quirk of exports; known are prose_paths"),
        ("--day inf", "'day_speed' must be < inf: inf"),
        ("--without-scope Nonsense", "Nonsense is not one of"),
        ("--messages 0 --extensions 1 --standard-user", "no extension of the account is a standard user"),
    ],
)
def test_wrong_options_are_refused(run: Callable[..., Result], words: str, error: str) -> None:
    result = run("simulator", *shlex.split(words))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"rcfs: {error}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("option", ["--port", "--media-port"])
def test_a_port_that_is_taken(run: Callable[..., Result], option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("simulator", "--messages=0", f"{option}={taken.getsockname()[1]}")
    assert result.exit_code == 2
    assert result.stderr == "rcfs: --port or --media-port: Address already in use; choose another port\n"
