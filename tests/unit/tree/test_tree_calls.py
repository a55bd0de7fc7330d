"""The directories of calls and recordings."""

import csv
import json

import attrs
import pytest

from rcfs.model import Leg, Party, Recording, RecordingKey
from rcfs.tree import CallLogFile, Directory, Node, RecordingFile, Root, Times, build_root
from tests.fakes.call_catalogue import PlainCalls
from tests.fakes.calls import BOB, JANE, LEG, NAME, NOV_S, call
from tests.fakes.nodes import at, names


@pytest.fixture
def calls() -> PlainCalls:
    return PlainCalls([JANE, BOB])


@pytest.fixture
def root(calls: PlainCalls) -> Root:
    return build_root([JANE, BOB], fallback_s=1.0, calls=calls)


def text(root: Node, *path: str) -> bytes:
    found = at(root, *path)
    assert isinstance(found, CallLogFile)
    data = found.content()
    assert (found.size_bytes, found.size_is_exact) == (len(data), True)
    assert b"".join(found.pieces()) == data
    return data


def table(root: Node, *path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text(root, *path).decode().splitlines()))


def recording(root: Node, *path: str) -> RecordingFile:
    found = at(root, *path)
    assert isinstance(found, RecordingFile)
    return found


def test_an_extension_and_the_company_have_calls_and_recordings(root: Root) -> None:
    assert names(root) == ["101 Jane", "102 Bob", "Company"]
    assert names(root, "101 Jane")[-3:] == ["Calls", "Recordings", "extension.json"]
    assert names(root, "Company") == ["Calls", "Recordings"]


def test_months_are_listed_newest_first_and_listing_them_needs_no_load(root: Root, calls: PlainCalls) -> None:
    calls.loaded = set()
    for owner in ("101 Jane", "Company"):
        assert names(root, owner, "Recordings") == ["2026-11", "2026-10", "2026-09"]
        assert names(root, owner, "Calls") == [
            f"{month}{ending}" for month in ("2026-11", "2026-10", "2026-09") for ending in (".csv", ".jsonl")
        ]
        for view in ("Calls", "Recordings"):
            assert (at(root, owner, view).collection_id, at(root, owner, view).is_known) == (None, True)


def test_a_month_needs_the_collection_of_its_owner(root: Root, calls: PlainCalls) -> None:
    calls.loaded = {(5, "2026-10")}
    for path, collection_id, is_known in (
        (("101 Jane", "Recordings", "2026-11"), "calls/5/2026-11", False),
        (("101 Jane", "Recordings", "2026-10"), "calls/5/2026-10", True),
        (("102 Bob", "Calls", "2026-10.csv"), "calls/6/2026-10", False),
        (("Company", "Calls", "2026-11.jsonl"), "calls/company/2026-11", False),
    ):
        node = at(root, *path)
        assert (node.collection_id, node.is_known) == (collection_id, is_known)
    month = at(root, "101 Jane", "Recordings", "2026-11")
    assert isinstance(month, Directory)
    for use in (lambda: month.find(NAME), lambda: month.page(0, 1)):
        with pytest.raises(RuntimeError, match="calls/5/2026-11 has not been loaded"):
            use()


def test_the_size_of_a_call_log_is_an_estimate_until_it_is_loaded(root: Root, calls: PlainCalls) -> None:
    calls.put(call())
    calls.loaded = set()
    log = at(root, "101 Jane", "Calls", "2026-11.csv")
    assert isinstance(log, CallLogFile)
    assert (log.size_bytes, log.size_is_exact, log.is_quick, log.grows) == (1 << 20, False, False, True)
    with pytest.raises(RuntimeError):
        log.content()
    calls.loaded = None
    assert len(table(root, "101 Jane", "Calls", "2026-11.csv")) == 1


@pytest.mark.parametrize(
    ("name", "is_there"),
    [
        ("2026-11.csv", True),
        ("2026-11.jsonl", True),
        ("2024-02.csv", True),
        ("2000-01.csv", True),
        ("1999-12.csv", False),
        ("2026-12.csv", False),
        ("2026-13.csv", False),
        ("2026-11", False),
        ("2026-11.txt", False),
        ("2026-1.csv", False),
        ("\u0662026-11.csv", False),
        ("undated.csv", False),
        (".csv", False),
        ("", False),
    ],
)
def test_an_older_month_can_be_looked_up_but_not_a_future_one(
    root: Root, name: str, *, is_there: bool
) -> None:
    directory = at(root, "101 Jane", "Calls")
    assert isinstance(directory, Directory)
    assert (directory.find(name) is not None) is is_there
    if name == "2024-02.csv":
        assert name not in directory.entries()
        assert at(directory, name).collection_id == "calls/5/2024-02"


