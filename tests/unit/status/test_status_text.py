from typing import Any

import attrs
import pytest

from rcfs.model import format_duration, format_size
from rcfs.status import (
    LedgerStatus,
    Status,
    ledger_line,
    render_errors,
    render_queue,
    render_quota,
    render_status,
    status_from_json,
    to_json,
)

ASSUMED = (
    "sent faxes 30 days, the trash about 5, recordings 90 (30 on a HIPAA account, which no request tells), as"
    " documented"
)
BUSY: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 4711,
    "mountpoint": "/home/jane/ringcentral",
    "network": "up",
    "server": "https://platform.ringcentral.com",
    "account": {"id": "400129284008", "name": "Acme\x1b[2J"},
    "started": "2026-11-03T17:27:05Z",
    "uptime_s": 7985.2,
    "quota": [
        {
            "group": "light",
            "used": 3,
            "limit": 50,
            "window_s": 60,
            "free_in_s": 0,
            "frozen_for_s": 0,
            "in_flight": 0,
            "left": 0,
            "returns": [1, 2] + [0] * 58,
        },
        {
            "group": "medium",
            "used": 40,
            "limit": 40,
            "window_s": 60.0,
            "free_in_s": 2.1,
            "frozen_for_s": 0,
            "in_flight": 2,
            "left": 0,
            "returns": [0] * 57 + [3, 8, 27],
        },
        {
            "group": "heavy",
            "used": 0,
            "limit": 10,
            "window_s": 60,
            "free_in_s": 0,
            "frozen_for_s": 42,
            "in_flight": 0,
            "left": 0,
            "returns": [0] * 60,
        },
        {
            "group": "auth",
            "used": 0,
            "limit": 5,
            "window_s": 60,
            "free_in_s": 0,
            "frozen_for_s": 0,
            "in_flight": 0,
            "left": 0,
            "returns": [0] * 60,
        },
    ],
    "pool": [
        {
            "name": "second",
            "state": "good",
            "because": None,
            "quota": [
                {
                    "group": "heavy",
                    "used": 0,
                    "limit": 10,
                    "window_s": 60,
                    "free_in_s": 0,
                    "frozen_for_s": 0,
                    "in_flight": 0,
                    "left": 0,
                    "returns": [0] * 60,
                }
            ],
            "contents": 1200,
            "closed": 3,
        },
        {"state": "unused", "because": None, "name": "third", "quota": [], "contents": 0, "closed": 0},
        {
            "name": "fourth",
            "state": "refused",
            "because": "invalid\nassertion",
            "quota": [],
            "contents": 0,
            "closed": 0,
        },
        {
            "name": "fifth",
            "state": "another account",
            "because": "it is of 7",
            "quota": [],
            "contents": 0,
            "closed": 0,
        },
    ],
    "queue": [
        {
            "group": "medium",
            "class": "person",
            "waiting": 1,
            "elsewhere": 2,
            "oldest_s": 0.5,
            "next_in_s": 1.2,
            "all_in_s": 1.2,
            "requests": [{"for": "1/2/3/4", "by": "mpv\n", "waited_s": 0.5, "sent_in_s": 1.2}],
        },
        {
            "group": "medium",
            "class": "bulk",
            "waiting": 1812,
            "elsewhere": 0,
            "oldest_s": 75.0,
            "next_in_s": 2.7,
            "all_in_s": 2718,
            "requests": [
                {"for": "400131/62/1001/1", "by": "cp", "waited_s": 75.0, "sent_in_s": 2.7},
                {"for": "account", "by": "", "waited_s": 5.0, "sent_in_s": 4.2},
            ],
        },
        {
            "group": "light",
            "class": "metadata",
            "waiting": 0,
            "elsewhere": 3,
            "oldest_s": 0.0,
            "next_in_s": None,
            "all_in_s": None,
            "requests": [],
        },
    ],
    "cache": {
        "directory": "/home/jane/.cache/rcfs",
        "size_bytes": 3 << 29,
        "limit_bytes": 10 << 30,
        "contents": 1,
        "hits": 3,
        "misses": 1,
        "hit_ratio": 0.75,
    },
    "requests": {"sent": 1043, "refused": 0, "by_group": {"medium": 1040, "light": 3}, "content": 1040}
    | {"by_outcome": {"medium": {"ok": 1040}, "light": {"unanswered": 3}}},
    "mailboxes": {"loaded": 2, "known": 6, "messages": 3000, "off_because": None},
    "calls": {
        "off_because": None,
        "log": "company",
        "company_refused": None,
        "recordings_refused": None,
        "calls": 30_000,
        "recordings": 2000,
        "owners": [
            {"extension": None, "number": "", "name": "", "calls": 30_000, "recordings": 0},
            *(
                {
                    "extension": 62 + number,
                    "number": str(101 + number),
                    "name": "Jane\x1b[2J",
                    "calls": 100 - number,
                    "recordings": 1 + number,
                }
                for number in range(6)
            ),
        ],
        "recordings_a_day": 40_000.4,
        "fetched_a_day": 14_400.0,
        "logins": 1,
        "loads": [
            {
                "extension": None,
                "month": "2026-10",
                "since_s": 20.0,
                "pages": 3,
                "of_pages": 12,
                "calls": 3000,
                "of_calls": 12_000,
                "left_s": 60.0,
            }
        ],
    },
    "greetings": {
        "loaded": 3,
        "absent": [{"collection": "greetings/62", "because": "new call\nhandling (CMN-468)"}],
    },
    "outbox": {
        "waiting": 3,
        "asked": 1,
        "held": 0,
        "since": "2026-11-20T12:00:00Z",
        "problem": "the server cannot be reached",
    },
    "sends": {"waiting": 2, "asked": 0, "unknown": 1, "failed": 3, "since": "2026-11-20T12:00:00Z"},
    "exports": {
        "refused": [{"kind": "Team Messaging", "because": "the app lacks a scope"}],
        "exports": [
            {
                "kind": "Messages",
                "name": f"2026-0{month}-01 to 2026-0{month}-28",
                "state": state,
                "is_final": state == "Completed",
                "since": "2026-11-03T17:27:08Z",
                "next_look": None if state == "Completed" else "2026-11-03T17:28:00Z",
                "left_s": left_s,
                "task_id": None if state == "Waiting" else "1-2-3",
                "archives": 2,
                "size_bytes": 3 << 20,
                "problem": problem,
            }
            for month, state, left_s, problem in (
                (1, "Completed", None, None),
                (2, "Waiting", None, "two others\x1b[2J"),
                (3, "InProgress", 61.0, None),
                (4, "Paused", None, None),
            )
        ],
    },
    "hints": {
        "state": "on",
        "since": "2026-11-03T17:27:08Z",
        "mailboxes": 2,
        "off_because": None,
        "call_logs": 1,
    },
    "retention": {
        "configured_days": 60,
        "asked": "2026-11-03T17:27:06Z",
        "unknown_because": None,
        "within_days": 7.0,
        "recording_days": 90,
        "mailboxes": [
            {
                "extension": 62 + number,
                "number": str(101 + number) if number else "",
                "name": "Jane" if number else "",
                "messages": 1 + number,
                "uncached": number,
                "first_created": "2026-09-05T00:00:00Z",
                "first_goes": "2026-11-04T00:00:00Z",
                "first_goes_in_s": 23_400.0 + number,
                "certain": number < 4,
                "oldest_uncached": "2026-09-06T00:00:00Z" if number else None,
                "loss_in_s": 24_000.0 if number else None,
            }
            for number in range(7)
        ],
        "recordings": {
            "recordings": 214,
            "uncached": 200,
            "first_started": "2026-08-09T00:00:00Z",
            "first_goes": "2026-11-07T00:00:00Z",
            "first_goes_in_s": 259_200.0,
            "certain": False,
            "oldest_uncached": "2026-08-10T00:00:00Z",
            "loss_in_s": 260_000.0,
        },
    },
    "readers": {
        "waiting": 1,
        "limit": 8,
        "programs": [
            {
                "pid": 5,
                "program": "cp",
                "opens": 3,
                "read_bytes": 7,
                "idle_s": 0.5,
                "waiting": 1,
                "refused": False,
            }
        ],
        "reads": 4,
    },
    "waits": [{"class": "bulk", "sum_s": 90.5, "counts": [1, 0, 2]}],
    "traffic": {"received_bytes": 1000, "read_bytes": 2000},
    "pulls": {"whole": "2026-11-03T02:00:00Z", "part": None},
    "errors": [{"at": "2026-11-03T17:30:00Z", "event": "content_failed", "detail": "reset\nby peer"}],
}

