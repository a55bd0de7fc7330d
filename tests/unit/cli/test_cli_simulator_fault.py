import json
from collections.abc import Callable, Iterator

import pytest
from click.testing import Result

from tests.fakes.simulated import Simulated, start


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulated]:
    with start("--messages=0") as running:
        yield running


@pytest.fixture
def fault(run: Callable[..., Result], simulated: Simulated) -> Iterator[Callable[..., Result]]:
    yield lambda *words: run("simulator", "fault", simulated.platform_url, *words)
    simulated.clear_faults()


def test_faults_are_asked_for_shown_and_cleared(fault: Callable[..., Result]) -> None:
    assert fault().stdout == ""
    fault("reset")
    fault("rate_limited", "retry_after_s=7", "headers=false", "code=MSG-305", "--forever")
    fault("slow", "delay_s=0.5", "--count", "3", "--operation", "listMessages", "--path", "/restapi")
    shown = fault("truncate", "--probability", "0.25", "--seed", "2")
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        "reset, 0 times of 1",
        "rate_limited headers=false retry_after_s=7 code=MSG-305 body=json, 0 times",
        "slow delay_s=0.5, 0 times of 3, operation listMessages, path /restapi",
        "truncate, 0 times, probability 0.25",
    ]
    assert fault().stdout == shown.stdout
    assert [one["kind"] for one in json.loads(fault("--json").stdout)] == [
        *("reset", "rate_limited", "slow", "truncate")
    ]
    assert fault("--clear").stdout == ""
    assert json.loads(fault("--json").stdout) == []


def test_kinds(fault: Callable[..., Result]) -> None:
    lines = fault("--kinds").stdout.splitlines()
    place = lines.index("stall")
    assert lines[place + 1 : place + 3] == [
        "    Pauses in the middle of the body.",
        "    for_s=SECONDS [at_byte=null]",
    ]
    kinds = json.loads(fault("--kinds", "--json").stdout)
    assert {kind["kind"] for kind in kinds} == {line for line in lines if not line.startswith(" ")}


def test_kinds_need_no_simulator(run: Callable[..., Result], fault: Callable[..., Result]) -> None:
    assert run("simulator", "fault", "--kinds").stdout == fault("--kinds").stdout
    assert run("simulator", "fault", "--kinds", "--json").stdout == fault("--kinds", "--json").stdout


@pytest.mark.parametrize("words", [[], ["--clear"], ["--json"]])
def test_the_url_is_asked_for(run: Callable[..., Result], words: list[str]) -> None:
    result = run("simulator", "fault", *words)
    assert result.exit_code == 2
    assert "give the URL that the simulator printed" in result.stderr


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["earthquake"], "kind must be one of refuse, reset"),
        (["stall"], "stall: "),
        (["reset", "at_byte=3"], "reset has no option 'at_byte'"),
        (["reset", "at_byte"], "write an option of a fault as NAME=VALUE, not as at_byte"),
        (["reset", "--clear"], "give one of KIND"),
        (["--count", "3"], "give one of KIND"),
        (["reset", "--count", "3", "--forever"], "give only one of --count and --forever"),
    ],
)
def test_usage_errors_of_a_fault(fault: Callable[..., Result], words: list[str], error: str) -> None:
    result = fault(*words)
    assert result.exit_code == 2
    assert error in result.stderr


@pytest.mark.parametrize("url", ["https://platform.ringcentral.com", "x"])
def test_not_a_simulator_s_url(run: Callable[..., Result], url: str) -> None:
    result = run("simulator", "fault", url, "reset")
    assert (result.exit_code, result.stderr[:10]) == (2, "rcfs: URL:")


def test_options_of_the_simulator_are_refused_before_fault(run: Callable[..., Result]) -> None:
    result = run("simulator", "--messages", "3", "fault", "http://127.0.0.1:1")
    assert result.exit_code == 2
    assert "options before fault have no effect" in result.stderr


def test_failing_numbers_are_listed(run: Callable[..., Result]) -> None:
    lines = run("simulator", "numbers").stdout.splitlines()
    assert "+12025551413  sms  SMS-RC-413" in lines
    assert "+12025554007  fax  LineBusy" in lines
    rows = json.loads(run("simulator", "numbers", "--json").stdout)
    assert len(rows) == len(lines) == len({row["number"] for row in rows})


def test_sends_and_violations_are_read_from_another_process(simulated: Simulated) -> None:
    message = {"to": [{"extensionNumber": "102"}], "text": "Hi"}
    ids = [simulated.api("POST", "extension/~/company-pager", json=message)["id"] for _ in range(2)]
    assert [sent["id"] for sent in simulated.sends()] == list(map(str, ids))
    (violation,) = simulated.violations()
    assert violation.startswith("POST /restapi/v1.0/account/~/extension/~/company-pager: sends again")
