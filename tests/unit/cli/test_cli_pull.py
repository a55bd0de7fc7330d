"""The usage errors of `rcfs pull`, and how it reads paths and dates."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from rcfs.cli._pull_report import JsonReport, LineReport, Report
from rcfs.cli._treepaths import check_outside, locate, resolve
from rcfs.config import parse_since
from rcfs.errors import ConfigError, ForbiddenError
from rcfs.host import MountRecord, Registry
from rcfs.model import format_duration
from rcfs.pull import Failure, KeepingUp, Survey

SERVER = "https://platform.ringcentral.com"
RATES = (
    "about {} new recordings come each day; this login can fetch at most 14,400, or 11,520 while somebody"
    " reads in a mount"
)
NEVER = (
    "a complete copy can never keep up, and falls 25,600 further behind each day; use more logins, or ask"
    " RingCentral for a higher limit"
)


@pytest.fixture
def record(tmp_path: Path, state_dir: Path) -> MountRecord:
    """A mount point of this process."""
    (tmp_path / "rc").mkdir()
    return Registry(state_dir).add(tmp_path / "rc", SERVER)


@pytest.mark.parametrize(
    ("text", "moment_s"),
    [
        ("2026-11-01", 1_793_491_200),
        ("2026-11-01T12:00", 1_793_534_400),
        ("2026-11-01T12:00:00Z", 1_793_534_400),
        (" 2026-11-01T13:00:00+01:00", 1_793_534_400),
        ("30d", 2e9 - 30 * 86400),
        ("12h", 2e9 - 12 * 3600),
        ("2w", 2e9 - 14 * 86400),
        ("0d", 2e9),
    ],
)
def test_dates(text: str, moment_s: float) -> None:
    assert parse_since(text, 2e9) == moment_s


@pytest.mark.parametrize("text", ["", "yesterday", "30", "-3d", "3 d", "2026-13-01", "٣d", "9999999d"])
def test_a_wrong_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a date"):
        parse_since(text, 2e9)


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [(-1, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (225, "3 min 45 s"), (7800, "2 h 10 min"), (3600, "1 h")],
)
def test_durations(duration_s: float, text: str) -> None:
    assert format_duration(duration_s) == text


@pytest.mark.parametrize(
    ("new_a_day", "line"),
    [
        (11_520, ""),
        (14_400, f"{RATES.format('14,400')}: a copy keeps up only while nobody does"),
        (
            40_000.4,
            f"{RATES.format('40,000')}: {NEVER}",
        ),
    ],
)
def test_a_plan_says_if_a_login_cannot_keep_up(
    new_a_day: float, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    survey = Survey()
    survey.keeping_up = KeepingUp(new_a_day, 14_400.0, 11_520.0)
    for report in (LineReport(), Report()):
        report.planned(survey, 0.0)
        report.previewed(survey, 0.0)
        told = [each for each in capsys.readouterr().err.splitlines() if "note: " in each]
        assert told == ([f"rcfs: note: {line}"] if line else []) * (
            2 if isinstance(report, LineReport) else 1
        )
    JsonReport().planned(survey, 0.0)
    plan, _way = capsys.readouterr().out.splitlines()
    assert json.loads(plan)["recordings"] == {
        "new_a_day": round(new_a_day, 1),
        "fetched_a_day": 14_400.0,
        "fetched_beside_persons_a_day": 11_520.0,
        "behind_a_day": pytest.approx(max(0.0, new_a_day - 14_400), abs=0.1),
    }


def test_every_note_in_json_has_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    survey = Survey()
    survey.closed = (Failure("104 Alex Kim", ForbiddenError("HTTP 403")),)
    report = JsonReport()
    report.planned(survey, 0.0)
    report.noted("the links are left out")
    notes = [json.loads(line) for line in capsys.readouterr().out.splitlines()[2:]]
    left_out = "104 Alex Kim is left out, because this login may not read it (HTTP 403)"
    assert notes == [
        {"event": "note", "text": left_out, "path": "104 Alex Kim", "reason": "HTTP 403"},
        {"event": "note", "text": "the links are left out"},
    ]


def test_a_path_in_a_mount_is_a_path_in_the_tree(
    record: MountRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mountpoint = record.mountpoint
    (tmp_path / "link").symlink_to("rc")
    (tmp_path / "deep").symlink_to(mountpoint / "101 Jane")
    expected = ("101 Jane", "Fax")
    for text in (
        f"{mountpoint}/101 Jane/Fax",
        f"{tmp_path}/link/101 Jane/./SMS/../Fax",
        f"{tmp_path}/deep/Fax/",
    ):
        place = locate(text, [record])
        assert (place.parts, place.mount) == (expected, record)
    monkeypatch.chdir(tmp_path)
    assert locate("rc/101 Jane/Fax", [record]).parts == expected
    assert locate("rc", [record]).parts == ()
    assert locate("./x/../rc/../rc/101 Jane/Fax", [record]).parts == expected


def test_nothing_in_a_mount_is_touched(record: MountRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    readlink = __import__("os").readlink

    def recording(path: Path) -> str:
        seen.append(path)
        result: str = readlink(path)
        return result

    monkeypatch.setattr("rcfs.cli._treepaths.os.readlink", recording)
    locate(f"{record.mountpoint}/101 Jane/Fax", [record])
    assert seen
    assert not [path for path in seen if record.mountpoint in path.parents]


def test_other_paths(record: MountRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = locate("101 Jane/*", [record])
    assert (place.parts, place.mount) == (("101 Jane", "*"), None)
    with pytest.raises(ConfigError, match="is not in a mount of rcfs that is up"):
        locate(f"{tmp_path}/elsewhere", [record])
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(ConfigError, match="form a circle"):
        resolve(tmp_path / "circle" / "x", ())


def test_a_copy_never_goes_into_a_mount(record: MountRecord, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("rc")
    for path in (record.mountpoint, record.mountpoint / "new", tmp_path / "link" / "new"):
        with pytest.raises(ConfigError, match="which is read-only"):
            check_outside(path, [record])
    check_outside(tmp_path / "rcother", [record])


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--verify"], 2, "--verify needs a copy"),
        (["--since", "soon"], 2, "'soon' is not a date"),
        (["--type", "letter"], 2, "'letter' is not one of"),
        (["/nowhere/101"], 2, "is not in a mount"),
        (["--to", "{rc}/copy"], 2, "which is read-only"),
        (["--to", "{state}/copy"], 2, "state directory"),
        (["--to", "{home}"], 2, "overlap"),
        (
            ["--server-url", "https://other.ringcentral.com", "{rc}/101"],
            2,
            "your credentials are for https://other",
        ),
        (["--to", "{full}"], 6, "is not empty and not a copy of rcfs pull"),
    ],
)
def test_usage_errors_come_before_the_first_request(
    run: Callable[..., Result],
    record: MountRecord,
    tmp_path: Path,
    state_dir: Path,
    home: Path,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    places = {"rc": record.mountpoint, "state": state_dir, "home": home, "full": tmp_path / "full"}
    result = run("pull", *(each.format(**places) for each in arguments))
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr


def test_without_credentials(run: Callable[..., Result]) -> None:
    assert run("pull").exit_code == 2


def test_completing_a_path(run: Callable[..., Result]) -> None:
    words = {"_RCFS_COMPLETE": "bash_complete", "COMP_WORDS": "rcfs pull 101", "COMP_CWORD": "2"}
    assert run(env=words).stdout == "file,101\n"


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--join", "nov"), "--join needs a server that all machines use; name it as ledger under [quota]"),
        (("--join", "a b"), "write letters, digits, dots and dashes"),
        (("--join", "nov", "--shard", "1/2"), "two ways to share the work"),
        (("--shard", "3/2"), "write N/M, such as 2/3"),
        (("--shard", "1/2", "--via", "exports"), "goes with neither --shard nor --join"),
    ],
)
def test_ways_to_share_the_work_that_do_not_work(
    run: Callable[..., Result], options: tuple[str, ...], words: str
) -> None:
    result = run("pull", *options)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