SHARED = {
    "place": "s3://contents/rcfs",
    "passed_over_because": "s3://contents/rcfs: 503 Slow Down",
    "is_read": False,
    "hits": 1,
    "misses": 1200,
    "written": 1100,
    "waiting": 3,
    "dropped": 97,
    "wrong": 1,
    "taken_over": 2,
    "to_erase": 4,
}
FRESH = BUSY | {
    "account": {"id": "1", "name": ""},
    "quota": [],
    "pool": [],
    "queue": [],
    "cache": BUSY["cache"] | {"size_bytes": 0, "contents": 0, "hit_ratio": None},
    "requests": {"sent": 0, "refused": 0, "by_group": {}, "content": 0},
    "calls": BUSY["calls"]
    | {"calls": 0, "recordings": 0, "owners": [], "recordings_a_day": None, "loads": []},
    "greetings": {"loaded": 0, "absent": []},
    "exports": {"refused": [], "exports": []},
    "hints": {"state": "off", "since": None, "mailboxes": 0, "off_because": "cannot connect"},
    "retention": {
        "configured_days": None,
        "asked": None,
        "unknown_because": "rcfs has not asked yet",
        "within_days": 7.0,
        "mailboxes": [],
    },
    "errors": [],
}


SINCE, LOOK = "since 2026-11-03T17:27:08Z", "next look at 2026-11-03T17:28:00Z"
GOES, UNKNOWN = "about 1 min 1 s to go, by earlier ones", "how long it takes is not known"


