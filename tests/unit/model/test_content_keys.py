"""Keys of contents: each has a path of its own, from which it can be parsed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.model import (
    HEAVY,
    MEDIUM,
    Attachment,
    AttachmentKey,
    CompanyGreetingKey,
    ContentKey,
    DatasetKey,
    GreetingKey,
    Message,
    PromptKey,
    RecordingKey,
    ReportKey,
    StandardGreetingKey,
)

ACCOUNTS = st.integers(1, 10**20).map(str)
NUMBERS = st.integers(0, 1 << 63)
IDS = st.text(st.characters(), min_size=1, max_size=9).filter(lambda text: text not in (".", ".."))
KEYS: st.SearchStrategy[ContentKey] = st.one_of(
    st.builds(AttachmentKey, ACCOUNTS, NUMBERS, NUMBERS, NUMBERS),
    st.builds(RecordingKey, ACCOUNTS, IDS),
    st.builds(GreetingKey, ACCOUNTS, NUMBERS, IDS),
    st.builds(CompanyGreetingKey, ACCOUNTS, IDS),
    st.builds(StandardGreetingKey, ACCOUNTS, IDS),
    st.builds(PromptKey, ACCOUNTS, IDS),
    st.builds(ReportKey, ACCOUNTS, IDS, NUMBERS),
    st.builds(DatasetKey, ACCOUNTS, IDS, IDS),
)


@given(KEYS, KEYS)
def test_a_path_is_parsed_to_its_key_and_to_no_other(key: ContentKey, other: ContentKey) -> None:
    assert ContentKey.parse(str(key)) == key
    assert (str(key) == str(other)) == (key == other)
    assert str(key).startswith(f"{key.account_id}/"), "an account is forgotten by it"
    assert str(key).isascii()
    assert "#" not in str(key), "a cache puts the number of a chunk after it"
    assert str(key).isprintable()
    assert " " not in str(key), "a list of pins has a checksum after it"


@given(st.text("0123456789/abc%.-ginrdeotpsm", max_size=30))
def test_any_text_is_the_path_of_a_key_or_refused(text: str) -> None:
    try:
        key = ContentKey.parse(text)
    except ValueError:
        return
    assert str(key) == text


@pytest.mark.parametrize(
    ("key", "path", "resource", "group"),
    [
        (AttachmentKey("1", 2, 3, 4), "1/2/3/4", "/extension/2/message-store/3/content/4", MEDIUM),
        (RecordingKey("1", "34"), "1/recording/34", "/recording/34/content", HEAVY),
        (GreetingKey("1", 2, "5"), "1/greeting/2/5", "/extension/2/greeting/5/content", HEAVY),
        (CompanyGreetingKey("1", "5"), "1/company-greeting/5", "/greeting/5/content", HEAVY),
        (PromptKey("1", "5"), "1/prompt/5", "/ivr-prompts/5/content", HEAVY),
        (ReportKey("1", "1-2-ff", 0), "1/report/1-2-ff/0", "/message-store-report/1-2-ff/archive/0", HEAVY),
        (RecordingKey("1", "a/b c"), "1/recording/a%2Fb%20c", "/recording/a%2Fb%20c/content", HEAVY),
    ],
)
def test_a_key_knows_its_path_its_resource_and_its_group(
    key: ContentKey, path: str, resource: str, group: str
) -> None:
    assert (str(key), key.resource, key.group) == (path, f"/restapi/v1.0/account/1{resource}", group)


def test_the_resource_of_a_preset_is_outside_the_account() -> None:
    key = StandardGreetingKey("1", "65536")
    assert (str(key), key.resource, key.group) == (
        "1/standard-greeting/65536",
        "/mobile/media/greeting/65536",
        MEDIUM,
    )


def test_the_resource_of_a_dataset_is_outside_the_account() -> None:
    key = DatasetKey("1", "a", "2")
    assert (str(key), key.resource) == ("1/dataset/a/2", "/team-messaging/v1/data-export/a/datasets/2")


@pytest.mark.parametrize(
    "text", ["", "1/2/3", "1/recording", "1/recording/2/3", "1/recording/a b", "1/02/3/4"]
)
def test_a_text_that_is_not_a_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ContentKey.parse(text)


@pytest.mark.parametrize("wrong", ["", ".", "..", "x" * 129])
def test_an_id_that_would_change_the_path_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="recording_id"):
        RecordingKey("1", wrong)


def test_the_attachments_of_a_message_that_are_fetched() -> None:
    text, voice = Attachment(1, "Text"), Attachment(2, "AudioRecording")
    again = Attachment(2, "AudioTranscription")
    said = Message(7, "SMS", subject="hello", attachments=(text, voice, again))
    assert said.fetched_attachments == (voice,), "the record has the text, and an id is one content"
    unsaid = Message(7, "SMS", attachments=(text, voice))
    assert unsaid.fetched_attachments == (text, voice)