def test_recordings_are_listed_by_month(root: Root, calls: PlainCalls) -> None:
    october = attrs.evolve(LEG, started_s=NOV_S - 30 * 86400, recording=Recording("78"), direction="Outbound")
    calls.put(call(), call("c2", october))
    assert names(root, "101 Jane", "Recordings", "2026-11") == [NAME]
    assert names(root, "101 Jane", "Recordings", "2026-10") == [
        "2026-10-04T17.27.05Z to +1000 Jane 2m31s [78].mp3"
    ]
    assert names(root, "102 Bob", "Recordings", "2026-11") == []
    file = recording(root, "101 Jane", "Recordings", "2026-11", NAME)
    assert (file.key, file.place, file.purged) == (RecordingKey("1", "77"), (5, "Recordings"), False)
    assert file.times() == Times(NOV_S, NOV_S)
    assert file.wanted().uri == "https://m/77/content"


def test_each_leg_of_a_transfer_is_with_its_extension(root: Root, calls: PlainCalls) -> None:
    second = Leg(extension_id=6, started_s=NOV_S + 60, duration_s=90, recording=Recording("78"))
    third = Leg(extension_id=99, recording=Recording("79"))
    calls.put(call("c1", LEG, LEG, second, third))
    second_name = "2026-11-03T17.28.05Z from +12125557464 Bob Ray 1m30s leg 2 [78].mp3"
    third_name = "2026-11-03T17.27.05Z from +12125557464 Bob Ray 2m31s leg 3 [79].mp3"
    assert names(root, "101 Jane", "Recordings", "2026-11") == [NAME]
    assert names(root, "102 Bob", "Recordings", "2026-11") == [second_name]
    assert names(root, "Company", "Recordings", "2026-11") == [third_name]
    (line,) = table(root, "Company", "Calls", "2026-11.csv")
    assert line["recording"].split(" | ") == [
        f"101 Jane/Recordings/2026-11/{NAME}",
        f"102 Bob/Recordings/2026-11/{second_name}",
        f"Company/Recordings/2026-11/{third_name}",
    ]
    for path in line["recording"].split(" | "):
        assert isinstance(at(root, *path.split("/")), RecordingFile)
    assert table(root, "102 Bob", "Calls", "2026-11.csv") == [line]


def test_a_leg_after_midnight_stays_in_the_month_of_its_call(root: Root, calls: PlainCalls) -> None:
    first = attrs.evolve(LEG, started_s=1793491199.0, recording=None)  # 2026-10-31T23:59:59Z
    calls.put(call("c1", first, attrs.evolve(LEG, started_s=1793491205.0)))
    assert names(root, "101 Jane", "Recordings", "2026-11") == []
    assert names(root, "101 Jane", "Recordings", "2026-10") == [
        "2026-11-01T00.00.05Z from +12125557464 Bob Ray 2m31s [77].mp3"
    ]


def test_recordings_have_the_facts_of_their_leg_as_attributes(root: Root, calls: PlainCalls) -> None:
    second = Leg(
        "Outbound", Party("", "", "101"), Party("Eve"), 6, recording=Recording("78", "OnDemand"), duration_s=0
    )
    calls.put(call("c1", LEG, LEG, second))
    assert recording(root, "101 Jane", "Recordings", "2026-11", NAME).xattrs() == {
        "user.rcfs.recording_id": "77",
        "user.rcfs.call_id": "c1",
        "user.rcfs.session_id": "321",
        "user.rcfs.direction": "Inbound",
        "user.rcfs.from": "+12125557464",
        "user.rcfs.to": "+1000",
        "user.rcfs.duration": "151",
        "user.rcfs.type": "Automatic",
        "user.rcfs.key": "1/recording/77",
    }
    (name,) = names(root, "102 Bob", "Recordings", "2026-11")
    found = recording(root, "102 Bob", "Recordings", "2026-11", name).xattrs()
    assert (found["user.rcfs.from"], found["user.rcfs.to"]) == ("101", "Eve")
    assert (found["user.rcfs.duration"], found["user.rcfs.type"]) == ("0", "OnDemand")


def test_the_attributes_of_a_call_that_is_gone_are_those_of_the_index(root: Root, calls: PlainCalls) -> None:
    calls.put(call())
    file = recording(root, "101 Jane", "Recordings", "2026-11", NAME)
    calls.calls.clear()
    assert file.xattrs() == {
        "user.rcfs.recording_id": "77",
        "user.rcfs.duration": "151",
        "user.rcfs.key": "1/recording/77",
    }


def test_a_recording_that_the_platform_lost_is_asked_of_caches_only(root: Root, calls: PlainCalls) -> None:
    calls.put(call())
    calls.gone.add("77")
    file = recording(root, "101 Jane", "Recordings", "2026-11", NAME)
    assert file.purged
    assert file.wanted().purged


def test_a_fetched_size_is_exact(root: Root, calls: PlainCalls) -> None:
    calls.put(call())
    calls.learned[RecordingKey("1", "77")] = 12
    assert recording(root, "101 Jane", "Recordings", "2026-11", NAME).size() == (12, True)