def text_of(document: dict[str, Any]) -> str:
    return render_status(status_from_json(document))


def test_the_status_of_a_busy_mount() -> None:
    assert text_of(BUSY).splitlines() == [
        "rcfs 0.1.0 at /home/jane/ringcentral",
        "account    Acme [2J (400129284008)",
        "server     https://platform.ringcentral.com",
        "process    4711, up 2 h 13 min, since 2026-11-03T17:27:05Z",
        "quota      light: 3 of 50 used in 1 min",
        "           medium: 40 of 40 used in 1 min, next free in 3 s",
        "           heavy: 0 of 10 used in 1 min, penalty for 42 s",
        "           auth: 0 of 5 used in 1 min",
        "pool       second: good, 1,200 contents fetched, may not read 3 mailboxes or owners of recordings",
        "           third: not used yet",
        "           fourth: not used, refused: invalid assertion; new credentials: rcfs login --pool fourth",
        "           fifth: not used, another account: it is of 7",
        "queue      medium person: 1 waiting (+2 in other processes), oldest 1 s; next in 2 s",
        "           medium bulk: 1,812 waiting, oldest 1 min 15 s; next in 3 s, last in 45 min 18 s",
        "           light metadata: 3 waiting in other processes",
        "cache      1.5 GiB of 10.0 GiB, 1 content, 75% of reads hit, in /home/jane/.cache/rcfs",
        "requests   1,043 sent (light 3, medium 1,040), 1,040 for content, 0 refused",
        "mailboxes  2 of 6 loaded, 3,000 messages",
        "calls      30,000 calls, 2,000 recordings",
        "           101 Jane [2J: 100 calls, 1 recording",
        "           102 Jane [2J: 99 calls, 2 recordings",
        "           103 Jane [2J: 98 calls, 3 recordings",
        "           104 Jane [2J: 97 calls, 4 recordings",
        "           105 Jane [2J: 96 calls, 5 recordings",
        "           and calls of 1 more extension",
        "           loading 2026-10 of the company: 3 of 12 pages, 3,000 of 12,000 calls; about 1 min to go",
        "           about 40,000 new recordings a day; this login can fetch at most 14,400",
        "           a copy of all falls 25,600 a day behind; more logins or a higher limit help",
        "greetings  3 lists loaded",
        "           no greetings/62: new call handling (CMN-468)",
        f"exports    Messages, 2026-02-01 to 2026-02-28: not asked for yet {SINCE}; {LOOK}; two others [2J",
        f"           Messages, 2026-03-01 to 2026-03-28: in progress {SINCE}; {GOES}; {LOOK}",
        f"           Messages, 2026-04-01 to 2026-04-28: Paused {SINCE}; {UNKNOWN}; {LOOK}",
        f"           Messages, 2026-01-01 to 2026-01-28: complete {SINCE}; 2 archives, 3.0 MiB",
        "           none of Team Messaging: the app lacks a scope",
        (
            "outbox     changes of messages: 3 waiting, 1 sent and not confirmed yet, the oldest since"
            " 2026-11-20T12:00:00Z"
        ),
        "           the server cannot be reached",
        (
            "           messages to send: 2 waiting, 1 sent perhaps, 3 failed, the oldest since"
            " 2026-11-20T12:00:00Z"
        ),
        "           `rcfs outbox` lists them, and says what to do",
        "hints      on since 2026-11-03T17:27:08Z, for 2 mailboxes and 1 call log",
        f"retention  faxes and voicemail for 60 days, as your account is set; {ASSUMED}",
        "           extension 62: the first of 1 message goes in 6 h 30 min; 0 attachments not cached",
        "           102 Jane: the first of 2 messages goes in 6 h 30 min; 1 attachment not cached",
        "           103 Jane: the first of 3 messages goes in 6 h 30 min; 2 attachments not cached",
        "           104 Jane: the first of 4 messages goes in 6 h 30 min; 3 attachments not cached",
        "           105 Jane: the first of 5 messages should go in 6 h 30 min; 4 attachments not cached",
        "           and messages of 2 more mailboxes; 11 attachments not cached",
        "           calls: the first of 214 recordings should go in 3 d; 200 not cached",
        "readers    1 of at most 8 wait; at most 4 of them may be reads",
        "errors     2026-11-03T17:30:00Z content_failed reset by peer",
    ]


