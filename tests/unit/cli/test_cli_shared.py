"""The settings of a store that several machines share, and what `doctor` and `forget` do with it."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result

from rcfs.config import load_settings
from rcfs.errors import ConfigError
from rcfs.filenames import StateFiles
from rcfs.objects import Erasures, ObjectNames, ObjectStore, ObjectStoreError, open_objects
from rcfs.store import Login, MailboxIndex

Run = Callable[..., Result]
PLATFORM = "https://platform.ringcentral.com"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The shared store of the configuration, in a directory."""
    (tmp_path / "shared").mkdir()
    monkeypatch.setenv("RCFS_SHARED", str(tmp_path / "shared"))
    return open_objects(str(tmp_path / "shared"))


@pytest.fixture
def accounts(state_dir: Path, store: ObjectStore) -> list[str]:
    """Accounts on the disk, with the prefixes of their objects; each has two objects."""
    with closing(MailboxIndex.open(StateFiles(state_dir).mailboxes, pytest.fail)) as index:
        for account in ("1111", "2222"):
            index.writer.save_login(f"login of {account}", Login(account, f"{account} Ltd", ()))
    prefixes = [ObjectNames(PLATFORM).account(account) for account in ("1111", "2222")]
    for prefix in prefixes:
        store.put(f"{prefix}a/b", [b"1"], 1)
        store.put(f"{prefix}a/c", [b"1"], 1)
    return prefixes


def left(store: ObjectStore, prefix: str) -> int:
    return sum(len(found) for found in store.names(prefix))


@pytest.mark.usefixtures("credentials")
def test_forget_erases_an_account_from_the_shared_store(
    run: Run, store: ObjectStore, accounts: list[str]
) -> None:
    result = run("forget", "--account", "1111", "--yes", "--json")
    assert json.loads(result.stdout)["shared_objects"] == 2, result.output
    assert [left(store, prefix) for prefix in accounts] == [0, 2]
    assert "and 2 objects in the shared store" in run("forget", "--yes").output
    assert [left(store, prefix) for prefix in accounts] == [0, 0]


@pytest.mark.usefixtures("credentials")
def test_forget_asks_for_the_shared_store_separately(
    run: Run, store: ObjectStore, accounts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rcfs.cli._output.require_terminal", lambda _action: None)
    result = run("forget", typed="y\nn\n")
    assert result.exit_code == 0
    assert "holds 4 objects of them, which your other machines use.\nErase these, too? [y/N]" in result.output
    assert [left(store, prefix) for prefix in accounts] == [2, 2]


@pytest.mark.usefixtures("credentials", "accounts")
def test_forget_can_keep_the_shared_store(run: Run, store: ObjectStore, accounts: list[str]) -> None:
    assert run("forget", "--yes", "--keep-shared").exit_code == 0
    assert [left(store, prefix) for prefix in accounts] == [2, 2]


@pytest.mark.usefixtures("credentials", "accounts")
def test_forget_notes_what_a_store_that_fails_must_erase(
    run: Run, store: ObjectStore, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_store: ObjectStore, _names: object) -> None:
        raise ObjectStoreError("the disk is away")

    monkeypatch.setattr(type(store), "delete", fail)
    result = run("forget", "--yes")
    assert result.exit_code == 0
    assert "the disk is away; the next mount or pull erases the rest" in result.output
    assert Erasures(StateFiles(state_dir).shared_erasures, store).count() == 2


@pytest.mark.usefixtures("credentials")
def test_doctor_tries_the_shared_store(run: Run, store: ObjectStore, tmp_path: Path) -> None:
    assert f"shared store     {tmp_path}/shared can be read and written, and keeps conditions" in (
        run("doctor").output
    )
    (tmp_path / "shared").rmdir()
    assert "mount it, or create it" in run("doctor").output


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("s3://bucket/prefix/", "s3://bucket/prefix"),
        ("GS://bucket", "gs://bucket"),
        ("/mnt/nfs", "/mnt/nfs"),
        ("~/shared", None),
    ],
)
def test_places(text: str, place: str | None, tmp_path: Path, home: Path) -> None:
    settings = load_settings({}, {"RCFS_SHARED": text}, tmp_path / "none.toml", warn=pytest.fail)
    assert settings.shared == (place or str(home / "shared"))


@pytest.mark.parametrize("text", ["s3://key:s3cret@bucket", "az://bucket?sig=s3cret", "s3://"])
def test_places_hold_no_secrets(text: str, tmp_path: Path, home: Path) -> None:
    with pytest.raises(ConfigError, match="RCFS_SHARED: ") as caught:
        load_settings({}, {"RCFS_SHARED": text}, tmp_path / "none.toml", warn=pytest.fail)
    assert "s3cret" not in str(caught.value)
