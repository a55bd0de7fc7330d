"""The generated account: the same from the same seed, true to the description, hostile on purpose."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from rcfs.simulator.account._account import AccountSpec, SimAccount, SimExtension, latest_present_s

PLATFORM, MEDIA = "http://127.0.0.1:1", "http://127.0.0.1:2"
REPOSITORY = Path(__file__).parents[3]
Record = dict[str, Any]


@pytest.fixture(scope="module")
def account() -> SimAccount:
    return SimAccount(AccountSpec())


@pytest.fixture(scope="module")
def records(account: SimAccount) -> list[tuple[SimExtension, Record]]:
    return [
        (extension, account.message_record(extension.id, message_id, PLATFORM, MEDIA))
        for extension in account.extensions
        for message_id in account.message_ids(extension.id)
    ]


def of_slot(records: list[tuple[SimExtension, Record]], slot: int) -> list[Record]:
    return [record for extension, record in records if extension.slot == slot]


def attachments(record: Record) -> list[Record]:
    listed = record.get("attachments")
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def named(records: list[tuple[SimExtension, Record]], subject: object) -> Record:
    (found,) = [record for record in of_slot(records, 1) if record.get("subject") == subject]
    return found


def is_hostile(account: SimAccount, extension: SimExtension, record: Record) -> bool:
    message = account.message(extension.id, record["id"])
    assert message is not None
    return message.fixture is not None and extension.slot == 1


def fingerprint(account: SimAccount) -> str:
    """Checksum of everything that a client can see."""
    digest = hashlib.sha256(json.dumps(account.account_record(PLATFORM)).encode())
    for extension in account.extensions:
        digest.update(json.dumps(account.extension_record(extension.id, PLATFORM)).encode())
        for message_id in account.message_ids(extension.id):
            digest.update(
                json.dumps(account.message_record(extension.id, message_id, PLATFORM, MEDIA)).encode()
            )
    for row in account.truth():
        digest.update(repr(attrs.astuple(row)).encode())
    return digest.hexdigest()


def test_equal_specs_are_equal_accounts_in_another_process() -> None:
    script = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('account_tests', {str(Path(__file__))!r})\n"
        "tests = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(tests)\n"
        "print(tests.fingerprint(tests.SimAccount(tests.AccountSpec(messages=250))))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "77"}
    other = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert other.stdout.strip() == fingerprint(SimAccount(AccountSpec(messages=250)))


def test_asking_in_another_order_changes_nothing() -> None:
    forward, backward = (SimAccount(AccountSpec(messages=300)) for _ in range(2))

    def all_of(account: SimAccount, extensions: Iterator[SimExtension], step: int) -> Record:
        return {
            str((extension.id, message_id)): account.message_record(extension.id, message_id, PLATFORM, MEDIA)
            for extension in extensions
            for message_id in account.message_ids(extension.id)[::step]
        }

    first = all_of(forward, iter(forward.extensions), 1)
    assert first == all_of(backward, reversed(backward.extensions), -1)


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"messages": 3001}, {"extensions": 7}, {"months": 23}, {"end_s": 1_795_176_001.0}],
    ids=str,
)
def test_another_spec_is_another_account(account: SimAccount, change: dict[str, Any]) -> None:
    other = SimAccount(attrs.evolve(AccountSpec(), **change))
    assert other.account_id != account.account_id
    assert not {e.id for e in other.extensions} & {e.id for e in account.extensions}


@pytest.mark.parametrize(
    ("now_s", "end_s"),
    [
        (1_795_176_000.0, 1_795_176_000.0),
        (1_795_780_799.5, 1_795_176_000.0),
        (1_795_780_800.0, 1_795_780_800.0),
        (1_795_175_999.0, 1_794_571_200.0),
        (1_830_297_600.0, 1_830_254_400.0),  # 2028-01-01
    ],
)
def test_the_latest_friday_noon(now_s: float, end_s: float) -> None:
    assert latest_present_s(now_s) == end_s


def test_the_accounts_of_two_weeks_differ_only_in_times() -> None:
    later_s = 60 * 7 * 86_400.0
    one, other = (SimAccount(AccountSpec(messages=90, end_s=AccountSpec().end_s + by)) for by in (0, later_s))
    for mine, its in zip(one.extensions, other.extensions, strict=True):
        assert one.message_ids(mine.id) == other.message_ids(its.id)
        for number in one.message_ids(mine.id):
            first, second = one.message(mine.id, number), other.message(its.id, number)
            assert first is not None
            assert second is not None
            assert (first.created_s or 0) + later_s == second.created_s
            assert (first.type, first.read_status) == (second.type, second.read_status)
            assert one.draft(first).fields.get("subject") == other.draft(second).fields.get("subject")


@pytest.mark.parametrize("wrong", [{"messages": -1}, {"extensions": 0}, {"months": 0}], ids=str)
def test_an_invalid_spec_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be >="):
        AccountSpec(**wrong)


@pytest.mark.parametrize(
    ("messages", "extensions"), [(0, 1), (1, 1), (19, 1), (200, 1), (250, 6), (3000, 6), (3000, 9)]
)
def test_the_number_of_messages_is_what_was_asked_for(messages: int, extensions: int) -> None:
    account = SimAccount(AccountSpec(messages=messages, extensions=extensions))
    ids = [i for extension in account.extensions for i in account.message_ids(extension.id)]
    assert len(ids) == len(set(ids)) == messages
    assert len(account.extensions) == extensions


def test_the_cast_is_complete(account: SimAccount) -> None:
    people = account.extensions
    assert [person.number for person in people if person.is_admin] == ["101"]
    assert any("/" in person.name for person in people)
    assert max(Counter(person.name for person in people).values()) == 2
    assert [person.type for person in people].count("Department") == 1
    assert [person.mailbox_refused for person in people].count(True) == 1
    assert [(person.status, person.number) for person in people if not person.number] == [("Unassigned", "")]
    unassigned = next(person for person in people if not person.number)
    assert "extensionNumber" not in account.extension_record(unassigned.id, PLATFORM)


def test_mailboxes_are_newest_first_and_within_the_months(account: SimAccount) -> None:
    spec = account.spec
    start_s = spec.end_s - spec.months * 31 * 86_400
    for extension in account.extensions:
        messages = [account.message(extension.id, i) for i in account.message_ids(extension.id)]
        times = [m.created_s for m in messages if m is not None and m.created_s is not None]
        assert times == sorted(times, reverse=True)
        assert times[0] < spec.end_s
        assert times[-1] >= start_s
        for message in messages:
            assert message is not None
            assert message.last_modified <= spec.end_s
            assert message.created_s is None or message.last_modified >= message.created_s


def test_the_types_of_messages_are_mixed_as_in_an_office(records: list[tuple[SimExtension, Record]]) -> None:
    total = len(records)
    kinds = Counter(record.get("type") for _, record in records)
    mms = sum(any(a.get("type") == "MmsAttachment" for a in attachments(record)) for _, record in records)
    assert (kinds["SMS"] - mms) / total == pytest.approx(0.55, abs=0.03)
    assert mms / total == pytest.approx(0.10, abs=0.02)
    assert kinds["VoiceMail"] / total == pytest.approx(0.17, abs=0.02)
    assert kinds["Fax"] / total == pytest.approx(0.11, abs=0.02)
    assert kinds["Pager"] / total == pytest.approx(0.07, abs=0.02)
    deleted = [record for _, record in records if record["availability"] == "Deleted"]
    assert len(deleted) / total == pytest.approx(0.03, abs=0.01)
    transcripts = Counter(
        (r["vmTranscriptionStatus"], len(attachments(r))) for _, r in records if r.get("type") == "VoiceMail"
    )
    assert set(transcripts) == {("Completed", 2), ("CompletedPartially", 2), ("NotAvailable", 1)}
    contents = Counter(a.get("contentType") for _, record in records for a in attachments(record))
    assert set(contents) >= {
        "text/plain", "text/vcard", "image/jpeg", "image/gif", "video/mp4", "audio/x-wav", "audio/wav",
        "audio/mpeg", "application/pdf", "image/tiff",
    }  # fmt: skip
    assert any(a.get("type") == "SourceDocument" for _, record in records for a in attachments(record))
    assert any(len(record.get("to", "")) > 1 for _, record in records if record.get("type") == "Pager")


def test_conversations_alternate_and_have_exact_ids(records: list[tuple[SimExtension, Record]]) -> None:
    turns: Counter[str] = Counter()
    for _, record in records:
        if "conversation" in record:
            assert record["conversation"]["id"] == str(record["conversationId"])
            assert record["conversationId"] > 2**53
            turns[record["conversation"]["id"]] += 1
    assert sum(count >= 3 for count in turns.values()) > 50


def test_the_examples_of_the_documentation_are_there(account: SimAccount) -> None:
    jane = account.extensions[0]
    sms = account.message_record(jane.id, 6424569004, PLATFORM, MEDIA)
    assert sms["subject"] == "Test SMS using a RingCentral Developer account - Hello World"
    assert sms["creationTime"] == "2026-11-03T17:27:05.000Z"
    assert sms["from"]["phoneNumber"] == "+12125557464"
    fax = account.message_record(jane.id, 5209304004, PLATFORM, MEDIA)
    assert (fax["type"], fax["subject"]) == ("Fax", "+12125559976")
    voicemail = account.message_record(jane.id, 402406984008, PLATFORM, MEDIA)
    assert voicemail["to"] == [{"name": "Jane Smith"}]
    assert voicemail["attachments"][0]["vmDuration"] == 25


def test_the_oldest_messages_have_attachments_with_id_1(
    account: SimAccount, records: list[tuple[SimExtension, Record]]
) -> None:
    jane = account.extensions[0]
    old = [r for r in of_slot(records, 0) if [a["id"] for a in attachments(r)] == [1]]
    assert {record["type"] for record in old} == {"SMS", "Fax", "VoiceMail"}
    checksums = {content.sha256() for r in old if (content := account.content(jane.id, r["id"], 1))}
    assert len(checksums) == len(old) == 4


def test_attachments_are_on_the_hosts_that_real_payloads_name(
    account: SimAccount, records: list[tuple[SimExtension, Record]]
) -> None:
    hosts: dict[str, set[str]] = {}
    for extension, record in records:
        for a in attachments(record):
            if "id" in a and "type" in a:
                path = f"/restapi/v1.0/account/{account.account_id}/extension/{extension.id}"
                path += f"/message-store/{record['id']}/content/{a['id']}"
                origin = a["uri"].removesuffix(path)
                hosts.setdefault(a["type"], set()).add(origin)
    assert hosts["Text"] == hosts["AudioRecording"] == hosts["AudioTranscription"] == {PLATFORM}
    assert hosts["MmsAttachment"] == {MEDIA}
    assert hosts["RenderedDocument"] == {PLATFORM, MEDIA}


def test_only_records_of_mms_files_have_a_size(records: list[tuple[SimExtension, Record]]) -> None:
    shown = Counter((a["type"], "size" in a) for _, record in records for a in attachments(record))
    assert {kind for kind, sized in shown if sized} == {"MmsAttachment"}
    assert shown["MmsAttachment", False] == 1  # the hostile one


def test_truth_agrees_with_records_and_contents() -> None:
    account = SimAccount(AccountSpec(seed=5, messages=250))
    listed: dict[tuple[int, int, int], Record] = {}
    refused = {extension.id for extension in account.extensions if extension.mailbox_refused}
    for extension in account.extensions:
        for message_id in account.message_ids(extension.id):
            record = account.message_record(extension.id, message_id, PLATFORM, MEDIA)
            for a in attachments(record):
                if "id" in a and extension.id not in refused:
                    listed[extension.id, message_id, a["id"]] = a | {"subject": record.get("subject")}
    truth = {(r.extension_id, r.message_id, r.attachment_id): r for r in account.truth()}
    assert truth.keys() == listed.keys()
    for key, row in truth.items():
        content = account.content(*key)
        assert content is not None
        data = content.read(0, content.size_bytes)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (row.size_bytes, row.sha256)
        shown = listed[key]
        assert shown.get("contentType", row.content_type) == row.content_type == content.content_type
        if isinstance(shown.get("size"), int):
            assert shown["size"] == len(data)
        if row.kind == "Text":
            assert data == shown["subject"].encode()
        if isinstance(shown.get("vmDuration"), int) and row.content_type != "audio/mpeg":
            sample_bytes = data[34] // 8
            assert (len(data) - 44) / 8000 / sample_bytes == pytest.approx(shown["vmDuration"], abs=0.5)
    media = [row.sha256 for row in truth.values() if not row.content_type.startswith("text/")]
    assert len(media) == len(set(media)) > 50


def test_a_fax_contains_the_id_of_its_message(
    account: SimAccount, records: list[tuple[SimExtension, Record]]
) -> None:
    fax = next(r for r in of_slot(records, 2) if r["type"] == "Fax" and attachments(r))
    content = account.content(account.extensions[2].id, fax["id"], fax["id"])
    assert content is not None
    assert f"fax {fax['id']}".encode() in content.read(0, content.size_bytes)


def test_one_fax_is_large(account: SimAccount, records: list[tuple[SimExtension, Record]]) -> None:
    (fax,) = [r for r in of_slot(records, 0) if r.get("faxPageCount") == 24]
    content = account.content(account.extensions[0].id, fax["id"], fax["id"])
    assert content is not None
    assert 12_000_000 <= content.size_bytes < 12_200_000


def test_changed_states_are_stored_and_shown(account: SimAccount) -> None:
    jane = account.extensions[0]
    account = SimAccount(AccountSpec(messages=30))
    jane = account.extensions[0]
    message = account.message(jane.id, 6424569004)
    assert message is not None
    message.read_status, message.availability, message.last_modified = "Read", "Deleted", 1_795_176_001.5
    shown = account.message_record(jane.id, message.id, PLATFORM, MEDIA)
    assert (shown["readStatus"], shown["availability"]) == ("Read", "Deleted")
    assert shown["lastModifiedTime"] == "2026-11-20T12:00:01.500Z"
    assert account.content(jane.id, message.id, message.id) is not None
    message.availability = "Purged"
    assert "attachments" not in account.message_record(jane.id, message.id, PLATFORM, MEDIA)
    assert account.content(jane.id, message.id, message.id) is None
    assert message.id not in {row.message_id for row in account.truth()}


def test_unknown_extensions_messages_and_attachments(account: SimAccount) -> None:
    jane = account.extensions[0].id
    assert account.message(jane, 7) is None
    assert account.content(jane, 7, 7) is None
    assert account.content(jane, 6424569004, 7) is None
    with pytest.raises(KeyError):
        account.message_ids(7)
    with pytest.raises(KeyError):
        account.message_record(jane, 7, PLATFORM, MEDIA)


def test_hostile_names_are_all_there(records: list[tuple[SimExtension, Record]]) -> None:
    names = [a["fileName"] for r in of_slot(records, 1) for a in attachments(r) if "fileName" in a]
    assert {
        "../../etc/passwd", ".bashrc", "a/b.jpg", "CON", "photo\u202egpj.exe", "README", "..", ".", "-rf", "",
        "line\nbreak\x07.jpg", "nul\x00byte.jpg", "img_0001.JPG",
    } <= set(names)  # fmt: skip
    assert names.count("IMG_0001.jpg") == 2
    assert any(len(name.encode()) == 300 for name in names)


def test_hostile_shapes_are_all_there(records: list[tuple[SimExtension, Record]]) -> None:
    assert named(records, "")["attachments"][0]["type"] == "Text"
    for field in ("from", "to", "creationTime", "attachments", "type"):
        assert field not in named(records, f"no {field}")
    assert named(records, "attachments null")["attachments"] is None
    assert named(records, "no objects")["attachments"] == ["not an object", None, 7]
    assert isinstance(named(records, "from a string")["from"], str)
    assert isinstance(named(records, 42)["to"], dict)
    assert any(a.get("size") == "12" for a in named(records, "size a string")["attachments"])
    assert named(records, "type unknown")["type"] == "Telegram"
    assert named(records, "kind unknown")["attachments"][0]["type"] == "Hologram"
    loose = [a for r in of_slot(records, 1) for a in attachments(r)]
    assert sum("contentType" not in a for a in loose) == 1
    assert sum("id" not in a for a in loose) == 1
    texts = [r["subject"] for r in of_slot(records, 1) if isinstance(r.get("subject"), str)]
    assert max(map(len, texts)) > 10_000
    assert any(re.search("[\u0590-\u05ff]", text) for text in texts)


def test_a_message_without_creation_time_is_listed_in_order(account: SimAccount) -> None:
    extension = account.extensions[1]
    found = [
        message
        for message_id in account.message_ids(extension.id)
        if (message := account.message(extension.id, message_id)) and message.created_s is None
    ]
    assert len(found) == 1


def test_small_accounts_have_no_hostile_records() -> None:
    account = SimAccount(AccountSpec(messages=199))
    for extension in account.extensions:
        for message_id in account.message_ids(extension.id):
            record = account.message_record(extension.id, message_id, PLATFORM, MEDIA)
            assert record["type"] in ("SMS", "VoiceMail", "Fax", "Pager")
            assert datetime.fromisoformat(record["creationTime"]).timestamp() < account.spec.end_s


def description() -> Record:
    path = Path(os.environ.get("RCFS_OPENAPI", REPOSITORY / "../shared/rc-api/openapi.json"))
    if not path.exists():
        pytest.skip("the official description is not here; RCFS_OPENAPI may name it")
    loaded: Record = json.loads(path.read_text())
    return loaded


def test_records_validate_against_the_official_description(
    account: SimAccount, records: list[tuple[SimExtension, Record]]
) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    components = description()["components"]

    def validator(schema: str) -> Any:
        return jsonschema.Draft202012Validator(
            {"$ref": f"#/components/schemas/{schema}", "components": components}
        )

    validator("GetAccountInfoResponse").validate(account.account_record(PLATFORM))
    for extension in account.extensions:
        shown = account.extension_record(extension.id, PLATFORM)
        validator("GetExtensionListInfoResponse").validate(shown)
        validator("GetExtensionInfoResponse").validate(shown)
    known = set(components["schemas"]["GetMessageInfoResponse"]["properties"])
    message_schema = validator("GetMessageInfoResponse")
    sample = [pair for pair in records[::7] if not is_hostile(account, *pair)]
    assert len(sample) > 400
    for _, record in sample:
        message_schema.validate(record)
        assert set(record) <= known
    broken = [record for pair in records if is_hostile(account, *pair) for record in [pair[1]]]
    assert sum(not message_schema.is_valid(record) for record in broken) >= 6
