"""The account: its extensions, and their mailboxes, each loaded whole when it is first looked into.

Concurrency: all methods run in the trio thread. A load runs on its own, so a waiter who gives up leaves
it alone, and everybody who looks into the same mailbox meanwhile waits for the same load.
"""

from collections.abc import Mapping
from typing import Any

import attrs
import trio

from rcfs.errors import ForbiddenError, NotFoundError, PlatformError, RcfsError, ServerError
from rcfs.fetch._gate import Demand
from rcfs.fetch._recorder import Recorder
from rcfs.fetch._requester import Requester
from rcfs.model import Extension, Mailbox, Message, Priority
from rcfs.platform import (
    Client,
    Request,
    extension_from,
    following_page,
    is_admin,
    list_extensions,
    list_messages,
    message_from,
    next_page_url,
    read_account,
    read_own_extension,
    records_of,
)
from rcfs.store import SizeIndex

_REFUSAL_S = 60.0
"""How long a mailbox that was refused (CMN-419) stays refused without asking again: a person who was
given the permission meanwhile waits a minute, a program that tries all mailboxes again costs nothing."""
_MOST_PAGES = 10_000
"""Pages of one list, at most: ten million messages; more is a server that goes in circles."""
_START_ATTEMPTS = 2
"""Attempts of the requests that a starting mount needs: a person watches, and an unreachable server
should be said within seconds."""


@attrs.frozen
class _Page:
    records: tuple[Mapping[str, Any], ...]
    next_url: str


@attrs.define(eq=False)
class _Load:
    done: trio.Event = attrs.field(factory=trio.Event)
    mailbox: Mailbox | None = None
    failure: RcfsError | None = None
    retry_at_s: float = 0.0


class Account:
    """What the login may see."""

    def __init__(
        self,
        requester: Requester,
        client: Client,
        sizes: SizeIndex,
        recorder: Recorder,
        nursery: trio.Nursery,
    ) -> None:
        """Makes an account whose loads run in `nursery`; `start` must be awaited before anything else."""
        self._requester = requester
        self._client = client
        self._sizes = sizes
        self._recorder = recorder
        self._nursery = nursery
        self._loads: dict[int, _Load] = {}
        self.id = ""
        """Decimal account id."""
        self.name = ""
        """Company name, or the main number where the account has none; may be empty."""
        self.extensions: tuple[Extension, ...] = ()
        """Extensions that the login may read: all for an admin, else its own."""

    async def start(self) -> None:
        """Logs in, and learns the account and its extensions: three requests, more for many extensions.

        Raises:
            AuthError: The credentials were refused.
            PlatformError: The server failed or could not be reached.
        """
        demand = Demand(Priority.METADATA, attempts=_START_ATTEMPTS, label="account")
        self.id, self.name = await self._requester.read(read_account(), _account_facts, demand)
        own, admin = await self._requester.read(
            read_own_extension(), lambda record: (extension_from(record), is_admin(record)), demand
        )
        if admin is False and own is not None:
            self.extensions = (own,)
            return
        found: dict[int, Extension] = {}
        for page in await self._pages(list_extensions(), demand):
            for extension in map(extension_from, page.records):
                if extension is not None:
                    found.setdefault(extension.id, extension)
        self.extensions = tuple(found.values())

    def known(self, extension_id: int) -> Mailbox | None:
        """The mailbox of an extension, if it has been loaded; costs nothing."""
        load = self._loads.get(extension_id)
        return load.mailbox if load is not None else None

    @property
    def loaded(self) -> tuple[Mailbox, ...]:
        """All mailboxes that have been loaded."""
        return tuple(load.mailbox for load in self._loads.values() if load.mailbox is not None)

    async def mailbox(self, extension_id: int, priority: Priority = Priority.PERSON) -> Mailbox:
        """The mailbox of an extension, loaded now if it has not been.

        Raises:
            ForbiddenError: The login may not read it, now or within the last minute.
            PlatformError: The server failed or could not be reached.
        """
        load = self._loads.get(extension_id)
        if load is None or (load.failure is not None and trio.current_time() >= load.retry_at_s):
            load = self._loads[extension_id] = _Load()
            demand = Demand(priority, label=f"mailbox of extension {extension_id}")
            self._nursery.start_soon(self._fill, extension_id, load, demand)
        await load.done.wait()
        if load.failure is not None:
            raise load.failure.with_traceback(None)
        assert load.mailbox is not None  # noqa: S101 - a load ends with a mailbox or a failure
        return load.mailbox

    async def _fill(self, extension_id: int, load: _Load, demand: Demand) -> None:
        try:
            load.mailbox = await self._load(extension_id, demand)
            self._recorder.note("mailbox loaded", extension=extension_id, messages=len(load.mailbox.messages))
        except RcfsError as exc:
            self._recorder.fault("mailbox", str(exc), extension=extension_id)
            load.failure = exc
            if isinstance(exc, (ForbiddenError, NotFoundError)):
                load.retry_at_s = trio.current_time() + _REFUSAL_S
        except Exception as exc:  # noqa: BLE001 - one mailbox's trouble must not end the mount
            self._recorder.crash("mailbox", exc)
            load.failure = PlatformError(f"the mailbox of extension {extension_id} cannot be shown")
        finally:
            if load.mailbox is None and load.failure is None:
                load.failure = PlatformError("the mount is ending")
            load.done.set()

    async def _load(self, extension_id: int, demand: Demand) -> Mailbox:
        known_sizes = await trio.to_thread.run_sync(self._sizes.sizes, self.id, extension_id)
        first = list_messages(extension_id, until_s=self._client.server_now_s())
        pages = await self._pages(first, demand)
        messages = await trio.to_thread.run_sync(_distinct_messages, pages)
        return Mailbox(self.id, extension_id, messages, known_sizes)

    async def _pages(self, first: Request, demand: Demand) -> list[_Page]:
        """All pages of a list.

        Raises:
            ServerError: The list names a next page that rcfs will not follow, or never ends.
        """
        pages: list[_Page] = []
        request, seen = first, set[str]()
        for _page in range(_MOST_PAGES):
            page = await self._requester.read(request, _page_facts, demand)
            pages.append(page)
            if not page.next_url:
                return pages
            if page.next_url in seen or not self._client.hosts.may_see_token(page.next_url):
                raise ServerError(f"{first.operation}: the next page of the list leads astray")
            seen.add(page.next_url)
            request = following_page(first, page.next_url)
        raise ServerError(f"{first.operation}: the list has no end")


def _page_facts(page: dict[str, Any]) -> _Page:
    return _Page(tuple(records_of(page)), next_page_url(page))


def _account_facts(record: dict[str, Any]) -> tuple[str, str]:
    account_id = record.get("id")
    if (
        isinstance(account_id, bool)
        or not isinstance(account_id, (int, str))
        or not str(account_id).isdecimal()
    ):
        raise ServerError("the account record has no id")
    company = record.get("contact", {}) if isinstance(record.get("contact"), dict) else {}
    names = (record.get("name"), company.get("company"), record.get("mainNumber"))
    return str(account_id), next((name for name in names if isinstance(name, str) and name), "")


def _distinct_messages(pages: list[_Page]) -> tuple[Message, ...]:
    """The messages of all pages, each id once: the newest record of it."""
    newest: dict[int, Message] = {}
    for page in pages:
        for message in map(message_from, page.records):
            if message is None:
                continue
            known = newest.get(message.id)
            if known is None or (message.modified_s or 0.0) > (known.modified_s or 0.0):
                newest[message.id] = message
    return tuple(newest.values())