@pytest.mark.parametrize(
    ("duration_s", "uri", "size"),
    [
        (None, "", 1 << 20),
        (10, "https://m/77/content", 1 << 20),
        # 601 s at 16,000 bytes a second, and at 4,000; rounded up to whole 4096
        (600, "https://m/77/content", 2348 * 4096),
        (600, "https://m/77.wav", 2348 * 4096),
        (600, "https://m/77.mp3?x=.wav", 587 * 4096),
        (10**30, "", 1 << 30),
    ],
)
def test_the_size_of_a_recording_is_estimated_upwards(duration_s: int | None, uri: str, size: int) -> None:
    calls = PlainCalls([JANE])
    leg = attrs.evolve(LEG, duration_s=duration_s, recording=Recording("77", "", uri))
    calls.put(call("c1", leg))
    month = at(build_root([JANE], fallback_s=1.0, calls=calls), "101 Jane", "Recordings", "2026-11")
    assert isinstance(month, Directory)
    (file,) = month.entries().values()
    assert isinstance(file, RecordingFile)
    assert file.size() == (size, False)


def test_a_recording_whose_uri_says_so_is_a_wav(root: Root, calls: PlainCalls) -> None:
    calls.put(call("c1", attrs.evolve(LEG, recording=Recording("77", "", "https://[m/77.WAV?x#y"))))
    assert names(root, "101 Jane", "Recordings", "2026-11") == [NAME.replace(".mp3", ".wav")]


def test_records_are_whole_lines(root: Root, calls: PlainCalls) -> None:
    raw = '{\n"id": "c2",\n"x": "\\ud83d\u2028\u202e\x9b"}'
    calls.put(call(), call("c2", started := attrs.evolve(LEG, started_s=NOV_S + 1, recording=None), raw=raw))
    lines = text(root, "101 Jane", "Calls", "2026-11.jsonl").decode().split("\n")
    assert lines.pop() == ""
    assert list(map(json.loads, lines)) == [{"id": "c1"}, json.loads(raw)]
    assert all(line.isascii() for line in lines)
    assert started.recording is None


def test_a_long_log_comes_in_pieces(root: Root, calls: PlainCalls) -> None:
    calls.put(*(call(f"c{n}", attrs.evolve(LEG, recording=None)) for n in range(2000)))
    log = at(root, "Company", "Calls", "2026-11.csv")
    assert isinstance(log, CallLogFile)
    pieces = list(log.pieces())
    assert len(pieces) > 1
    assert all(len(piece) < (1 << 16) + 1000 for piece in pieces)
    assert sum(map(len, pieces)) == log.size_bytes


def test_a_month_without_calls_has_a_header_and_no_records(root: Root) -> None:
    assert text(root, "101 Jane", "Calls", "2026-10.jsonl") == b""
    assert text(root, "101 Jane", "Calls", "2026-10.csv").decode() == (
        "time,direction,from_number,from_name,to_number,to_name,extension,result,seconds,type,session_id,"
        "recording,message\n"
    )


def test_calls_without_a_time_are_listed_last_and_need_no_load(root: Root, calls: PlainCalls) -> None:
    calls.loaded = set()
    calls.put(call("c1", attrs.evolve(LEG, started_s=None)))
    assert names(root, "101 Jane", "Recordings") == ["2026-11", "2026-10", "2026-09", "undated"]
    assert names(root, "101 Jane", "Recordings", "undated") == [
        "undated from +12125557464 Bob Ray 2m31s [77].mp3"
    ]
    assert names(root, "101 Jane", "Calls")[-2:] == ["undated.csv", "undated.jsonl"]
    (line,) = table(root, "101 Jane", "Calls", "undated.csv")
    assert line["time"] == ""


def test_a_listing_of_months_continues_after_its_cursor_while_months_come(
    root: Root, calls: PlainCalls
) -> None:
    for view, first in (("Calls", "2026-11.csv"), ("Recordings", "2026-11")):
        calls.months = ["2026-10", "2026-11"]
        directory = at(root, "101 Jane", view)
        assert isinstance(directory, Directory)
        (entry,) = directory.page(0, 1)
        assert entry.name == first
        calls.months = ["2026-10", "2026-11", "2026-12"]
        rest = directory.page(entry.cursor, 9)
        assert [each.name for each in rest][-1].startswith("2026-10")
        assert not any(each.name.startswith("2026-12") for each in rest)
        assert directory.page(rest[-1].cursor, 9) == []


def test_times_are_those_of_the_newest_call(root: Root, calls: PlainCalls) -> None:
    paths = [("Calls",), ("Recordings",), ("Calls", "2026-11.csv"), ("Recordings", "2026-11")]
    assert {at(root, "101 Jane", *path).times() for path in paths} == {Times(9.0, 9.0)}
    calls.put(call())
    assert {at(root, "101 Jane", *path).times() for path in paths} == {Times(NOV_S + 200, NOV_S + 200)}
    assert at(root, "101 Jane", "Recordings", "2026-10").times() == Times(9.0, 9.0)


def test_the_months_of_the_calls_may_change_with_them(root: Root) -> None:
    directory = at(root, "101 Jane", "Calls")
    assert isinstance(directory, Directory)
    assert directory.volatile_names() == list(directory.entries())
