"""`rcfs forget`: erases the data of accounts from this disk."""

import json
import shlex
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import click

from rcfs.assembly.contents import open_cache
from rcfs.assembly.shared import open_shared
from rcfs.cli._options import cache_dir_option, examples, json_option, state_dir_option
from rcfs.cli._output import confirmed, say, warn
from rcfs.cli._settings import read_settings
from rcfs.config import DEFAULT_SERVER_URL, Settings
from rcfs.errors import ConfigError, MountError, StoreError
from rcfs.host import MountRecord, Registry
from rcfs.model import format_size

if TYPE_CHECKING:
    from rcfs.store import ContentCache, ExportBook, FetchHistory, Login, MailboxIndex, OutboxBook, SizeIndex


@click.command(
    "forget",
    epilog=examples(
        "rcfs forget                       erase everything, of all accounts",
        "rcfs forget --account 'Acme Corp'",
        "rcfs forget --yes                 in a script",
        "rcfs logout && rcfs forget        leave nothing on this machine",
    ),
)
@click.option("--account", metavar="ACCOUNT", help="Erase only this account, given by id or name.")
@click.option("--keep-shared", is_flag=True, help="Leave the contents in the shared store.")
@click.option("-y", "--yes", is_flag=True, help="Skip the questions.")
@json_option
@cache_dir_option
@state_dir_option
def forget(account: str | None, *, keep_shared: bool, yes: bool, as_json: bool, **options: Any) -> None:
    """Erase what rcfs keeps of your accounts on this disk.

    That is the index, the archive of purged messages, the cache, the fetch history, the outbox with what was
    not sent yet, the tokens, and the logs. The credentials stay (`rcfs logout` removes them, and ends the
    session at RingCentral, which this command does not). The count of requests stays, too: it names no
    account, and without it rcfs could exceed the quota. rcfs deletes the files and does not overwrite them.
    If you share contents with other machines, it asks whether to erase those as well. Unmount first.
    """
    settings = read_settings(options, login=False)
    if not settings.state_dir.is_dir() and not settings.cache_dir.is_dir():
        say(json.dumps({"accounts": [], "freed_bytes": 0}) if as_json else "rcfs keeps nothing on this disk.")
        return
    with _opened(settings) as kept:
        account_id = None if account is None else kept.find(account)
        chosen = sorted(kept.accounts) if account_id is None else [account_id]
        _require_unmounted(settings, kept, account_id)
        if not confirmed(kept.question(chosen), "erase", yes=yes):
            return
        objects = 0 if keep_shared else _erase_shared(settings, chosen, yes=yes)
        before_bytes = _used_bytes(settings)
        if account_id is not None:
            kept.forget(account_id)
            for path in sorted(settings.state_dir.glob("*.damaged*")):
                warn(f"{path} is damaged, so it stays; `rcfs forget` without --account removes it")
    if account_id is None:
        _erase_everything(settings)
    _erase_logs(settings)
    freed_bytes = max(0, before_bytes - _used_bytes(settings))
    if as_json:
        shared = {"shared_objects": objects} if settings.shared else {}
        say(json.dumps({"accounts": chosen, "freed_bytes": freed_bytes, **shared}))
    else:
        in_store = f", and {objects:,} objects in the shared store" if objects else ""
        say(f"Erased {format_size(freed_bytes)}{in_store}.")


def kept_accounts(settings: Settings) -> dict[str, str]:
    """The ids of the accounts on this disk, by the identity of their logins."""
    if not settings.files.mailboxes.exists():
        return {}
    from rcfs.store import MailboxIndex

    with closing(MailboxIndex.open(settings.files.mailboxes, warn)) as index:
        return {login: seen.account_id for login, seen in index.reader.logins().items()}


@attrs.frozen
class _Kept:
    """The stores that hold data of accounts."""

    index: "MailboxIndex"
    sizes: "SizeIndex"
    history: "FetchHistory"
    exports: "ExportBook"
    outbox: "OutboxBook"
    cache: "ContentCache"
    logins: Mapping[str, "Login"]
    """The account and extensions of each login, by its identity."""

    @property
    def accounts(self) -> dict[str, str]:
        """The names of the accounts on this disk, by id; a name may be empty."""
        return {seen.account_id: seen.account_name for seen in self.logins.values()}

    def find(self, text: str) -> str:
        """The id of the account whose id or name is `text`.

        Raises:
            ConfigError: No account, or more than one, has this name.
        """
        if text in self.accounts:
            return text
        found = [account_id for account_id, name in self.accounts.items() if name == text]
        if len(found) == 1:
            return found[0]
        known = ", ".join(map(self._spoken, self.accounts)) or "none"
        problem = "several accounts have this name" if found else "this disk holds no such account"
        raise ConfigError(f"--account: {problem}; give the id of one of: {known}")

    def _spoken(self, account_id: str) -> str:
        name = self.accounts[account_id]
        return f"{name} ({account_id})" if name else f"account {account_id}"

    def question(self, chosen: Collection[str]) -> str:
        """The question whether to erase the accounts with the ids `chosen`."""
        names = " and ".join(map(self._spoken, chosen)) or "no account"
        messages = sum(sum(self.index.reader.counts(account_id).values()) for account_id in chosen)
        lines = [f"This disk holds {messages} messages of {names}, and their fetched contents."]
        purged = sum(self.index.archive.count(account_id) for account_id in chosen)
        if purged:
            lines.append(f"RingCentral has purged {purged} of them, so you cannot fetch these again.")
        return "\n".join([*lines, "Erase all of it?"])

    def forget(self, account_id: str) -> None:
        """Erases one account."""
        self.index.forget_account(account_id)
        self.sizes.forget_account(account_id)
        self.history.forget_account(account_id)
        self.exports.forget_account(account_id)
        self.outbox.forget_account(account_id)
        self.cache.forget_account(account_id)


