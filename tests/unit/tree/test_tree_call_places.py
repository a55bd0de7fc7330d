"""The places of calls and recordings in the tree: contacts, the company, and keys."""

import attrs
import pytest

from rcfs.model import COMPANY, Extension, Message, Party, Recording, RecordingKey
from rcfs.tree import Directory, Link, RecordingFile, Root, Times, build_root
from tests.fakes.call_catalogue import PlainCalls
from tests.fakes.calls import BOB, JANE, LEG, NAME, NOV_S, RAY, call
from tests.fakes.catalogue import PlainCatalogue
from tests.fakes.nodes import at, names


@pytest.fixture
def calls() -> PlainCalls:
    return PlainCalls([JANE, BOB])


@pytest.fixture
def root(calls: PlainCalls) -> Root:
    return build_root([JANE, BOB], fallback_s=1.0, calls=calls)


def test_a_contact_links_to_its_recordings_after_its_messages(root: Root, calls: PlainCalls) -> None:
    mailbox = PlainCatalogue()
    mailbox.put(*(Message(n, "SMS", "Inbound", RAY, created_s=NOV_S) for n in (1, 2)))
    root.extension(5).show(mailbox)
    row = mailbox.folder("By-Contact", "+12125557464 Bob Ray")
    assert row is not None
    calls.folders[row.number] = "+12125557464"
    calls.put(call(), call("c2", attrs.evolve(LEG, recording=Recording("78"), sender=Party("Eve", "+1999"))))
    folder = at(root, "101 Jane", "By-Contact", row.name)
    assert isinstance(folder, Directory)
    message = "2026-11-03T17.27.05Z from Bob Ray [{}]"
    expected = [message.format(1), message.format(2), NAME]
    assert list(folder.entries()) == expected
    paged, after = [], 0
    while page := folder.page(after, 1):
        paged += [entry.name for entry in page]
        after = page[-1].cursor
    assert paged == expected
    link = at(folder, NAME)
    assert isinstance(link, Link)
    assert link.target == f"../../Recordings/2026-11/{NAME}"
    assert link.times() == Times(NOV_S, NOV_S)
    assert isinstance(at(root, "101 Jane", *link.target.split("/")[2:]), RecordingFile)
    assert folder.find(NAME.replace("77", "78")) is None
    calls.has_calls = False
    assert list(folder.entries()) == expected[:2]
    assert folder.find(NAME) is None


def test_without_the_scope_there_are_no_folders_of_calls(root: Root, calls: PlainCalls) -> None:
    calls.has_calls = False
    assert {"Calls", "Recordings"} & set(names(root, "101 Jane")) == set()
    assert names(root, "Company") == []
    company = at(root, "Company")
    assert isinstance(company, Directory)
    assert company.find("Calls") is None


def test_extensions_without_a_mailbox_have_calls(root: Root) -> None:
    root.extension(5).show_none()
    assert names(root, "101 Jane") == ["Calls", "Recordings", "extension.json"]


def test_the_company_is_one_node_that_comes_and_goes(root: Root, calls: PlainCalls) -> None:
    company = at(root, "Company")
    assert root.show([JANE, BOB]) == set()
    assert at(root, "Company") is company
    assert (root.name_of(COMPANY), root.owner_of(COMPANY) is not None) == ("Company", True)
    calls.has_company = False
    assert root.show([JANE, BOB]) == {"Company"}
    assert (root.find("Company"), root.name_of(COMPANY), root.owner_of(COMPANY)) == (None, None, None)
    calls.has_company = True
    assert root.show([JANE, BOB]) == {"Company"}
    assert at(root, "Company") is company


@pytest.mark.parametrize("name", ["Company", "company"])
def test_no_extension_is_called_as_the_company(name: str) -> None:
    made = build_root([Extension(1, "", name)], fallback_s=1.0, calls=PlainCalls())
    assert list(made.entries()) == [f"{name} (2)", "Company"]
    assert list(build_root([Extension(1, "", name)], fallback_s=1.0).entries()) == [f"{name} (2)"]


def test_a_recording_is_found_by_its_key(root: Root, calls: PlainCalls) -> None:
    calls.put(call())
    found = root.content_file(RecordingKey("1", "77"))
    assert isinstance(found, RecordingFile)
    assert found.row.name == NAME
    assert root.content_file(RecordingKey("1", "78")) is None
    assert root.content_file(RecordingKey("2", "77")) is None, "another account"
