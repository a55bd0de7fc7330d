"""The simulator as a process: start, the fake that drives it, and every way to end."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
import httpx
import pytest
from click.testing import CliRunner

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import (
    AccountSpec,
    SimulatorConfig,
    config_from_options,
    run_simulator,
    simulator_options,
)
from tests.fakes.simulated import STOP_S, Simulated, start


@contextmanager
def login(simulated: Simulated) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=simulated.platform_url) as http:
        answer = http.post(
            "/restapi/oauth/token",
            data={"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": simulated.jwt},
            auth=(simulated.client_id, simulated.client_secret),
        )
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield http


def test_fake_drives_a_simulator() -> None:
    with (
        start("--messages=20", "--limit=light=3/2/1", "--standard-user") as simulated,
        login(simulated) as http,
    ):
        simulated.reset_journal()
        mine = "/restapi/v1.0/account/~/extension/~"
        first = http.get(mine)
        assert first.json()["extensionNumber"] != "101", "the admin"
        assert (first.headers["x-rate-limit-limit"], first.headers["x-rate-limit-window"]) == ("3", "2")
        simulated.fault("status", operation="readExtension", status=500)
        assert http.get(mine).status_code == 500
        assert [entry["status"] for entry in simulated.journal(operation="readExtension")] == [200, 500]
        assert simulated.summary()["requests"] == 2
        assert simulated.plans(light={"limit": 9})["light"]["limit"] == 9
        assert {row["sha256"] for row in simulated.truth()}
        simulated.fault("status")
        simulated.clear_faults()
        assert http.get(mine).status_code == 200
        simulated.expire_tokens()
        assert http.get(mine).status_code == 401
        assert simulated.environment()["RC_SERVER_URL"] == simulated.platform_url
        assert simulated.stop() == 0


def test_until_eof_ends_with_its_parent() -> None:
    with start("--messages=0") as simulated:
        assert simulated.process.stdin is not None
        simulated.process.stdin.close()
        assert simulated.process.wait(STOP_S) == 0


def test_interrupt_and_kill() -> None:
    with start("--messages=0") as simulated:
        simulated.process.send_signal(signal.SIGINT)
        assert simulated.process.wait(STOP_S) == 0
    with start("--messages=0") as simulated:
        assert simulated.kill() == -signal.SIGKILL
        with pytest.raises(httpx.ConnectError):
            httpx.get(simulated.platform_url)


def test_a_simulator_that_cannot_start_is_reported() -> None:
    with pytest.raises(AssertionError, match="said nothing"), start("--messages=-1"):
        pass


def test_text_output_and_a_port_that_is_taken() -> None:
    command = [sys.executable, "-m", "rcfs.simulator", "--until-eof", "--messages=0"]
    shown = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=STOP_S
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("platform_url: http://127.0.0.1:")
    with start("--messages=0") as simulated:
        port = httpx.URL(simulated.platform_url).port
        taken = subprocess.run([*command, f"--port={port}"], check=False, capture_output=True, timeout=STOP_S)
    assert (taken.returncode, taken.stderr.decode().partition(":")[0]) == (1, "Error")
    assert b"Traceback" not in taken.stderr


def test_nobody_to_log_in_as() -> None:
    config = SimulatorConfig(AccountSpec(messages=0, extensions=1), standard_user=True)
    with pytest.raises(ValueError, match="standard user"):
        run_simulator(config, on_ready=lambda _endpoints: None)


@pytest.mark.parametrize(
    ("text", "plan"),
    [("medium=5", Plan(5)), ("medium=5/2", Plan(5, 2)), ("medium=5/2.5/0", Plan(5, 2.5, 0))],
)
def test_limits_on_the_command_line(text: str, plan: Plan) -> None:
    plans = []

    @click.command()
    @simulator_options
    def command(**options: object) -> None:
        plans.append(config_from_options(options).plans)

    assert CliRunner().invoke(command, [f"--limit={text}", "--limit=light=1"]).exit_code == 0
    assert plans[0][UsageGroup("medium")] == plan
    assert plans[0][UsageGroup("light")] == Plan(1)
    assert plans[0][UsageGroup("heavy")] == Plan(10)


@pytest.mark.parametrize("text", ["medium", "medium=0", "medium=5/0", "=5", "medium=5/1.2.3", "Medium=x"])
def test_limits_that_make_no_sense(text: str) -> None:
    @click.command()
    @simulator_options
    def command(**_options: object) -> None:
        raise AssertionError("not reached")

    result = CliRunner().invoke(command, [f"--limit={text}"])
    assert result.exit_code == 2
    assert "--limit" in result.output