@contextmanager
def _opened(settings: Settings) -> Iterator[_Kept]:
    from rcfs.store import ExportBook, FetchHistory, MailboxIndex, OutboxBook, SizeIndex

    with (
        closing(MailboxIndex.open(settings.files.mailboxes, warn)) as index,
        closing(SizeIndex.open(settings.files.sizes, warn, former=settings.files.former_sizes)) as sizes,
        closing(FetchHistory.open(settings.files.history, warn)) as history,
        closing(ExportBook.open(settings.files, warn)) as exports,
        closing(OutboxBook.open(settings.files, warn)) as outbox,
        open_cache(settings, warn) as cache,
    ):
        yield _Kept(index, sizes, history, exports, outbox, cache, index.reader.logins())


def _erase_shared(settings: Settings, chosen: Collection[str], *, yes: bool) -> int:
    """Erases the accounts `chosen` from the shared store, if there is one and the user agrees.

    Returns:
        The number of objects that were erased. If the store fails, the rest is erased by the next mount.
    """
    shared = open_shared(settings)
    if shared is None:
        return 0
    from rcfs.objects import ObjectNames, ObjectStoreError

    store, erasures = shared.objects, shared.erasures
    # The names need the server, which may be saved with the login.
    credentials = read_settings({}).credentials
    names = ObjectNames(credentials.server_url if credentials else DEFAULT_SERVER_URL)
    prefixes = [names.account(account_id) for account_id in chosen]
    erased = 0

    def count(objects: int) -> None:
        nonlocal erased
        erased += objects

    try:
        there = sum(len(found) for prefix in prefixes for found in store.names(prefix))
        holds = f"The shared store {store.place} holds {there:,} objects of them"
    except ObjectStoreError as exc:
        there, holds = 1, f"The shared store cannot be asked now ({exc}), and may hold contents of them"
    question = f"{holds}, which your other machines use.\nErase these, too?"
    if there and confirmed(question, "erase", yes=yes):
        erasures.add(prefixes)
        try:
            erasures.carry_out(count)
        except ObjectStoreError as exc:
            warn(f"{exc}; the next mount or pull erases the rest of the shared contents")
    return erased


def _require_unmounted(settings: Settings, kept: _Kept, account_id: str | None) -> None:
    """Checks that no mount uses the account, or any account if `account_id` is None.

    Raises:
        MountError: A mount does.
    """
    for record in _mounts(settings):
        login = kept.logins.get(record.login)
        if account_id is None or login is None or login.account_id == account_id:
            raise MountError(
                f"{record.mountpoint} is mounted, and would write the data again; first run"
                f" rcfs umount {shlex.quote(str(record.mountpoint))}"
            )


def _mounts(settings: Settings) -> list[MountRecord]:
    """The mounts that are up and use the state or the cache directory of `settings`."""
    # A mount with its own directories, such as the demo, is registered in the usual place, too.
    usual = read_settings({}, login=False).state_dir
    return [
        record
        for state_dir in {usual, settings.state_dir}
        for record in Registry(state_dir).live()
        if (record.state_dir or state_dir) == settings.state_dir or record.cache_dir == settings.cache_dir
    ]


def _used_bytes(settings: Settings) -> int:
    """The disk space of the files below both directories."""
    total = 0
    for directory in {settings.state_dir, settings.cache_dir}:
        for path in directory.rglob("*"):
            try:
                total += path.lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def _erase_everything(settings: Settings) -> None:
    from rcfs.store import erase_cache, erase_database

    files = settings.files
    with _plain_errors():
        for path in (
            files.mailboxes,
            files.archive,
            files.sizes,
            files.former_sizes,
            files.history,
            files.exports,
            files.outbox,
        ):
            erase_database(path)
        if files.all_outgoing.exists():
            shutil.rmtree(files.all_outgoing)
        erase_cache(settings.cache_dir)
        locks = (path for name in ("exports", "outbox") for path in files.directory.glob(f"{name}-*.lock"))
        from rcfs.store import GRANT_SUFFIX

        for path in (*files.sessions.glob("*"), *locks):
            if path.suffix != GRANT_SUFFIX:  # it belongs to the credentials
                path.unlink(missing_ok=True)


def _erase_logs(settings: Settings) -> None:
    """Removes all logs, except those that a mount is writing."""
    kept = tuple(settings.files.mount_log(record.mountpoint).name for record in _mounts(settings))
    directory = settings.files.logs
    with _plain_errors():
        for path in directory.iterdir() if directory.is_dir() else ():
            if not path.name.startswith(kept):  # rotated parts have the name of the log and a number
                path.unlink(missing_ok=True)


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StoreError(
            f"{exc.filename} cannot be removed: {exc.strerror}; remove it yourself, or run this again"
        ) from exc