def test_messages_that_should_be_gone_are_overdue() -> None:
    row = BUSY["retention"]["mailboxes"][0] | {"first_goes_in_s": 0.0}
    status = text_of(BUSY | {"retention": BUSY["retention"] | {"mailboxes": [row]}})
    assert "extension 62: the first of 1 message is overdue; 0 attachments not cached" in status


def test_the_store_of_several_machines() -> None:
    usual = text_of(BUSY).splitlines()
    lines = [line for line in text_of(BUSY | {"shared": SHARED}).splitlines() if line not in usual]
    assert lines == [
        "shared     s3://contents/rcfs: 1 content from it, 1,200 not in it, 1,100 written, 3 waiting",
        "           passed over: s3://contents/rcfs: 503 Slow Down",
        "           97 contents could not be written",
        "           1 content wrong or damaged, so fetched again",
        "           2 contents taken over from a machine that died",
        "           the contents of 4 purged messages wait to be erased",
    ]


def test_mailboxes_that_cannot_be_read() -> None:
    mailboxes = {"loaded": 0, "known": 6, "messages": 0, "off_because": "the app lacks the scope X"}
    status = text_of(BUSY | {"mailboxes": mailboxes})
    assert "mailboxes  0 of 6 loaded, 0 messages; none can be read: the app lacks the scope X\n" in status


def test_the_status_of_a_fresh_mount() -> None:
    lines = dict(line.split(maxsplit=1) for line in text_of(FRESH).splitlines())
    assert lines["account"] == "unnamed (1)"
    assert lines["quota"] == "no request sent yet"
    assert lines["queue"] == "nothing waits"
    assert lines["cache"] == "0 B of 10.0 GiB, 0 contents, nothing read yet, in /home/jane/.cache/rcfs"
    assert lines["requests"] == "0 sent, 0 for content, 0 refused"
    assert lines["errors"] == "none"
    assert lines["calls"] == "0 calls, 0 recordings"
    assert lines["greetings"] == "none loaded yet"
    assert lines["exports"] == "none asked for"
    assert lines["hints"] == "off: cannot connect"
    assert lines["retention"].startswith(
        "faxes and voicemail: not known, because rcfs has not asked yet; sent faxes 30"
    )
    assert "RingCentral deletes nothing within 7 days" in text_of(FRESH)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"off_because": "the app lacks the scope ReadCallLog"}, "none: the app lacks the scope ReadCallLog"),
        (
            {"log": "extensions", "company_refused": "the user may not read it"},
            "each extension's own log, since the user may not read it",
        ),
        ({"recordings_refused": "the app lacks a scope"}, "recordings cannot be read: the app lacks a scope"),
        (
            {"loads": [BUSY["calls"]["loads"][0] | {"extension": 62, "pages": 0}]},
            "loading 2026-10 of extension 62: no page yet, for 20 s",
        ),
        (
            {"loads": [BUSY["calls"]["loads"][0] | {"of_pages": None, "of_calls": None, "left_s": None}]},
            "loading 2026-10 of the company: 3 pages, 3,000 calls; the total is not known",
        ),
    ],
)
def test_the_lines_of_calls(fields: dict[str, Any], line: str) -> None:
    text = text_of(FRESH | {"calls": FRESH["calls"] | fields})
    assert any(each.endswith(line) for each in text.splitlines()), text


