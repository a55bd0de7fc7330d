"""`rcfs export`: wrong usage, and the commands against a simulator, beside each other and without a mount."""

import json
from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from click.testing import Result

from rcfs.host import Registry
from tests.fakes.commands import Done, environment_of, run_rcfs
from tests.fakes.simulated import Simulated, start

ASK, ASK_TEAM = "createMessageStoreReport", "createDataExportTaskNew"

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("arguments", "because"),
    [
        (["request"], "Missing option '--from'"),
        (["request", "--from", "yesterday"], "'yesterday' is no day; a day looks like '2026-03-31'"),
        (["request", "--from", "2026-02-01", "--to", "2026-01-01"], "the last day is before the first"),
        (["request", "--from", "2026-01-01", "--chat", "7"], "cannot be restricted to contacts or chats"),
        (["request", "--team", "--from", "2026-01-01", "--type", "fax"], "cannot be restricted to types"),
        (["request", "--team", "--from", "2025-01-01", "--to", "2026-01-01"], "at most six months"),
        (
            ["request", "--team", "--from", "2026-01-01", "--to", "2026-01-02", "--chat", "\udcff"],
            "not UTF-8",
        ),
        (
            ["request", "--from", "2999-01-01", "--to", "2999-01-02"],
            "the period begins in the future; today is",
        ),
        (
            ["request", "--from", "2026-01-01", "--to", "2999-01-02"],
            "the period ends in the future; today is",
        ),
        (["forget"], "Missing argument 'NAME...'"),
        (["cancel", ""], "a name must not be empty"),
    ],
)
@pytest.mark.usefixtures("home", "credentials")
def test_wrong_usage(run: Run, arguments: list[str], because: str) -> None:
    result = run("export", *arguments)
    assert result.exit_code == 2
    assert because in result.output


def test_nothing_is_listed_for_an_account_that_was_never_seen(
    run: Run, home: Path, credentials: None
) -> None:
    assert run("export", "list").output == ""
    assert json.loads(run("export", "list", "--json").output) == []
    assert run("export", "forget", "2026-01-01 to 2026-01-02").exit_code == 2


def test_the_only_mount_is_meant(run: Run, tmp_path: Path, state_dir: Path) -> None:
    assert "missing credentials" in run("export", "list").output
    simulated = {"server_url": "http://127.0.0.1:1", "client_id": "i", "client_secret": "s", "jwt": "j"}
    Registry(state_dir).add(
        tmp_path / "rc", "http://127.0.0.1:1", state_dir=tmp_path / "demo", simulated=simulated
    )
    listed = run("export", "list", "--json")
    assert (listed.exit_code, json.loads(listed.stdout)) == (0, [])
    for command in ("cancel", "forget"):
        assert (
            "no export Messages/2026-01-01 to 2026-01-02"
            in run("export", command, "2026-01-01 to 2026-01-02").output
        )


@attrs.frozen
class Commands:
    """Runs commands with a state directory of their own."""

    simulated: Simulated
    directory: Path
    run: Run

    def __call__(self, *arguments: str) -> Done:
        """Runs `rcfs export`: in a process of its own if it asks the server, which takes a second."""
        if arguments[0] in ("request", "wait"):
            return run_rcfs(self.simulated, self.directory, "export", *arguments)
        result = self.run("export", *arguments, env=environment_of(self.simulated, self.directory))
        return Done(result.exit_code, result.stdout, result.stderr)

    def asked(self, operation: str) -> int:
        """Number of requests for an export."""
        return len(self.simulated.journal(operation=operation))


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulated]:
    # A slow machine must not see an export end, nor run out of logins: each command logs in.
    with start("--messages=5", "--calls=0", "--export-time=3000", "--limit=auth=100") as running:
        yield running


@pytest.fixture
def export(simulated: Simulated, tmp_path: Path, run: Run, home: Path) -> Iterator[Commands]:
    assert home.is_dir()
    simulated.reset_journal()
    yield Commands(simulated, tmp_path, run)
    simulated.advance(3600)  # so that the tasks of one test do not run in the next


def test_two_are_asked_for_and_the_third_waits_and_can_be_withdrawn(export: Commands) -> None:
    days = [("--from", "2026-01-01", "--to", f"2026-01-0{day}") for day in (1, 2, 3)]
    done = [export("request", *each) for each in days]
    assert [each.returncode for each in done] == [0, 0, 0]
    assert {each.stderr for each in done} == {""}
    assert "Messages/2026-01-01 to 2026-01-01\n  accepted since" in done[0].stdout
    assert "not asked for yet since" in done[2].stdout
    assert "two other exports are unfinished" in done[2].stdout
    assert export.asked(ASK) == 2
    rows = json.loads(export("list", "--json").stdout)
    assert [row["state"] for row in rows] == ["Accepted", "Accepted", "Waiting"]
    assert [bool(row["task_id"]) for row in rows] == [True, True, False]
    withdrawn = export("cancel", "Exports/Messages/2026-01-01 to 2026-01-03/")
    assert (withdrawn.returncode, withdrawn.stdout) == (0, "Withdrawn: Messages/2026-01-01 to 2026-01-03\n")
    cancelled = export("cancel", "2026-01-01 to 2026-01-01")
    assert cancelled.returncode == 2
    assert "has no request that cancels an export" in cancelled.stderr
    kept = [row["task_id"] for row in json.loads(export("list", "--json").stdout)]
    assert kept == [row["task_id"] for row in rows[:2]], "nothing else knows the task id"
    both = ("2026-01-01 to 2026-01-01", "2026-01-01 to 2026-01-02")
    refused = export("forget", *both)
    assert refused.returncode == 2
    assert "give --yes to forget it" in refused.stderr
    assert len(json.loads(export("list", "--json").stdout)) == 2
    forgotten = export("forget", "--yes", *both)
    assert f"Forgotten: Messages/2026-01-01 to 2026-01-02 (task {kept[1]})\n" in forgotten.stdout
    assert json.loads(export("list", "--json").stdout) == []
    assert export.asked(ASK) == 2


def test_waiting_tells_the_states_and_the_result(export: Commands) -> None:
    today = datetime.now(UTC).date()
    end = today.replace(day=monthrange(today.year, today.month)[1])
    done = export("request", "--team", f"--from={today:%Y-%m}-01", f"--to={end}", "--json")
    (row,) = json.loads(done.stdout)
    name = f"Team Messaging/{today:%Y-%m}-01 to {today}"
    assert (f"{row['kind']}/{row['name']}", row["state"]) == (name, "Accepted")
    assert ("is in the future, so the export ends today" in done.stderr) == (end > today)
    export.simulated.advance(3600)
    waited = export("wait", "--json")
    assert waited.returncode == 0, waited.stderr
    (row,) = json.loads(waited.stdout)
    assert row["state"] == "Completed"
    assert row["files"][0]["name"] == "archive-0.zip"
    assert row["size_bytes"] == sum(each["size_bytes"] for each in row["files"]) > 0
    assert f"{name}: accepted since" in waited.stderr
    assert export.asked(ASK_TEAM) == 1
    ended = export("cancel", name)
    assert ended.returncode == 2
    assert "has ended already" in ended.stderr


def test_a_standard_user_gets_one_line(tmp_path: Path, run: Run) -> None:
    with start("--messages=5", "--calls=0", "--standard-user") as simulated:
        done = Commands(simulated, tmp_path, run)("request", "--from", "2026-01-01", "--to", "2026-01-02")
    assert done.returncode == 3
    assert done.stderr == "rcfs: no exports of Messages: the login is no administrator\n"
