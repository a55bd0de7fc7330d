"""The catalogue of a loaded mailbox."""

from types import SimpleNamespace
from typing import Any, cast

from rcfs.mailbox import MailboxCatalogue


def test_a_record_is_parsed_once_and_again_after_a_change() -> None:
    records = {1: '{"id":1,"subject":"old"}'}
    index = SimpleNamespace(record=lambda _mailbox, message_id: records.get(message_id))
    catalogue = MailboxCatalogue(cast(Any, index), cast(Any, None), 7, "1", 101)

    first = catalogue.read(1)
    records[1] = "".join(list(records[1]))  # as the index gives it: the same text in another string
    assert first is not None
    assert catalogue.read(1) is first

    records[1] = '{"id":1,"subject":"new"}'
    second = catalogue.read(1)
    assert second is not None
    assert (first.subject, second.subject) == ("old", "new")

    del records[1]
    assert catalogue.read(1) is None
