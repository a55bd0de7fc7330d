"""The simulator as a process: its start, the fake that controls it, and all ways to end it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from rcfs.simulator import AccountSpec, SimulatorConfig, run_simulator
from tests.fakes.simulated import START_S, STOP_S, Simulated, start

ROOT = Path(__file__).parents[3]
EITHER = pytest.mark.parametrize("forked", [True, False], ids=["forked", "afresh"])


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


def test_fake_changes_calls_and_recordings() -> None:
    with start("--messages=0", "--calls=0", "--hipaa") as simulated:
        extension_id = simulated.api("GET", "extension")["records"][0]["id"]

        def record() -> Any:
            return simulated.api("GET", f"call-log/{made['id']}", params={"view": "Detailed"})

        made = simulated.call(extension_id, duration_s=90, log_after_s=0, recording_after_s=None)
        assert "recording" not in record()
        recording_id = simulated.record(made["id"], duration_s=40)
        assert record()["recording"]["id"] == str(recording_id)
        (row,) = simulated.media_truth("Recording")
        assert (row["id"], row["extension_id"]) == (recording_id, extension_id)
        assert {each["kind"] for each in simulated.media_truth("Greeting", "IvrPrompt")} == {
            "Greeting",
            "IvrPrompt",
        }
        assert len({each["kind"] for each in simulated.media_truth()}) == 5
        simulated.rewrite_call(made["id"], {"result": "Odd"}, {"duration": None})
        assert (record()["result"], "duration" in record()["legs"][0]) == ("Odd", False)
        simulated.delete_recording(recording_id, still_named=True)
        assert (record()["recording"]["id"], simulated.media_truth("Recording")) == (str(recording_id), [])
        simulated.delete_recording(recording_id)
        assert "recording" not in record()
        legs = [{"extension_id": extension_id}] * 2
        assert len(simulated.call(legs=legs, recording_after_s=0)["recording_ids"]) == 2
        full = simulated.api("GET", "call-log-sync", params={"syncType": "FSync", "recordCount": 1})
        simulated.reset_call_logs("CLG-103")
        token = full["syncInfo"]["syncToken"]
        with pytest.raises(AssertionError, match="CLG-103"):
            simulated.api("GET", "call-log-sync", params={"syncType": "ISync", "syncToken": token})


@EITHER
def test_until_eof_ends_with_its_parent(forked: bool) -> None:
    with start("--messages=0", forked=forked) as simulated:
        assert simulated.process.stdin is not None
        simulated.process.stdin.close()
        assert simulated.process.wait(STOP_S) == 0


@EITHER
def test_interrupt_and_kill(forked: bool) -> None:
    with start("--messages=0", forked=forked) as simulated:
        simulated.process.send_signal(signal.SIGINT)
        assert simulated.process.wait(STOP_S) == 0
    with start("--messages=0", forked=forked) as simulated:
        assert simulated.kill() == -signal.SIGKILL
        with pytest.raises(httpx.ConnectError):
            httpx.get(simulated.platform_url)


@EITHER
def test_a_simulator_that_cannot_start_is_reported(forked: bool, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match="said nothing"), start("--messages=-1", forked=forked):
        pass
    assert "--messages" in capfd.readouterr().err


def test_forked_simulators_end_with_the_process_that_started_them() -> None:
    code = "from tests.fakes.simulated import start; import os\n"
    code += "with start('--messages=0') as one: print(one.platform_url, flush=True); os.kill(os.getpid(), 9)"
    # The simulator and its server have the same stderr, so that this returns after their end.
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=START_S
    )
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(httpx.ConnectError):
        httpx.get(done.stdout.strip())


def test_an_account_without_a_suitable_user_is_refused() -> None:
    config = SimulatorConfig(AccountSpec(messages=0, extensions=1), standard_user=True)
    with pytest.raises(ValueError, match="standard user"):
        run_simulator(config, on_ready=lambda _endpoints: None)