def test_the_status_of_an_earlier_version_is_still_told() -> None:
    hints = {name: value for name, value in BUSY["hints"].items() if name != "call_logs"}
    retention = {name: value for name, value in BUSY["retention"].items() if name != "recordings"}
    text = text_of(BUSY | {"hints": hints, "retention": retention})
    assert "on since 2026-11-03T17:27:08Z, for 2 mailboxes\n" in text
    assert "extension 62: the first of 1 message goes" in text


def test_the_chart_of_each_window_is_readable_at_80_columns() -> None:
    text = render_quota(status_from_json(BUSY).quota or ())
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines() == [
        "light   3 of 50 used in 1 min",
        "  |▁▂" + " " * 58 + "|",
        "   now" + "1 min".rjust(57),
        "medium  40 of 40 used in 1 min, next free in 3 s",
        "  |" + " " * 57 + "▃██| 2 in flight",
        "   now" + "1 min".rjust(57),
        "heavy   0 of 10 used in 1 min, penalty for 42 s",
        "  |" + "░" * 42 + " " * 18 + "|",
        "   now" + "1 min".rjust(57),
        "auth    0 of 5 used in 1 min",
        "",
        "Each column: how many slots return then (▁ 1, █ 8 or more; ░ penalty).",
    ]


def test_the_quota_of_each_login_of_the_pool_follows() -> None:
    status = status_from_json(BUSY)
    lines = render_quota((), pool=status.pool or ()).splitlines()
    assert lines[:2] == ["login second:", "heavy  0 of 10 used in 1 min"]
    assert "login fifth:" in lines


def test_more_logins_that_cannot_keep_up() -> None:
    text = text_of(BUSY | {"calls": BUSY["calls"] | {"logins": 2}})
    assert "new recordings a day; your 2 logins can fetch at most 14,400\n" in text


def test_the_queue_names_the_first_waiting_requests() -> None:
    assert render_queue(status_from_json(BUSY).queue or ()).splitlines() == [
        "medium  person    1 waiting (+2 in other processes), oldest 1 s; next in 2 s",
        "  mpv   1/2/3/4  for 1 s, 2 s to go",
        "medium  bulk      1,812 waiting, oldest 1 min 15 s; next in 3 s, last in 45 min 18 s",
        "  cp    400131/62/1001/1  for 1 min 15 s, 3 s to go",
        "  rcfs  account           for 5 s, 5 s to go",
        "  and 1,810 more",
        "light   metadata  3 waiting in other processes",
    ]


@pytest.mark.parametrize("state", ["offline", "unreachable"])
def test_the_server_line_names_the_trouble_of_the_network(state: str) -> None:
    lines = dict(line.split(maxsplit=1) for line in text_of({**FRESH, "network": state}).splitlines())
    assert lines["server"] == f"https://platform.ringcentral.com ({state})"


def test_the_lists_of_errors_quota_and_queue() -> None:
    assert (
        render_errors(status_from_json(BUSY).errors or ())
        == "2026-11-03T17:30:00Z content_failed reset by peer\n"
    )
    assert [render_quota(()), render_queue(()), render_errors(())] == [
        "no request sent yet\n",
        "nothing waits\n",
        "none\n",
    ]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5 << 40, "5.0 TiB"),
        (5 << 50, "5120 TiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (0, "0 s"),
        (0.2, "1 s"),
        (59.5, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (90061, "1 d 1 h"),
    ],
)
def test_durations(time_s: float, text: str) -> None:
    assert format_duration(time_s, up=True) == text


