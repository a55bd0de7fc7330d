import json
from collections.abc import Callable, Iterator

import pytest
from click.testing import Result

from tests.fakes.simulated import Simulated, start


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulated]:
    with start("--messages=3", "--limit=heavy=1000") as running:
        yield running


@pytest.fixture
def export(run: Callable[..., Result], simulated: Simulated) -> Callable[..., Result]:
    return lambda *words: run("simulator", "export", simulated.platform_url, *words)


def test_exports_are_planned_and_listed(export: Callable[..., Result], simulated: Simulated) -> None:
    assert export().stdout == ""
    assert export("--takes", "0.001", "--quirk", "streamed", "--quirk", "bomb").stdout == (
        "plans that wait for an export: 1 report, 0 team\n"
    )
    export("--state", "Accepted", "--state", "Pending", "--takes", "0.001")
    assert json.loads(export("--kind", "team", "--outcome", "Failed", "--json").stdout) == {
        "report": 2,
        "team": 1,
    }
    done, waiting = (simulated.api("POST", "message-store-report", json={})["id"] for _ in range(2))
    archives = simulated.api("GET", f"message-store-report/{done}/archive")["records"]
    second, first = export().stdout.splitlines()
    assert second.startswith(f"report {waiting}: Pending since 20")
    assert first.startswith(f"report {done}: Completed since 20")
    assert first.endswith(", quirks bomb, streamed")
    listed = json.loads(export("--json").stdout)
    assert [each["size_bytes"] for each in listed[1]["archives"]] == [each["size"] for each in archives]


def test_the_quirks(run: Callable[..., Result]) -> None:
    lines = run("simulator", "export", "--quirks").stdout.splitlines()
    assert lines[lines.index("wrong_crc") + 1] == "    give a content a wrong CRC"
    quirks = json.loads(run("simulator", "export", "--quirks", "--json").stdout)
    assert [each["quirk"] for each in quirks] == [line for line in lines if not line.startswith(" ")]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--outcome", "Expired"], "the outcome must be one of Completed, AttemptFailed"),
        (["--quirk", "odd"], "odd is no quirk of exports"),
        (["--takes", "0"], "'takes_s' must be > 0"),
        (["--quirks"], "--quirks takes no URL"),
    ],
)
def test_usage_errors(export: Callable[..., Result], words: list[str], error: str) -> None:
    result = export(*words)
    assert result.exit_code == 2
    assert error in result.stderr


def test_the_url_is_asked_for(run: Callable[..., Result]) -> None:
    result = run("simulator", "export", "--outcome", "Failed")
    assert result.exit_code == 2
    assert "give the URL that the simulator printed" in result.stderr
