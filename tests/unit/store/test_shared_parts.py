"""The list of parts of a pull on several machines, on a real server."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from rcfs.errors import ConfigError, SharedLedgerError
from rcfs.model import LedgerAddress
from rcfs.store import SharedParts, _server_parts
from tests.fakes.ledger_server import shared_server

NewClient = Callable[..., SharedParts]
PARTS = ("101/2026-10", "101/2026-11", "Exports/-")


@pytest.fixture
def new_client() -> Iterator[NewClient]:
    """Makes clients of one list."""
    name = secrets.token_hex(4)
    with ExitStack() as stack:

        def new(scope: str = "everything") -> SharedParts:
            client = SharedParts(shared_server().address, None, "https://x 400123", name, scope)
            return stack.enter_context(closing(client))

        yield new


def test_each_part_goes_to_one_machine_and_is_done_once(new_client: NewClient) -> None:
    first, second = new_client(), new_client()
    assert first.exchange(choice=PARTS, most=1).taken == PARTS[:1]
    assert second.exchange(choice=PARTS, most=2).taken == PARTS[1:]
    assert first.exchange(choice=PARTS[1:], most=1).taken == ()
    told = second.exchange(done=PARTS[1:2], held=PARTS[2:])
    assert (told.total_done, told.lost) == (1, ())
    again = first.exchange(done=PARTS[1:2], choice=PARTS[1:], most=2)
    assert (again.total_done, again.done, again.taken) == (1, PARTS[1:2], ())


def test_a_part_that_is_given_back_or_whose_lease_has_ended_goes_to_another_machine(
    new_client: NewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = new_client(), new_client()
    assert first.exchange(choice=PARTS, most=1).taken == PARTS[:1]
    assert second.exchange(freed=PARTS[:1], choice=PARTS[:1], most=1).taken == (), "it is not its own"
    first.exchange(freed=PARTS[:1])
    monkeypatch.setattr(_server_parts, "PART_LEASE_S", -1.0)
    assert second.exchange(choice=PARTS[:1], most=1).taken == PARTS[:1]
    assert first.exchange(choice=PARTS[:1], most=1).taken == PARTS[:1]
    assert second.exchange(held=PARTS[:1]).lost == ()
    monkeypatch.undo()
    first.exchange(held=PARTS[:1])
    assert second.exchange(held=PARTS[:1]).lost == PARTS[:1]


def test_a_list_that_the_server_has_forgotten_has_another_token(new_client: NewClient) -> None:
    client = new_client()
    born = client.exchange().born
    assert client.exchange().born == born
    client._client.redis.delete(client._key)
    assert client.exchange().born != born


def test_a_pull_of_something_else_cannot_join(new_client: NewClient) -> None:
    new_client().exchange()
    with pytest.raises(ConfigError, match="have other paths or conditions"):
        new_client("faxes").exchange()


def test_a_server_that_is_away_is_told_in_one_line() -> None:
    client = SharedParts(LedgerAddress(path="/nowhere"), None, "account", "name", "")
    with pytest.raises(SharedLedgerError, match="the ledger server unix:///nowhere cannot be reached"):
        client.exchange()


def test_the_parts_of_a_process_that_died_on_this_machine_are_free_at_once(
    new_client: NewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, living, client = new_client(), new_client(), new_client()
    client.exchange(choice=PARTS[:1], most=1)
    living.exchange(choice=PARTS[1:2], most=1)
    shown, boot, process, token = dead._owner.split(" ")
    namespace = process.rpartition(".")[2]
    monkeypatch.setattr(dead, "_owner", f"{shown} {boot} 1.1.{namespace} {token}")
    dead.exchange(choice=PARTS[2:], most=1)
    assert client.exchange(choice=PARTS[1:], most=2).taken == ()
    assert client.exchange(choice=PARTS[1:], most=2).taken == PARTS[2:]