def load(pages: int, of_pages: int | None, left_s: float | None) -> dict[str, Any]:
    return {
        "extension": 7,
        "number": "101",
        "name": "Jane Smith",
        "since_s": 20.0,
        "pages": pages,
        "of_pages": of_pages,
        "messages": pages * 1000,
        "of_messages": None if of_pages is None else of_pages * 1000,
        "left_s": left_s,
    }


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (load(0, None, None), "101 Jane Smith: no page yet, for 20 s"),
        (
            load(3, 12, 60.0),
            "101 Jane Smith: 3 of 12 pages, 3,000 of 12,000 messages; about 1 min to go",
        ),
        (
            load(1, None, None),
            "101 Jane Smith: 1 page, 1,000 messages in 20 s; the total is not known",
        ),
        (load(3, 2, 0.0), "101 Jane Smith: 3 pages, 3,000 messages; about 0 s to go"),
    ],
)
def test_the_line_of_a_load(row: dict[str, Any], line: str) -> None:
    assert f"           loading {line}" in text_of({**FRESH, "loads": [row]}).splitlines()
    assert (
        render_queue((), status_from_json({**FRESH, "loads": [row]}).loads or ())
        == f"loading the mailbox of {line}\n"
    )


def test_a_status_survives_json_unchanged() -> None:
    told = BUSY | {
        "network_problem": None,
        "login": {
            "state": "refused",
            "because": "OAU-251",
            "tried_again_in_s": 60.0,
            "command": "rcfs login --account work",
        },
        "shared": SHARED,
        "ledger": {
            "server": "redis://host:6379/0",
            "state": "gone",
            "because": "the ledger server redis://host:6379/0 cannot be reached",
            "peers": ["a:12", "b:34"],
            "since": "2026-11-03T17:27:05Z",
            "part": 0.5,
            "awaited": [],
            "waits_s": 100.0,
        },
        "loads": [
            {
                "extension": 62,
                "number": "101",
                "name": "Jane",
                "since_s": 1.5,
                "pages": 1,
                "of_pages": None,
                "messages": 1000,
                "of_messages": None,
                "left_s": None,
            }
        ],
    }
    assert to_json(status_from_json(told)) == told
    assert list(to_json(Status())) == [field.name for field in attrs.fields(Status)]


@pytest.mark.parametrize("missing", [*BUSY, "login", "loads"])
def test_a_part_that_another_version_leaves_out(missing: str) -> None:
    told = {key: value for key, value in BUSY.items() if key != missing}
    status = status_from_json(told)
    assert getattr(status, missing) is None
    assert text_of(told).count("\n") > 10
    assert "None" not in text_of(told)


@pytest.mark.parametrize("odd", [None, 5, "x", [5], [{}], {}, {"id": 5}, {"by_group": [1]}, True])
def test_a_malformed_part_of_another_version(odd: object) -> None:
    for key in BUSY:
        told = BUSY | {key: odd, "of a later version": odd}
        assert text_of(told).startswith("rcfs ")


def test_fields_of_a_later_version_are_ignored() -> None:
    later = BUSY | {"cache": BUSY["cache"] | {"compressed": True}, "weather": "fair"}
    assert text_of(later) == text_of(BUSY)


def test_an_empty_outbox_is_not_shown() -> None:
    empty = {"waiting": 0, "asked": 0, "held": 0, "since": None, "problem": None}
    sends = {"waiting": 0, "asked": 0, "unknown": 0, "failed": 0, "since": None}
    assert "outbox" not in render_status(status_from_json(BUSY | {"outbox": empty, "sends": sends}))


def test_the_server_of_a_shared_ledger_and_its_clients_are_named() -> None:
    up = LedgerStatus("redis://host:6379/0", "up", None, ("a:12", "b:34"))
    assert ledger_line(up) == "shared by 2 through redis://host:6379/0: a:12, b:34"
    since = "2026-11-03T17:27:05Z"
    gone = attrs.evolve(up, state="gone", because="it cannot be reached", since=since, part=0.5)
    assert (
        ledger_line(gone)
        == f"it cannot be reached (since {since}); until it is back, rcfs uses 1/2 of each limit"
    )
    assert ledger_line(attrs.evolve(gone, waits_s=100.0)).endswith(
        "; until it is back, rcfs waits 1 min 40 s, and then uses 1/2 of each limit"
    )
    assert ledger_line(attrs.evolve(gone, waits_s=100.0, part=0.0)).endswith("rcfs sends nothing")
    assert ledger_line(attrs.evolve(up, awaited=("b:34",), waits_s=40.0)) == (
        "shared by 2 through redis://host:6379/0: a:12, b:34;"
        " it has lost changes, so rcfs waits for b:34, 40 s at most"
    )
    assert render_quota([], up).startswith("shared by 2")
    assert "           only read: s3://contents/rcfs: 503 Slow Down" in text_of(
        BUSY | {"shared": SHARED | {"is_read": True}}
    )
